#include "api/cluster_service.h"

#include "proto/rpc.pb.h"

namespace quoin::api {
namespace {

class MemberListCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  void Handle(std::string_view message) override {
    etcdserverpb::MemberListRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    if (!request.linearizable()) return Answer();
    WhenReadable([this] { Answer(); });
  }

 private:
  void Answer() {
    etcdserverpb::MemberListResponse response;
    for (const cluster::Member& member : frontend_.cluster()->members) {
      etcdserverpb::Member* row = response.add_members();
      row->set_id(member.id);
      row->set_name(member.name);
      for (const std::string& url : member.peer_urls) row->add_peerurls(url);
      for (const std::string& url : member.client_urls) row->add_clienturls(url);
      row->set_islearner(member.learner);
    }
    std::string out;
    AppendHeader(frontend_.info(), /*revision=*/0, out);
    out += response.SerializeAsString();
    Reply(std::move(out));
  }
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewMemberListCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<MemberListCall>(context, call);
}

}  // namespace quoin::api

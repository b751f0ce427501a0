#include "api/cluster_service.h"

#include "proto/rpc.pb.h"
#include "server/member_changes.h"

namespace quoin::api {
namespace {

void FillMember(const cluster::Member& member, etcdserverpb::Member& row) {
  row.set_id(member.id);
  row.set_name(member.name);
  for (const std::string& url : member.peer_urls) row.add_peerurls(url);
  for (const std::string& url : member.client_urls) row.add_clienturls(url);
  row.set_islearner(member.learner);
}

template <typename Response>
void FillMembers(const server::Frontend& frontend, Response& response) {
  for (const cluster::Member& member : frontend.cluster()->members)
    FillMember(member, *response.add_members());
}

// Answers of Cluster.* say no revision.
std::string Encode(const server::Frontend& frontend,
                   const google::protobuf::MessageLite& response) {
  std::string out;
  AppendHeader(frontend.info(), /*revision=*/0, out);
  out += response.SerializeAsString();
  return out;
}

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
    FillMembers(frontend_, response);
    Reply(Encode(frontend_, response));
  }
};

// A change that is answered with the members as they are after it.
template <typename Request, typename Response>
class ChangeCall : public RemoteCall {
 public:
  using RemoteCall::RemoteCall;

 protected:
  void Handle(std::string_view message) final {
    if (!state::ParseDeep(message, request_)) return Fail(UnmarshalError());
    Start(BackHere<Status>([this](Status status) {
      if (!status.ok()) return Fail(status);
      Response response;
      FillMembers(frontend_, response);
      Complete(response);
      Reply(Encode(frontend_, response));
    }));
  }
  virtual void Start(server::OnChanged done) = 0;
  virtual void Complete(Response&) {}

  Request request_;
};

class MemberAddCall final
    : public ChangeCall<etcdserverpb::MemberAddRequest, etcdserverpb::MemberAddResponse> {
 public:
  using ChangeCall::ChangeCall;

 protected:
  void Start(server::OnChanged done) override {
    const std::vector<std::string> urls(request_.peerurls().begin(), request_.peerurls().end());
    // The second at which it was asked for tells it from earlier members with the same URLs.
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(frontend_.loop().clock().WallNow());
    id_ = cluster::MemberId(urls, std::to_string(seconds.count()));
    server::AddMember(context_.node(), frontend_, id_, urls, request_.islearner(), std::move(done));
  }
  void Complete(etcdserverpb::MemberAddResponse& response) override {
    for (const cluster::Member& member : frontend_.cluster()->members) {
      if (member.id == id_) FillMember(member, *response.mutable_member());
    }
  }

 private:
  uint64_t id_ = 0;
};

class MemberRemoveCall final
    : public ChangeCall<etcdserverpb::MemberRemoveRequest, etcdserverpb::MemberRemoveResponse> {
 public:
  using ChangeCall::ChangeCall;

 protected:
  void Start(server::OnChanged done) override {
    server::RemoveMember(context_.node(), frontend_, request_.id(), std::move(done));
  }
};

class MemberUpdateCall final
    : public ChangeCall<etcdserverpb::MemberUpdateRequest, etcdserverpb::MemberUpdateResponse> {
 public:
  using ChangeCall::ChangeCall;

 protected:
  void Start(server::OnChanged done) override {
    server::UpdateMember(context_.node(), frontend_, request_.id(),
                         {request_.peerurls().begin(), request_.peerurls().end()}, std::move(done));
  }
};

class MemberPromoteCall final
    : public ChangeCall<etcdserverpb::MemberPromoteRequest, etcdserverpb::MemberPromoteResponse> {
 public:
  using ChangeCall::ChangeCall;

 protected:
  void Start(server::OnChanged done) override {
    server::PromoteMember(context_.node(), frontend_, request_.id(), std::move(done));
  }
};

template <typename Call>
std::unique_ptr<rpc::CallHandler> New(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<Call>(context, call);
}

}  // namespace

std::unique_ptr<rpc::CallHandler> NewMemberListCall(const Context& context, rpc::ServerCall& call) {
  return New<MemberListCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewMemberAddCall(const Context& context, rpc::ServerCall& call) {
  return New<MemberAddCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewMemberRemoveCall(const Context& context,
                                                      rpc::ServerCall& call) {
  return New<MemberRemoveCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewMemberUpdateCall(const Context& context,
                                                      rpc::ServerCall& call) {
  return New<MemberUpdateCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewMemberPromoteCall(const Context& context,
                                                       rpc::ServerCall& call) {
  return New<MemberPromoteCall>(context, call);
}

}  // namespace quoin::api

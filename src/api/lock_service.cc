#include "api/lock_service.h"

#include <utility>

#include "api/queue_call.h"
#include "proto/lock.pb.h"

namespace quoin::api {
namespace {

class LockCall final : public QueueCall {
 public:
  using QueueCall::QueueCall;

 protected:
  void Handle(std::string_view message) override {
    v3lockpb::LockRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    if (!AdmitWait(message)) return;
    queue_.Join(request.name(), request.lease(), "",
                [this, name = request.name()](StatusOr<QueueWait::Place> place) {
                  if (!place.ok()) return FailUnknown(place.status());
                  WaitTurn(name, *place);
                });
  }

 private:
  void Won() override {
    if (place_.first) return Answer(place_.header);
    // The wait may have been longer than the lease.
    etcdserverpb::RangeRequest own;
    own.set_key(place_.key);
    store_.Range(own, [this](StatusOr<etcdserverpb::RangeResponse> found) {
      if (!found.ok()) return FailUnknown(found.status());
      if (found->kvs_size() == 0) return Fail(absl::UnknownError("mutex: session is expired"));
      Answer(found->header());
    });
  }
  void Answer(const etcdserverpb::ResponseHeader& header) {
    v3lockpb::LockResponse response;
    *response.mutable_header() = header;
    response.set_key(place_.key);
    Reply(response.SerializeAsString());
  }
};

class UnlockCall final : public StoreCall {
 public:
  using StoreCall::StoreCall;

 protected:
  void Handle(std::string_view message) override {
    v3lockpb::UnlockRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    store_.Delete(request.key(), [this](StatusOr<etcdserverpb::DeleteRangeResponse> deleted) {
      if (!deleted.ok()) return FailUnknown(deleted.status());
      v3lockpb::UnlockResponse response;
      *response.mutable_header() = deleted->header();
      Reply(response.SerializeAsString());
    });
  }
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewLockCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<LockCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewUnlockCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<UnlockCall>(context, call);
}

}  // namespace quoin::api

#include "api/lease_service.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "api/leader_watch.h"
#include "api/parts.h"
#include "base/errors.h"
#include "base/wire.h"
#include "proto/rpc.pb.h"
#include "server/lease_door.h"

namespace quoin::api {
namespace {

constexpr int64_t kLeaseCost = 64;  // what a lease counts in the space quota
constexpr uint64_t kPositive = 0x7fffffffffffffff;
// Renewals of one stream that wait for their answer; more are not read.
constexpr size_t kRenewalsMax = 256;

class LeaseGrantCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  void Handle(std::string_view message) override {
    etcdserverpb::LeaseGrantRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    if (!AdmitSpace(kLeaseCost)) return;
    while (request.id() == 0) request.set_id(static_cast<int64_t>(frontend_.TakeId() & kPositive));
    request.set_ttl(std::max(request.ttl(), frontend_.config().LeaseTtlSecondsMin()));
    ProposeAndReply(state::Operation::kLeaseGrant, request.SerializeAsString());
  }
};

class LeaseRevokeCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  void Handle(std::string_view message) override {
    etcdserverpb::LeaseRevokeRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    ProposeAndReply(state::Operation::kLeaseRevoke, message);
  }
};

// A call that asks the lease loop.
class LeaseQueryCall : public UnaryCall {
 public:
  LeaseQueryCall(const Context& context, rpc::ServerCall& call)
      : UnaryCall(context, call), door_(context.LeasesOf(call.executor())) {}
  void OnCancel(const Status&) override { asked_.Cut(); }

 protected:
  std::string Header() {
    std::string out;
    AppendHeader(frontend_.info(), frontend_.store().current_revision(), out);
    return out;
  }

  // Answers with head . shared: bytes that other calls send, too.
  void ReplyShared(std::string head, const SharedBytes& shared) {
    const uint64_t size = head.size() + shared.size();
    if (size > kGrpcMessageBytesMax) return Fail(MessageTooLarge(size));
    call_.StartMessage(size);
    call_.AppendMessage(std::move(head));
    if (!shared.empty()) call_.AppendMessage(shared);
    call_.Finish(OkStatus());
  }

  server::LeaseDoor& door_;
  server::LeaseDoor::Question asked_;
};

class LeaseTimeToLiveCall final : public LeaseQueryCall {
 public:
  using LeaseQueryCall::LeaseQueryCall;

 protected:
  void Handle(std::string_view message) override {
    etcdserverpb::LeaseTimeToLiveRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    asked_ = door_.TimeToLive(
        request.id(), request.keys(),
        [this, id = request.id()](const StatusOr<server::LeaseTimes>& times) {
          if (!times.ok()) return Fail(times.status());
          std::string out = Header();
          wire::PutUintNonZero(out, 2, static_cast<uint64_t>(id));
          wire::PutUintNonZero(out, 3, static_cast<uint64_t>(times->ttl_seconds));
          wire::PutUintNonZero(out, 4, static_cast<uint64_t>(times->granted_seconds));
          ReplyShared(std::move(out), times->keys);
        });
  }
};

class LeaseLeasesCall final : public LeaseQueryCall {
 public:
  using LeaseQueryCall::LeaseQueryCall;

 protected:
  void Handle(std::string_view message) override {
    etcdserverpb::LeaseLeasesRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    asked_ = door_.List([this](const SharedBytes& leases) { ReplyShared(Header(), leases); });
  }
};

// One answer per request, in the order of the requests.
class LeaseKeepAliveCall final : public rpc::CallHandler, private server::LeaseDoor::Renewer {
 public:
  LeaseKeepAliveCall(const Context& context, rpc::ServerCall& call)
      : frontend_(context.FrontendOf(call.executor())),
        door_(context.LeasesOf(call.executor())),
        call_(call),
        leader_watch_(call, frontend_, [this](const Status& lost) { End(lost); }) {}

  void OnMessage(std::string_view message) override {
    if (ended_) return;
    if (!std::exchange(admitted_, true)) {
      Status status = AdmitCall(call_, frontend_, /*learner_may=*/false);
      if (!status.ok()) return End(status);
    }
    std::optional<int64_t> id = ParseId(message);
    if (!id) return End(UnmarshalError());
    // The header tells of the moment before the renewal.
    asked_.push_back({*id, frontend_.store().current_revision(), std::nullopt});
    if (asked_.size() >= kRenewalsMax) call_.PauseRequests();
    door_.Renew(*id, *this, first_ + asked_.size() - 1);
  }
  void OnHalfClose() override {
    half_closed_ = true;
    Answer();
  }
  void OnCancel(const Status&) override { Close(); }

 private:
  struct Asked {
    int64_t id;
    int64_t revision;
    std::optional<int64_t> ttl;
  };

  static std::optional<int64_t> ParseId(std::string_view message) {
    int64_t id = 0;
    wire::Reader reader(message);
    for (wire::Field field; reader.Next(field);) {
      if (field.number == 1 && field.type == wire::Type::kVarint) id = field.int64();
    }
    if (!reader.ok()) return std::nullopt;
    return id;
  }

  void OnRenewed(uint64_t number, const StatusOr<int64_t>& ttl) override {
    if (!ttl.ok()) return End(ttl.status());
    asked_[number - first_].ttl = *ttl;
    Answer();
  }

  // What is answered, up to the first that is not.
  void Answer() {
    while (!asked_.empty() && asked_.front().ttl) {
      const Asked& asked = asked_.front();
      std::string out;
      AppendHeader(frontend_.info(), asked.revision, out);
      wire::PutUintNonZero(out, 2, static_cast<uint64_t>(asked.id));
      wire::PutUintNonZero(out, 3, static_cast<uint64_t>(*asked.ttl));
      call_.Send(std::move(out));
      asked_.pop_front();
      ++first_;
    }
    if (half_closed_ && asked_.empty()) return End(OkStatus());
    if (asked_.size() < kRenewalsMax / 2) call_.ResumeRequests();
  }

  void End(const Status& status) {
    if (ended_) return;
    Close();
    call_.Finish(status);
  }
  void Close() {
    ended_ = true;
    WantNoMore();
  }

  server::Frontend& frontend_;
  server::LeaseDoor& door_;
  rpc::ServerCall& call_;
  LeaderWatch leader_watch_;
  std::deque<Asked> asked_;
  uint64_t first_ = 0;  // number of asked_.front()
  bool admitted_ = false;
  bool half_closed_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewLeaseGrantCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<LeaseGrantCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewLeaseRevokeCall(const Context& context,
                                                     rpc::ServerCall& call) {
  return std::make_unique<LeaseRevokeCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewLeaseKeepAliveCall(const Context& context,
                                                        rpc::ServerCall& call) {
  return std::make_unique<LeaseKeepAliveCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewLeaseTimeToLiveCall(const Context& context,
                                                         rpc::ServerCall& call) {
  return std::make_unique<LeaseTimeToLiveCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewLeaseLeasesCall(const Context& context,
                                                     rpc::ServerCall& call) {
  return std::make_unique<LeaseLeasesCall>(context, call);
}

}  // namespace quoin::api

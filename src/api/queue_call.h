// A unary call over the member's own store. Thread: its I/O loop.
#pragma once

#include <string>
#include <string_view>

#include "api/queue_wait.h"
#include "base/errors.h"

namespace quoin::api {

class StoreCall : public UnaryCall {
 public:
  StoreCall(const Context& context, rpc::ServerCall& call)
      : UnaryCall(context, call), store_(context, call.executor()), queue_(store_) {}

 protected:
  // The store's errors lose their code here, as in etcd: its own client wraps them.
  void FailUnknown(const Status& status) {
    Fail(absl::UnknownError(std::string(status.message())));
  }

  // For a call that lasts until its client has what it waits for: counts what is kept of its
  // request meanwhile. False: that is too much, and the call has failed.
  bool AdmitWait(std::string_view message) {
    constexpr size_t kSmallBytes = 256, kCopies = 4;  // of a name, and keys that begin with it
    const size_t bytes = message.size() > kSmallBytes ? kCopies * message.size() : 0;
    if (call_.SetStandingBytes(bytes)) return true;
    Fail(errors::TooManyRequests());
    return false;
  }

  LocalStore store_;
  QueueWait queue_;
};

// One that waits for its turn: whoever goes away meanwhile leaves the queue.
class QueueCall : public StoreCall {
 public:
  using StoreCall::StoreCall;
  void OnCancel(const Status& why) override {
    Leave();
    StoreCall::OnCancel(why);
  }

 protected:
  // Waits until nobody is in front of `place`, then Won().
  void WaitTurn(const std::string& name, const QueueWait::Place& place) {
    place_ = place;
    if (place_.first) return Won();
    waits_ = true;
    queue_.WaitFirst(name, place_, [this](const Status& status) {
      if (status.ok()) {
        waits_ = false;
        return Won();
      }
      Leave();
      FailUnknown(status);
    });
  }
  virtual void Won() = 0;

  QueueWait::Place place_;

 private:
  void Leave() {
    if (!waits_) return;
    waits_ = false;
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(place_.key);
    // Nobody waits for the answer, and the lease ends it otherwise.
    StatusOr<server::Frontend::Wait> wait =
        frontend_.Propose(state::Operation::kDeleteRange, request.SerializeAsString(),
                          [](const state::ApplyResult&) {});
    if (wait.ok()) std::move(*wait).Detach();
  }

  bool waits_ = false;
};

}  // namespace quoin::api

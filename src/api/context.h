// What every service works with, and the small things that all answers share.
//
// Thread: per call, the I/O loop of the call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "api/process_stats.h"
#include "base/lifeline.h"
#include "base/status.h"
#include "rpc/server.h"
#include "server/lease_door.h"
#include "server/node.h"

namespace quoin::api {

class SliceTurns;
class WatchHub;

// The member behind the services. One for the whole server; immutable after construction.
class Context {
 public:
  using ReadStats = std::function<ProcessStats()>;  // any thread
  Context(server::Node& node, std::vector<env::Executor*> io_loops, ReadStats read_process_stats);
  ~Context();

  server::Node& node() const { return node_; }
  ProcessStats ReadProcessStats() const { return read_process_stats_(); }
  // The frontend of the loop that a call runs on.
  server::Frontend& FrontendOf(const env::Executor& loop) const;
  // The watchers of that loop.
  WatchHub& WatchesOf(const env::Executor& loop) const;
  // The turns of its long reads.
  SliceTurns& SlicesOf(const env::Executor& loop) const;
  server::LeaseDoor& LeasesOf(const env::Executor& loop) const;

 private:
  size_t NumberOf(const env::Executor& loop) const;

  server::Node& node_;
  const std::vector<env::Executor*> io_loops_;
  const ReadStats read_process_stats_;
  std::vector<std::unique_ptr<WatchHub>> watches_;               // one per loop, used there
  std::vector<std::unique_ptr<SliceTurns>> slices_;              // likewise
  std::vector<std::unique_ptr<server::LeaseDoor>> lease_doors_;  // likewise
};

// ResponseHeader as field 1. `revision` 0 = left out (Cluster.* answers).
void AppendHeader(const server::NodeInfo& info, int64_t revision, std::string& out);

// What stands before every call (parity: capability, learner, metadata), in etcd's order.
// `learner_may` tells whether a learner answers this kind of request.
Status AdmitCall(const rpc::ServerCall& call, const server::Frontend& frontend, bool learner_may);

// grpc-go's answer to bytes that do not parse.
Status UnmarshalError();

// What grpc-go refuses to send.
inline constexpr uint64_t kGrpcMessageBytesMax = INT32_MAX;
Status MessageTooLarge(uint64_t bytes);

// For another loop: takes a result there, and hands it to `handle` on `loop` while `line` lives.
template <typename Result>
absl::AnyInvocable<void(Result)> BackTo(env::Executor& loop, Lifeline& line,
                                        absl::AnyInvocable<void(Result)> handle) {
  return [&loop, tied = line.Tie(std::move(handle))](Result result) mutable {
    loop.Post([tied = std::move(tied), result = std::move(result)]() mutable {
      tied(std::move(result));
    });
  };
}

// A unary call that may wait on the frontend, for one thing at a time. Subclasses get the message
// and end with Reply or Fail. Thread: the call's I/O loop.
class UnaryCall : public rpc::CallHandler {
 public:
  UnaryCall(const Context& context, rpc::ServerCall& call)
      : context_(context), frontend_(context.FrontendOf(call.executor())), call_(call) {}
  void OnMessage(std::string_view message) final;
  void OnCancel(const Status&) override { wait_.Cancel(); }

 protected:
  virtual void Handle(std::string_view message) = 0;
  virtual bool LearnerMay(std::string_view) const { return false; }

  // Proposes `message` and answers with what comes back (header in front of the body).
  void ProposeAndReply(state::Operation operation, std::string_view message);
  // Proposes it; `then` gets what comes back, unless the call has ended.
  void ProposeThen(state::Operation operation, std::string_view message,
                   server::Frontend::OnApplied then);
  // True when a write of `cost` bytes fits in the quota. Otherwise the call is answered, after the
  // alarm has been raised.
  bool AdmitSpace(int64_t cost);
  // Runs `then` once reads see everything acknowledged before now; fails the call otherwise.
  void WhenReadable(absl::AnyInvocable<void()> then);
  void Reply(std::string response);
  void Fail(const Status& status);

  const Context& context_;
  server::Frontend& frontend_;
  rpc::ServerCall& call_;

 private:
  // Keeps `wait`, or fails the call.
  void Await(StatusOr<server::Frontend::Wait> wait);
  server::Frontend::Wait wait_;
};

// A call whose work runs on another loop and whose answer comes back to this one, unless the call
// has ended by then.
class RemoteCall : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;
  void OnCancel(const Status& why) override {
    lifeline_.Cut();
    UnaryCall::OnCancel(why);
  }

 protected:
  // What another loop holds on to.
  template <typename Result>
  absl::AnyInvocable<void(Result)> BackHere(absl::AnyInvocable<void(Result)> handle) {
    return BackTo<Result>(frontend_.loop(), lifeline_, std::move(handle));
  }

  Lifeline lifeline_;
};

}  // namespace quoin::api

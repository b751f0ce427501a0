// LeaseHost: what the lease loop needs of its member: the log, proof of the lead, and a way to the
// leader. MemberLeaseHost is the real one.
//
// Thread: the lease loop; callbacks run there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/shared_bytes.h"
#include "base/status.h"
#include "env/env.h"
#include "rpc/http_client.h"
#include "server/frontend.h"

namespace quoin::server {

class ApplyLoop;

class LeaseHost {
 public:
  using OnStatus = absl::AnyInvocable<void(Status)>;
  using OnAnswer = absl::AnyInvocable<void(StatusOr<rpc::HttpResponse>)>;
  // LeaseTimeToLiveResponse.keys as they travel.
  using OnKeys = absl::AnyInvocable<void(SharedBytes)>;

  virtual ~LeaseHost() = default;
  // `done` runs later, when everything acknowledged before this call has been told to the lease
  // loop, which also proves that this member led then, if it does.
  virtual void WaitReadable(OnStatus done) = 0;
  // One entry of the log, but only through this member as leader of `term`. `done` runs once, now
  // or later: OK when it has been applied and told to the lease loop.
  virtual void Propose(Term term, state::Operation operation, std::string_view payload,
                       OnStatus done) = 0;
  // Posts `body` to the leader's peer port, once; `done` runs later, unless the handle goes first.
  // nullptr: no other member is known to lead.
  virtual std::unique_ptr<rpc::Fetch> AskLeader(const std::string& target, std::string body,
                                                env::Duration timeout, OnAnswer done) = 0;
  // The keys that hang on a lease, bytewise order; `done` runs later. They are read in slices: a
  // key that comes or goes meanwhile may be told or not.
  virtual void KeysOf(int64_t id, OnKeys done) = 0;
};

// The lease loop's object outlives that loop: no wait is cancelled. Thread: the lease loop.
class MemberLeaseHost final : public LeaseHost {
 public:
  // `frontend` is the lease loop's own.
  MemberLeaseHost(env::Env& env, Frontend& frontend, ApplyLoop& apply, env::Executor& apply_loop)
      : env_(env), frontend_(frontend), apply_(apply), apply_loop_(apply_loop) {}

  void WaitReadable(OnStatus done) override;
  void Propose(Term term, state::Operation operation, std::string_view payload,
               OnStatus done) override;
  std::unique_ptr<rpc::Fetch> AskLeader(const std::string& target, std::string body,
                                        env::Duration timeout, OnAnswer done) override;
  void KeysOf(int64_t id, OnKeys done) override;

 private:
  env::Env& env_;
  Frontend& frontend_;
  ApplyLoop& apply_;
  env::Executor& apply_loop_;
};

}  // namespace quoin::server

// LeaseLoop: when leases end. The log says which leases exist; this loop, on the leader, counts
// their time, renews them and proposes their end.
//
// A member is primary from the moment it has applied the first entry of its own term as leader:
// then every lease gets its whole time again, plus an election timeout, so that none that another
// leader has renewed can end early. A member that is not primary passes requests on to the leader.
// Time is this member's monotonic clock; no two clocks are compared.
//
// Thread: the lease loop (an executor of its own); others post, or use a LeaseDoor.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "base/log.h"
#include "env/env.h"
#include "lease/expiry_queue.h"
#include "rpc/http_client.h"
#include "server/config.h"
#include "server/frontend.h"
#include "server/messages.h"
#include "server/node_info.h"

namespace quoin::server {

class ApplyLoop;

// What TimeToLive tells. Value type.
struct LeaseTimes {
  int64_t ttl_seconds = -1;  // what is left; −1: there is no such lease
  int64_t granted_seconds = 0;
  std::vector<std::string> keys;
};

class LeaseLoop {
 public:
  // Replies run on this loop. The TTL is 0 when there is no such lease.
  using OnRenewed = absl::AnyInvocable<void(StatusOr<int64_t> ttl_seconds)>;
  using OnTimes = absl::AnyInvocable<void(StatusOr<LeaseTimes>)>;
  enum class Elsewhere : uint8_t { kForward, kRefuse };  // when this member is not primary

  // `frontend` is this loop's own.
  LeaseLoop(const NodeConfig& config, NodeInfo& info, env::Env& env, env::Executor& loop,
            Frontend& frontend, Logger& log);
  ~LeaseLoop();
  void Connect(ApplyLoop& apply, env::Executor& apply_executor);
  // No further proposals; waiting requests are answered.
  void Stop();

  // --- posted by the apply loop, in the order of the log ---
  void OnChanges(const std::vector<lease::Change>& changes);
  void OnReplaced(const std::vector<lease::Change>& all);
  // The first entry of `term` has been applied here.
  void OnFirstEntry(Term term);

  // --- requests ---
  void Renew(int64_t id, Elsewhere elsewhere, OnRenewed reply);
  void TimeToLive(int64_t id, bool with_keys, Elsewhere elsewhere, OnTimes reply);
  // All leases, those that end first in front.
  std::vector<int64_t> List() const;

 private:
  struct Lease {
    int64_t ttl_seconds = 0;
    int64_t remaining_seconds = 0;  // of the last checkpoint; 0 = none
    int64_t expires_at = INT64_MAX;
    bool ending = false;  // its end is proposed
  };
  struct Forwarded;

  int64_t Now() const { return loop_.clock().Now().count(); }
  // Leader of the term in which this member became primary.
  bool IsPrimary() const;
  // The raft loop has not ticked for a while: perhaps this process was stopped, and there is
  // another leader by now.
  bool MayBeDeposed() const;
  // Runs `then` when the cluster has confirmed that this member leads, or `otherwise`.
  void Confirm(absl::AnyInvocable<void(Status)> then);
  void RenewHere(int64_t id, bool confirmed, OnRenewed reply);
  void Extend(int64_t id, Lease& lease);
  void ArmTimer();
  void OnTimer();
  void End(int64_t id);
  void OnEndProposed(int64_t id, const Status& status);
  void Checkpoints();
  void ProposeCheckpoint(const std::vector<std::pair<int64_t, int64_t>>& remaining);
  // Asks the leader's peer port, again and again until there is an answer or no time left.
  void Forward(std::string target, std::string body,
               absl::AnyInvocable<void(StatusOr<rpc::HttpResponse>)> done);
  void TryForward(uint64_t number);
  void OnForwarded(uint64_t number, StatusOr<rpc::HttpResponse> answer);
  // Aborted: this member is the leader now.
  void EndForwarded(uint64_t number, StatusOr<rpc::HttpResponse> answer);

  const NodeConfig& config_;
  NodeInfo& info_;
  env::Env& env_;
  env::Executor& loop_;
  Frontend& frontend_;
  Logger& log_;
  ApplyLoop* apply_ = nullptr;
  env::Executor* apply_executor_ = nullptr;

  absl::btree_map<int64_t, Lease> leases_;
  lease::ExpiryQueue queue_;  // primary only
  Term primary_term_;         // 0 = not primary
  size_t ends_under_way_ = 0;
  std::map<int64_t, std::vector<OnRenewed>> wait_for_end_;
  env::TimerId timer_, checkpoint_timer_;
  int64_t timer_at_ = INT64_MAX;
  std::map<uint64_t, std::unique_ptr<Forwarded>> forwarded_;
  uint64_t next_forwarded_ = 0;
  bool stopping_ = false;
};

}  // namespace quoin::server

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

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "base/log.h"
#include "base/shared_bytes.h"
#include "env/executor.h"
#include "lease/expiry_queue.h"
#include "lease/lessor.h"
#include "server/config.h"
#include "server/lease_forwarder.h"
#include "server/lease_host.h"
#include "server/lease_lister.h"
#include "server/node_info.h"
#include "server/shared_questions.h"

namespace quoin::server {

// What TimeToLive tells. Value type.
struct LeaseTimes {
  int64_t ttl_seconds = -1;  // what is left; −1: there is no such lease
  int64_t granted_seconds = 0;
  SharedBytes keys;  // LeaseTimeToLiveResponse.keys as they travel
};

class LeaseLoop {
 public:
  // Replies run on this loop. The TTL is 0 when there is no such lease.
  using OnRenewed = absl::AnyInvocable<void(StatusOr<int64_t> ttl_seconds)>;
  using OnTimes = absl::AnyInvocable<void(StatusOr<LeaseTimes>)>;
  using OnList = LeaseLister::Done;
  enum class Elsewhere : uint8_t { kForward, kRefuse };  // when this member is not primary

  LeaseLoop(const NodeConfig& config, NodeInfo& info, env::Executor& loop, LeaseHost& host,
            Logger& log);
  // No further proposals; waiting requests are answered.
  void Stop();

  // --- posted by the apply loop, in the order of the log ---
  void OnChanges(const std::vector<lease::Change>& changes);
  void OnReplaced(const std::vector<lease::Change>& all);
  // Up to this index of the log, all changes of leases have been told.
  void OnHeard(Index index) { heard_ = std::max(heard_, index); }
  // An empty entry of `term` has been applied here: its leader's first, unless one came before.
  void OnFirstEntry(Term term);
  // This member has ceased to lead, perhaps to lead again in a later term.
  void OnDeposed();

  // --- requests ---
  // `came_at`: when it came to this process. A lease that lived then is renewed, however long the
  // request has waited for its turn here.
  void Renew(int64_t id, env::Duration came_at, Elsewhere elsewhere, OnRenewed reply);
  // The same when there is nothing to wait for; otherwise nothing happens, and Renew must be
  // called.
  std::optional<int64_t> RenewAtOnce(int64_t id, env::Duration came_at);
  // With keys: equal questions share an answer, and those of callers that have gone cost nothing.
  void TimeToLive(int64_t id, bool with_keys, Elsewhere elsewhere, OnTimes reply,
                  Wanted wanted = nullptr);
  // All leases, those that end first in front; an answer is shared by all who wait for it.
  void List(OnList reply, Wanted wanted = nullptr);

  // Ends that are on their way through the log at once: what a storm of them may take from others.
  static const size_t kEndsAtOnce;
  static constexpr env::Duration kRetryEnd = std::chrono::milliseconds(500);
  static constexpr env::Duration kCheckpointInterval = std::chrono::minutes(5);
  // Of one proposal; the next one waits until it is applied.
  static constexpr size_t kCheckpointsAtOnce = 1000;

 private:
  struct Lease {
    int64_t ttl_seconds = 0;
    int64_t remaining_seconds = 0;  // of the last checkpoint; 0 = none
    int64_t expires_at = INT64_MAX;
    bool queued = false;  // queue_ has it, at expires_at or before
    bool ending = false;  // its end is proposed
  };
  struct Waiting {
    int64_t came_at;
    Elsewhere elsewhere;
    OnRenewed reply;
  };
  using WithKeys = std::pair<int64_t, Elsewhere>;
  using Waits = absl::btree_map<int64_t, std::vector<Waiting>>;

  int64_t Now() const { return loop_.clock().Now().count(); }
  // Leader of the term in which this member became primary.
  bool IsPrimary() const;
  // Another leader may have been elected so long ago that it would not know of what is renewed
  // now. It gives every lease an election timeout more than its time, from its election on.
  bool MayBeDeposed(int64_t now) const;
  // No entry of this leader's log has changed leases without being told here.
  bool HasHeardAll() const;
  void Prove(LeaseHost::OnStatus then);
  void Demote();

  void RenewHere(int64_t id, Waiting request);
  void ForwardRenewal(int64_t id, OnRenewed reply);
  void Extend(int64_t id, Lease& lease, int64_t now);
  void Queue(int64_t id, Lease& lease, int64_t at);
  void Clear(int64_t id, Waiting request);
  void OnCleared(int64_t id, const Status& status);

  void ArmTimer();
  void OnTimer();
  void EndExpired(int64_t now);
  void End(int64_t id, Lease& lease);
  void OnEndProposed(int64_t id, const Status& status);

  void ArmCheckpoints();
  void CheckpointFrom(int64_t id);
  void ProposeCheckpoint(const std::vector<std::pair<int64_t, int64_t>>& remaining,
                         LeaseHost::OnStatus done);

  void FindTimes(int64_t id, bool with_keys, Elsewhere elsewhere, OnTimes reply);
  void TimeToLiveHere(int64_t id, bool with_keys, OnTimes reply);
  void ForwardTimeToLive(int64_t id, bool with_keys, OnTimes reply);

  const NodeConfig& config_;
  NodeInfo& info_;
  env::Executor& loop_;
  LeaseHost& host_;
  Logger& log_;
  LeaseForwarder forwarder_;
  LeaseLister lister_;
  SharedQuestions<int, SharedBytes> lists_;
  SharedQuestions<WithKeys, StatusOr<LeaseTimes>> with_keys_;

  absl::btree_map<int64_t, Lease> leases_;
  lease::ExpiryQueue queue_;  // primary only
  Term primary_term_;         // 0 = not primary
  Index heard_;
  int64_t proved_at_ = INT64_MIN / 2;  // by a round of this loop's own; as NodeInfo::lead_proved_at
  size_t ends_under_way_ = 0;
  Waits wait_for_end_;
  Waits wait_for_clearing_;
  env::TimerId timer_, checkpoint_timer_;
  int64_t timer_at_ = INT64_MAX;
  bool ends_posted_ = false;  // EndExpired is in the mailbox
  bool stopping_ = false;
};

}  // namespace quoin::server

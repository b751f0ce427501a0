// StateMachine: what the replicated log means. Apply is a function of (state, index, command): no
// clock, randomness, node identity, hash order or file size takes part, so that equal logs give
// equal states.
//
// There are StateMachine (the one switch), ApplyResult (what the client that waits gets), and one
// file per family of commands: kv_commands, txn, lease_commands, alarm_commands, cluster_commands,
// auth_commands.
//
// Thread: the apply loop; readers use store() and the published copies only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/auth_store.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "btree/tree.h"
#include "cluster/membership.h"
#include "lease/lessor.h"
#include "mvcc/store.h"
#include "raft_types/types.h"
#include "state/command.h"
#include "state/shown.h"

namespace quoin::state {

// The answer to one command. `body` is the encoded response message without its header (field 1):
// whoever answers the client puts the header in front, which protobuf's merge rule joins.
struct ApplyResult {
  Status status;
  int64_t revision = 0;  // for the header
  std::string body;
  bool wait_for_compaction =
      false;  // a `physical` compaction: answer when the pending one has finished
};

struct Options {
  // What the flags of this member say. They decide about entries of etcd's members only: those of
  // quoin's bring what their proposer's flags said (docs/design/0017).
  int64_t lease_ttl_seconds_min = 2;  // ceil(1.5 × election timeout)
  size_t learners_max = 1;

  // A server ends on an entry that it could not serve behind; a tool that only looks goes on.
  enum class Purpose : uint8_t { kServe, kLook };
  Purpose purpose = Purpose::kServe;
  Version server_version;  // kServe: of this server; a cluster of a higher minor ends it
};

// Any number that an older state may hold; only the named ones are made.
enum class AlarmType : int32_t { kNone = 0, kNoSpace = 1, kCorrupt = 2 };

// etcd's buckets: a data file holds all of them from its first moment.
std::vector<std::string> BucketNames();

class StateMachine {
 public:
  // Reads everything from the tree (which may be empty: then the ten buckets are made).
  static StatusOr<std::unique_ptr<StateMachine>> Open(btree::Tree& tree, const Options& options,
                                                      Logger& log);

  // Applies one normal entry. `want_result`: a client of this member waits, so the answer is worth
  // making (what it shows beside the effect is skipped otherwise, and is bounded, see Shown).
  // Entries at or below applied_index() are ignored. An operation that does not parse is a bug or
  // damage, and one whose meaning is not known here must not be passed over: the process ends
  // (members would differ otherwise), and nothing of the entry or behind it has been published.
  ApplyResult Apply(Index index, Term term, const Command& command, bool want_result);

  // Applies a committed configuration change. Returns whether it took effect (a refused one is a
  // no-op for raft), the status for the proposer, and the configuration to persist.
  struct ConfChangeResult {
    Status status;
    bool effective = false;
  };
  ConfChangeResult ApplyConfChange(Index index, Term term, const raft::ConfChange& change);
  // After raft has switched: what meta/confState says from now on.
  void SetConfState(const raft::ConfState& state);

  // Ends a batch: applied index, term and effects become one tree transaction, visible to readers.
  void Publish();

  // Does a bounded part of a pending compaction; true when none is left.
  bool CompactionSlice(size_t revisions_max);

  Index applied_index() const { return applied_index_; }
  Term applied_term() const { return applied_term_; }
  const raft::ConfState& conf_state() const { return conf_state_; }
  mvcc::Store& store() { return *store_; }
  btree::Tree& tree() { return tree_; }
  const cluster::Membership& membership() const { return membership_; }
  const lease::Lessor& lessor() const { return lessor_; }
  std::vector<lease::Change> TakeLeaseChanges() { return lessor_.TakeChanges(); }
  const auth::AuthStore& auth() const { return auth_; }
  using Alarm = std::pair<uint64_t, AlarmType>;  // member id, what
  const std::set<Alarm>& alarms() const { return alarms_; }
  const std::string& storage_version() const { return storage_version_; }

 private:
  StateMachine(btree::Tree& tree, const Options& options, Logger& log);
  Status Load();
  Status LoadMeta(const btree::Snapshot& snapshot);
  Status LoadAlarms(const btree::Snapshot& snapshot);
  ApplyResult Dispatch(const Command& command, bool want_result);
  // The alarm that forbids this command, if any (internals: CORRUPT, then NOSPACE).
  Status AdmitUnderAlarms(const Command& command) const;
  bool HasAlarm(AlarmType type) const;
  // Ends the process: the entry that is being applied means what this version does not know.
  [[noreturn]] void EndOn(std::string_view what) const;

  // kv_commands.cc
  ApplyResult Put(const PutCommand& put);
  ApplyResult DeleteRange(std::string_view payload, Shown::For whom);
  ApplyResult Range(std::string_view payload);
  ApplyResult Compact(std::string_view payload);
  // txn.cc
  ApplyResult Txn(std::string_view payload, Shown::For whom);
  // lease_commands.cc
  ApplyResult LeaseGrant(const Command& command);
  ApplyResult LeaseRevoke(std::string_view payload);
  ApplyResult LeaseCheckpoint(std::string_view payload);
  // alarm_commands.cc
  ApplyResult Alarms(std::string_view payload);
  // cluster_commands.cc
  ApplyResult ClusterVersionSet(std::string_view payload);
  ApplyResult ClusterMemberAttributesSet(std::string_view payload);
  ApplyResult DowngradeInfoSet(std::string_view payload);
  ApplyResult LegacyV2(std::string_view payload);
  void ApplyClusterVersion(std::string version);
  // auth_commands.cc
  ApplyResult Auth(const Command& command);

  // Writes one put and moves the key's lease; shared by Put and Txn.
  void PutKey(mvcc::WriteTxn& txn, std::string_view key, std::string_view value, int64_t lease);
  // Deletes an interval and detaches leases.
  int64_t DeleteKeys(mvcc::WriteTxn& txn, std::string_view key, std::string_view range_end);
  friend class TxnExecutor;

  btree::Tree& tree_;
  btree::Writer& writer_;
  const Options options_;
  Logger& log_;
  std::unique_ptr<mvcc::Store> store_;
  lease::Lessor lessor_;
  auth::AuthStore auth_;
  cluster::Membership membership_;
  std::set<Alarm> alarms_;
  raft::ConfState conf_state_;
  std::string storage_version_;
  Index applied_index_;
  Term applied_term_;
  mvcc::ReadBudget shown_left_ = kShownOfBatch;  // of the batch; no part of the state
};

// The command of a logged entry; ends the process when it is none.
Command ParseLogged(Index index, std::string_view entry_data);

// The change of a logged entry of another type; ends the process when it is none that is known. Of
// the two forms etcd's state machine knows the first only.
raft::ConfChange ParseLoggedChange(const raft::Entry& entry);

// A tree operation of the apply loop that cannot fail except by a broken disk or a broken file.
void MustSucceed(const Status& status);
template <typename T>
T MustSucceed(StatusOr<T> result) {
  MustSucceed(result.status());
  return *std::move(result);
}

}  // namespace quoin::state

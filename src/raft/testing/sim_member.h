// SimMember: one member of a simulated cluster: a Raft, a disk that is slow and forgets at a crash
// what it has not finished, and a state machine that is a hash over what it applied.
//
// Thread: one.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/prng.h"
#include "raft/raft.h"

namespace quoin::raft::testing {

// A deliberate mistake, to see that the checks find it.
enum class Mutant : uint8_t {
  kNone,
  kCommitsByCountingAnyTerm,  // figure 8
  kForgetsItsVote,            // at a crash
  kForgetsItsTerm,            // at a crash: term and vote of the last write
  kAnswersBeforeDurable,      // after_persist leaves at once, and writes count as done
  kAppliesUnstableEntries,
  kReadsBeforeOwnTerm,
  kCommitsByOneHalf,    // of a joint configuration
  kCountsRemovedVotes,  // asks who is no member any more, and counts them
  kAdoptsAtAppend,      // changes of the configuration
};

struct MachineState {
  Index applied;
  Term applied_term;
  uint64_t hash = 0;
  ConfState conf_state;
};

SharedBytes EncodeState(const MachineState& state);
MachineState DecodeState(const Snapshot& snapshot);

// What a restart finds.
struct Disk {
  HardState hard_state;
  Index synced_commit;  // what a crash leaves of hard_state.commit at least
  Term start_term;      // of the entry before the first
  Index start;
  std::vector<Entry> entries;
  MachineState checkpoint;

  Index last() const { return start + entries.size(); }
  std::optional<Term> TermAt(Index index) const;
};

class SimMember {
 public:
  struct Write {
    PersistId id;
    bool must_sync = false;
    std::optional<HardState> hard_state;
    std::vector<Entry> entries;
    std::optional<Snapshot> snapshot;
    std::vector<Message> after;
  };

  SimMember(const Config& config, Disk disk) : config_(config), disk_(std::move(disk)) {}

  NodeId id() const { return config_.id; }
  const Config& config() const { return config_; }
  bool running() const { return raft_ != nullptr; }
  Raft& raft() { return *raft_; }
  const Raft& raft() const { return *raft_; }
  const Disk& disk() const { return disk_; }
  const MachineState& state() const { return state_; }
  const std::deque<Entry>& to_apply() const { return to_apply_; }
  bool writing() const { return !pending_.empty(); }
  bool has_finished_writes() const { return !finished_.empty(); }

  void Start(uint64_t seed);
  // Loses what is not written, except for writes that happen to have reached the disk unheard.
  void Crash(Prng& prng, Mutant mutant);
  Ready TakeReady();
  // The disk finishes its oldest write, which is returned. nullptr: it could not, since that would
  // leave a gap.
  const Write* FinishWrite();
  // Tells Raft about finished writes, and returns the messages that waited for them.
  std::vector<Message> ReportWrites();
  // Applies the next entry and tells Raft, at once or with a later one.
  void ApplyOne(bool report);
  void ReportApplied() { raft_->Applied(state_.applied); }
  void Checkpoint();
  void Compact(Index index);
  Snapshot TakeSnapshot() const;

 private:
  Config config_;
  Disk disk_;
  std::unique_ptr<Raft> raft_;
  MachineState state_;
  std::deque<Write> pending_;
  std::deque<Write> finished_;  // durable, but Raft does not know yet
  std::deque<Entry> to_apply_;
};

}  // namespace quoin::raft::testing

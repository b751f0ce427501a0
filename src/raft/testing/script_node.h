// ScriptNode: one member as the scripts see it. Around a Raft it rebuilds etcd's interface: a Ready
// that shows messages among the writes, Advance, and storage threads that are fed by messages.
//
// Thread: one.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "raft/raft.h"
#include "raft/testing/describe.h"

namespace quoin::raft::testing {

struct ScriptNodeOptions {
  Config config;
  bool async_storage_writes = false;
  Snapshot bootstrap;  // empty: a node without any state
};

class ScriptNode {
 public:
  explicit ScriptNode(ScriptNodeOptions options);

  Raft& raft() { return *raft_; }
  const Raft& raft() const { return *raft_; }
  NodeId id() const { return options_.config.id; }
  const Config& config() const { return options_.config; }

  // Takes a Ready and does with it what the mode says; messages to others go to `outbox`. Returns
  // its text.
  std::string ProcessReady(std::vector<ScriptMessage>& outbox);
  // One piece of the storage threads' work.
  std::string ProcessAppendThread(std::vector<ScriptMessage>& outbox);
  std::string ProcessApplyThread(std::vector<ScriptMessage>& outbox);
  bool HasAppendWork() const { return !append_work_.empty(); }
  bool HasApplyWork() const { return !apply_work_.empty(); }
  // Delivers a message, of a peer or of a thread. Returns an error's text or nothing.
  std::string Step(const ScriptMessage& message);

  void CompactStorage(Index index);
  // Loses everything that is not on the disk and starts again from there.
  void Restart();
  const Snapshot& state() const { return history_.back(); }
  Index first_stored() const { return start_.index + 1; }
  const std::vector<Entry>& stored() const { return stored_; }

 private:
  std::string DescribeReady(const Ready& ready, const std::vector<ScriptMessage>& messages);
  std::vector<ScriptMessage> StorageMessages(const Ready& ready) const;
  ScriptMessage AppendMessage(const Ready& ready) const;
  void FinishSynchronously(const Ready& ready);
  void Store(const HardState& hard_state, const std::vector<Entry>& entries,
             const Snapshot& snapshot);
  void ApplyEntries(const std::vector<Entry>& entries);
  void OfferState();

  ScriptNodeOptions options_;
  std::unique_ptr<Raft> raft_;
  // The disk.
  HardState hard_state_;
  struct {
    Term term;
    Index index;
  } start_;
  std::vector<Entry> stored_;
  // The state machine after each entry: its data is all commands in a row.
  std::vector<Snapshot> history_;

  HardState shown_hard_state_;
  std::deque<ScriptMessage> append_work_;
  std::deque<ScriptMessage> apply_work_;
};

}  // namespace quoin::raft::testing

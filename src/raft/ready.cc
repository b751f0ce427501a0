// What leaves the core, and what comes back about it: §10.2.1.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "raft/core.h"

namespace quoin::raft {

HardState Core::CurrentHardState() const { return {term_, vote_, log_.committed()}; }

bool Core::HasToPersist() const {
  return CurrentHardState() != reported_hard_state_ || log_.HasToPersist() ||
         snapshot_to_install_.has_value();
}

bool Core::HasReady() const {
  return CurrentSoftState() != reported_soft_state_ || HasToPersist() || log_.HasToApply() ||
         !messages_.empty() || !after_persist_.empty() || !read_states_.empty() || read_round_due_;
}

// With nothing to write and nothing being written, our own answers need not wait for a write.
void Core::DeliverToSelfAtOnce() {
  while (!expose_messages_to_self_ && !HasToPersist() && persisting_.empty()) {
    auto to_self = [this](const Message& message) { return message.to == self(); };
    auto first = std::find_if(after_persist_.begin(), after_persist_.end(), to_self);
    if (first == after_persist_.end()) return;
    Message message = std::move(*first);
    after_persist_.erase(first);
    Dispatch(message);
  }
}

Ready Core::TakeReady() {
  DeliverToSelfAtOnce();
  if (read_round_due_ && IsLeader()) BroadcastHeartbeat();
  read_round_due_ = false;

  ++next_ready_;
  Ready ready;
  if (CurrentSoftState() != reported_soft_state_) {
    ready.soft_state = reported_soft_state_ = CurrentSoftState();
  }
  const HardState hard_state = CurrentHardState();
  ready.entries = log_.HandOut();
  ready.snapshot = std::exchange(snapshot_to_install_, std::nullopt);
  ready.must_sync = !ready.entries.empty() || ready.snapshot.has_value() ||
                    hard_state.term != reported_hard_state_.term ||
                    hard_state.vote != reported_hard_state_.vote;
  if (hard_state != reported_hard_state_) ready.hard_state = reported_hard_state_ = hard_state;
  ready.committed = log_.HandOutCommitted();
  ready.messages = std::exchange(messages_, {});
  ready.read_states = std::exchange(read_states_, {});
  RouteAfterPersist(ready);
  return ready;
}

void Core::RouteAfterPersist(Ready& ready) {
  const bool writes =
      ready.hard_state.has_value() || !ready.entries.empty() || ready.snapshot.has_value();
  std::vector<Message> after = std::exchange(after_persist_, {});
  if (!writes && (after.empty() || (persisting_.empty() && !expose_messages_to_self_))) {
    // What they promise is durable already.
    for (Message& message : after) ready.messages.push_back(std::move(message));
    return;
  }
  Persisting record{.id = ++last_persist_id_, .last = log_.handed_out()};
  if (ready.snapshot.has_value()) record.snapshot = ready.snapshot->metadata.index;
  for (Message& message : after) {
    const bool keep = message.to == self() && !expose_messages_to_self_;
    (keep ? record.to_self : ready.after_persist).push_back(std::move(message));
  }
  ready.persist_id = record.id;
  persisting_.push_back(std::move(record));
}

// Entries from `index` on are gone or about to be overwritten: writes under way say nothing about
// what comes there now, even if it should be the same entry again; and acknowledgements of them
// that have not left never will.
void Core::ForgetDurabilityFrom(Index index) {
  for (Persisting& record : persisting_) {
    if (record.last >= index) record.last = index.value() == 0 ? Index(0) : index - 1;
  }
  std::erase_if(after_persist_, [index](const Message& message) {
    return message.type == MessageType::kAppResp && !message.reject && message.index >= index;
  });
}

void Core::Persisted(PersistId id) {
  CHECK_LE(id, last_persist_id_);
  std::vector<Message> to_self;
  while (!persisting_.empty() && persisting_.front().id <= id) {
    Persisting& record = persisting_.front();
    log_.StableTo(record.last);
    if (record.snapshot.value() != 0) {
      log_.SnapshotInstalled(record.snapshot);
      members_until_installed_.reset();
    }
    std::move(record.to_self.begin(), record.to_self.end(), std::back_inserter(to_self));
    persisting_.pop_front();
  }
  for (Message& message : to_self) Dispatch(message);
}

void Core::Applied(Index index) {
  if (index <= log_.applied()) return;
  const size_t data_bytes = log_.AppliedTo(index);
  uncommitted_bytes_ -= std::min(uncommitted_bytes_, data_bytes);
  MaybeLeaveJoint();
}

void Core::Compact(Index index, SnapshotMetadata snapshot, SharedBytes data) {
  CHECK_LE(index, snapshot.index);
  CHECK_LE(snapshot.index, log_.applied());
  if (snapshot.index >= offered_snapshot_.metadata.index) {
    offered_snapshot_ = {std::move(data), std::move(snapshot)};
  }
  log_.CompactTo(index);
}

// The end of what no follower that answers lacks.
Index Core::NotWaitedFor() const {
  Index end = std::min(log_.applied(), log_.stable());
  if (!IsLeader()) return end;
  for (const auto& [id, progress] : members_.progress) {
    if (id == self() || !progress.Answers()) continue;
    const bool snapshot_on_its_way = progress.state == Progress::State::kSnapshot;
    end = std::min(end, snapshot_on_its_way ? progress.pending_snapshot : progress.match);
  }
  return end;
}

// Where the log has to begin to be no larger than `bytes_max`, at most `limit`.
Index Core::EndOfExcess(size_t bytes_max, Index limit) const {
  Index end = log_.start().index;
  if (log_.bytes() <= bytes_max) return end;
  // Some room at once, so that this is not done for every entry.
  size_t excess = log_.bytes() - bytes_max + bytes_max / 8;
  while (end < limit && excess > 0) {
    ++end;
    excess -= std::min(excess, EntryBytes(log_.At(end)));
  }
  return end;
}

void Core::TrimLog(const LogBounds& bounds) {
  // Between a snapshot and its installation the configuration is not that of what is applied.
  if (log_.HasPendingSnapshot() || members_until_installed_.has_value()) return;
  const Index start = log_.start().index;
  const Index droppable = std::min(log_.applied(), log_.stable());
  const Index not_waited_for = NotWaitedFor();
  Index end = start;
  if (droppable - start > bounds.entries_kept)
    end = std::max(end, std::min(droppable - bounds.entries_kept, not_waited_for));
  end = std::max(end, EndOfExcess(bounds.bytes_max, not_waited_for));
  end = std::max(end, EndOfExcess(bounds.bytes_waited_for_max, droppable));
  if (end == start) return;
  const Index applied = log_.applied();
  Compact(end, {ToConfState(members_.configuration), applied, *log_.TermAt(applied)},
          SharedBytes());
}

}  // namespace quoin::raft

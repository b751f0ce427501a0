#include "raft/testing/sim_member.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "raft_types/codec.h"

namespace quoin::raft::testing {
namespace {

uint64_t Mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 29);
}

uint64_t HashOf(std::string_view data) {
  uint64_t hash = data.size();
  for (char c : data) hash = Mix(hash, static_cast<uint8_t>(c));
  return hash;
}

}  // namespace

SharedBytes EncodeState(const MachineState& state) {
  return SharedBytes::Make(sizeof(state.hash),
                           [&](char* out) { std::memcpy(out, &state.hash, sizeof(state.hash)); });
}

MachineState DecodeState(const Snapshot& snapshot) {
  MachineState state;
  state.applied = snapshot.metadata.index;
  state.applied_term = snapshot.metadata.term;
  state.conf_state = snapshot.metadata.conf_state;
  CHECK_EQ(snapshot.data.size(), sizeof(state.hash));
  std::memcpy(&state.hash, snapshot.data.data(), sizeof(state.hash));
  return state;
}

std::optional<Term> Disk::TermAt(Index index) const {
  if (index == start) return start_term;
  if (index < start || index > last()) return std::nullopt;
  return entries[index - (start + 1)].term;
}

void SimMember::Start(uint64_t seed) {
  CHECK(!running());
  RecoveredState recovered;
  recovered.hard_state = disk_.hard_state;
  recovered.snapshot = {disk_.checkpoint.conf_state, disk_.start, disk_.start_term};
  recovered.entries = disk_.entries;
  recovered.applied = disk_.checkpoint.applied;
  state_ = disk_.checkpoint;
  raft_ = std::make_unique<Raft>(config_, std::move(recovered), seed);
}

void SimMember::Crash(Prng& prng, Mutant mutant) {
  CHECK(running());
  uint64_t reached = prng.Below(pending_.size() + 1);
  while (reached-- > 0 && FinishWrite() != nullptr) {
  }
  raft_.reset();
  pending_.clear();
  finished_.clear();
  to_apply_.clear();
  // A commit index alone is written without a sync: any since the last synced write may be what is
  // left.
  const Index low = std::min(disk_.synced_commit, disk_.hard_state.commit);
  disk_.hard_state.commit = low + prng.Below(disk_.hard_state.commit - low + 1);
  if (mutant == Mutant::kForgetsItsVote) disk_.hard_state.vote = NodeId(0);
  if (mutant == Mutant::kForgetsItsTerm && disk_.hard_state.term.value() > 1) {
    const Term last = disk_.entries.empty() ? disk_.start_term : disk_.entries.back().term;
    disk_.hard_state.term = std::max(last, disk_.hard_state.term - 1);
    disk_.hard_state.vote = NodeId(0);
  }
}

Ready SimMember::TakeReady() {
  Ready ready = raft_->TakeReady();
  if (ready.persist_id.value() != 0) {
    pending_.push_back({ready.persist_id, ready.must_sync, ready.hard_state, ready.entries,
                        ready.snapshot, ready.after_persist});
  } else {
    CHECK(ready.after_persist.empty());
  }
  for (const Entry& entry : ready.committed) to_apply_.push_back(entry);
  return ready;
}

const SimMember::Write* SimMember::FinishWrite() {
  CHECK(!pending_.empty());
  Write write = std::move(pending_.front());
  pending_.pop_front();
  if (write.hard_state) disk_.hard_state = *write.hard_state;
  if (write.snapshot) {
    disk_.entries.clear();
    disk_.start = write.snapshot->metadata.index;
    disk_.start_term = write.snapshot->metadata.term;
    disk_.checkpoint = DecodeState(*write.snapshot);
  }
  for (const Entry& entry : write.entries) {
    if (entry.index <= disk_.start) continue;
    const size_t at = entry.index - (disk_.start + 1);
    if (at > disk_.entries.size()) return nullptr;
    if (&entry == &write.entries.front()) disk_.entries.resize(at);
    disk_.entries.push_back(entry);
  }
  if (write.must_sync) disk_.synced_commit = disk_.hard_state.commit;
  finished_.push_back(std::move(write));
  return &finished_.back();
}

std::vector<Message> SimMember::ReportWrites() {
  std::vector<Message> messages;
  while (!finished_.empty()) {
    Write write = std::move(finished_.front());
    finished_.pop_front();
    if (write.snapshot) {
      state_ = DecodeState(*write.snapshot);
      to_apply_.clear();
    }
    std::move(write.after.begin(), write.after.end(), std::back_inserter(messages));
    raft_->Persisted(write.id);
  }
  return messages;
}

void SimMember::ApplyOne(bool report) {
  const Entry entry = std::move(to_apply_.front());
  to_apply_.pop_front();
  CHECK_EQ(entry.index, state_.applied + 1);
  std::optional<ConfChangeV2> change;
  if (entry.type == EntryType::kConfChange) {
    change = AsV2(*DecodeConfChange(entry.data.view()));
  } else if (entry.type == EntryType::kConfChangeV2) {
    change = *DecodeConfChangeV2(entry.data.view());
  }
  if (entry.type != EntryType::kNormal) {
    // The application refuses some, on every member the same ones.
    if (HashOf(entry.data.view()) % 8 == 0 && !change->changes.empty() && entry.index.value() > 8) {
      change = std::nullopt;
    }
    state_.conf_state = raft_->ConfChangeApplied(entry.index, change);
  }
  state_.hash = Mix(Mix(state_.hash, entry.term.value()), HashOf(entry.data.view()));
  state_.applied = entry.index;
  state_.applied_term = entry.term;
  if (report) ReportApplied();
}

void SimMember::Checkpoint() {
  // A snapshot may be on the disk already that the state machine has not taken.
  if (state_.applied >= disk_.checkpoint.applied) disk_.checkpoint = state_;
}

void SimMember::Compact(Index index) {
  index = std::min(index, disk_.checkpoint.applied);
  if (index <= disk_.start) return;
  const MachineState& checkpoint = disk_.checkpoint;
  if (raft_->Status().applied < checkpoint.applied) return;  // not yet reported
  raft_->Compact(index, {checkpoint.conf_state, checkpoint.applied, checkpoint.applied_term},
                 EncodeState(checkpoint));
  const Term term = *disk_.TermAt(index);
  disk_.entries.erase(disk_.entries.begin(),
                      disk_.entries.begin() + static_cast<ptrdiff_t>(index - disk_.start));
  disk_.start = index;
  disk_.start_term = term;
}

Snapshot SimMember::TakeSnapshot() const {
  return {EncodeState(state_), {state_.conf_state, state_.applied, state_.applied_term}};
}

}  // namespace quoin::raft::testing

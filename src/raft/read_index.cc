// Read-only requests without a log entry: §6.4.
#include "raft/read_index.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "raft/core.h"

namespace quoin::raft {

std::string EncodeReadContext(uint64_t count) {
  std::string context(8, '\0');
  for (size_t i = 0; i < context.size(); ++i) context[i] = static_cast<char>(count >> (8 * i));
  return context;
}

std::optional<uint64_t> DecodeReadContext(std::string_view context) {
  if (context.size() < 8) return std::nullopt;
  uint64_t count = 0;
  for (size_t i = 0; i < 8; ++i) count |= uint64_t{static_cast<uint8_t>(context[i])} << (8 * i);
  return count;
}

void ReadQueue::Add(PendingRead read, NodeId self) {
  ++count_;
  acknowledged_[self] = count_;
  waiting_.push_back(std::move(read));
}

void ReadQueue::Acknowledge(NodeId from, uint64_t count) {
  if (count > count_) return;
  uint64_t& acknowledged = acknowledged_[from];
  acknowledged = std::max(acknowledged, count);
}

std::vector<PendingRead> ReadQueue::TakeConfirmed(const JointQuorum& voters) {
  std::vector<PendingRead> confirmed;
  if (waiting_.empty()) return confirmed;
  const uint64_t agreed = voters.Agreed([this](NodeId id) -> std::optional<uint64_t> {
    auto at = acknowledged_.find(id);
    return at == acknowledged_.end() ? std::nullopt : std::optional<uint64_t>(at->second);
  });
  if (agreed == kEverything) return confirmed;  // no voters, no proof
  const uint64_t first = count_ - waiting_.size() + 1;
  if (agreed < first) return confirmed;
  const auto end = waiting_.begin() + static_cast<ptrdiff_t>(agreed - first + 1);
  confirmed.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  return confirmed;
}

ProposeResult Core::ReadIndex(std::string context) {
  if (IsLeader()) {
    if (reads_.size() + postponed_reads_.size() >= kWaitingReadsMax) {
      return ProposeResult::kDroppedFull;
    }
    StartRead(self(), std::move(context));
    return ProposeResult::kAccepted;
  }
  if (role_ != Role::kFollower || leader_.value() == 0) return ProposeResult::kNoLeader;
  Message request{.type = MessageType::kReadIndex, .to = leader_};
  request.entries.push_back({.data = SharedBytes(context)});
  Send(std::move(request));
  return ProposeResult::kForwarded;
}

StepResult Core::OnReadIndex(Message& request) {
  if (IsLeader()) {
    if (reads_.size() + postponed_reads_.size() >= kWaitingReadsMax) return StepResult::kDropped;
    StartRead(request.from, std::string(request.entries[0].data.view()));
    return StepResult::kAccepted;
  }
  if (role_ != Role::kFollower || leader_.value() == 0) return StepResult::kDropped;
  request.to = leader_;
  Send(std::move(request));
  return StepResult::kAccepted;
}

StepResult Core::OnReadIndexResponse(Message& response) {
  if (role_ != Role::kFollower) return StepResult::kDropped;
  read_states_.push_back({response.index, std::string(response.entries[0].data.view())});
  return StepResult::kAccepted;
}

bool Core::CommittedInCurrentTerm() const { return log_.TermAt(log_.committed()) == term_; }

void Core::StartRead(NodeId from, std::string context) {
  CHECK(IsLeader());
  PendingRead read{from, std::move(context), log_.committed()};
  // "If the leader has not yet marked an entry from its current term committed, it waits until it
  // has done so": before that it does not know what its predecessors committed.
  if (!CommittedInCurrentTerm()) {
    postponed_reads_.push_back(std::move(read));
    return;
  }
  const JointQuorum& voters = members_.configuration.voters;
  // Every quorum that may elect another leader includes this member: a change of its configuration
  // follows the one before only when that is applied here. So it would know. The read still waits
  // for what is committed now, because another member may have applied it.
  const bool alone =
      !voters.joint() && voters.incoming.voters.size() == 1 && voters.Contains(self());
  if (alone || config_.read_only == ReadOnlyMode::kLeaseBased) {
    CHECK_EQ(read.index, log_.committed());
    AnswerRead(read);
    return;
  }
  // "The leader needs to make sure it hasn't been superseded by a newer leader of which it is
  // unaware. It issues a new round of heartbeats": one round for all reads that came since the last
  // Ready.
  reads_.Add(std::move(read), self());
  read_round_due_ = true;
}

void Core::StartPostponedReads() {
  if (postponed_reads_.empty() || !CommittedInCurrentTerm()) return;
  std::vector<PendingRead> reads = std::exchange(postponed_reads_, {});
  for (PendingRead& read : reads) StartRead(read.from, std::move(read.context));
}

void Core::AnswerRead(const PendingRead& read) {
  if (read.from == self()) {
    read_states_.push_back({read.index, read.context});
    return;
  }
  Message response{.type = MessageType::kReadIndexResp, .to = read.from, .index = read.index};
  response.entries.push_back({.data = SharedBytes(read.context)});
  Send(std::move(response));
}

void Core::AnswerConfirmedReads() {
  for (const PendingRead& read : reads_.TakeConfirmed(members_.configuration.voters)) {
    AnswerRead(read);
  }
}

}  // namespace quoin::raft

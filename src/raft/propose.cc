// Proposals: "the leader appends the command to its log as a new entry, then issues AppendEntries
// RPCs in parallel": §5.3.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "raft/core.h"

namespace quoin::raft {

ProposeResult Core::Propose(std::vector<SharedBytes> requests) {
  std::vector<Entry> entries;
  entries.reserve(requests.size());
  for (SharedBytes& request : requests) {
    entries.push_back({.type = EntryType::kNormal, .data = std::move(request)});
  }
  if (entries.empty()) return ProposeResult::kAccepted;
  return IsLeader() ? ProposeAsLeader(std::move(entries)) : Forward(std::move(entries));
}

ProposeResult Core::ProposeEntry(Entry entry) {
  std::vector<Entry> entries;
  entries.push_back(std::move(entry));
  return IsLeader() ? ProposeAsLeader(std::move(entries)) : Forward(std::move(entries));
}

ProposeResult Core::Forward(std::vector<Entry> entries) {
  if (role_ != Role::kFollower || leader_.value() == 0 || config_.disable_proposal_forwarding) {
    return ProposeResult::kNoLeader;
  }
  Send({.type = MessageType::kProp, .to = leader_, .entries = std::move(entries)});
  return ProposeResult::kForwarded;
}

StepResult Core::OnPropose(Message& request) {
  if (request.entries.empty()) return StepResult::kRefused;
  for (const Entry& entry : request.entries) {
    if (JudgeConfChange(entry) == ConfChangeVerdict::kMalformed) return StepResult::kRefused;
  }
  if (IsLeader()) {
    const ProposeResult result = ProposeAsLeader(std::move(request.entries));
    return result == ProposeResult::kAccepted ? StepResult::kAccepted : StepResult::kDropped;
  }
  if (role_ != Role::kFollower || leader_.value() == 0 || config_.disable_proposal_forwarding) {
    return StepResult::kDropped;
  }
  // On behalf of whoever sent it to us.
  request.to = leader_;
  Send(std::move(request));
  return StepResult::kAccepted;
}

ProposeResult Core::ProposeAsLeader(std::vector<Entry> entries) {
  // Out of the configuration, but no successor yet: lead what is in the log, take nothing new.
  if (FindProgress(self()) == nullptr) return ProposeResult::kDroppedRemoved;
  if (transferee_.value() != 0) return ProposeResult::kDroppedTransfer;
  Index index = log_.last_index();
  for (Entry& entry : entries) {
    ++index;
    if (entry.type == EntryType::kNormal) continue;
    if (JudgeConfChange(entry) == ConfChangeVerdict::kProceed) {
      pending_conf_index_ = index;
    } else {
      // Its place in the log stays, so that whoever counts on later entries of this batch is not
      // disturbed.
      entry = Entry();
    }
  }
  if (!AppendAsLeader(std::move(entries))) return ProposeResult::kDroppedFull;
  BroadcastAppend();
  return ProposeResult::kAccepted;
}

// False: too much is uncommitted. Blank entries cost nothing and are never refused; nor is what
// comes first.
bool Core::AppendAsLeader(std::vector<Entry> entries) {
  CHECK(IsLeader());
  size_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.data.size();
  const size_t room =
      config_.uncommitted_bytes_max - std::min(config_.uncommitted_bytes_max, uncommitted_bytes_);
  if (uncommitted_bytes_ > 0 && bytes > room) return false;
  uncommitted_bytes_ += bytes;
  for (Entry& entry : entries) {
    entry.term = term_;
    log_.Append(std::move(entry));
  }
  // "The leader can write to its disk in parallel with replicating to the followers" (§10.2.1).
  // This response to itself is delivered when the write is durable.
  Send({.type = MessageType::kAppResp, .to = self(), .index = log_.last_index()});
  return true;
}

}  // namespace quoin::raft

#include "raft/testing/script_node.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "raft/testing/core_access.h"
#include "raft_types/codec.h"

namespace quoin::raft::testing {

ScriptNode::ScriptNode(ScriptNodeOptions options) : options_(std::move(options)) {
  options_.config.apply_unstable = !options_.async_storage_writes;
  start_ = {options_.bootstrap.metadata.term, options_.bootstrap.metadata.index};
  hard_state_.commit = start_.index;
  history_.push_back(options_.bootstrap);
  Restart();
}

void ScriptNode::Restart() {
  append_work_.clear();
  apply_work_.clear();
  RecoveredState recovered;
  recovered.hard_state = hard_state_;
  recovered.snapshot = {history_.back().metadata.conf_state, start_.index, start_.term};
  recovered.entries = stored_;
  recovered.applied = history_.back().metadata.index;
  shown_hard_state_ = hard_state_;
  raft_ = std::make_unique<Raft>(options_.config, std::move(recovered), id().value());
  CoreAccess::ExposeMessagesToSelf(*raft_);
  OfferState();
}

void ScriptNode::OfferState() {
  if (!history_.back().empty()) CoreAccess::OfferSnapshot(*raft_, history_.back());
}

void ScriptNode::CompactStorage(Index index) {
  const Snapshot& state = history_.back();
  raft_->Compact(index, state.metadata, state.data);
  const auto keep = stored_.begin() + static_cast<ptrdiff_t>(index - start_.index);
  start_ = {(keep - 1)->term, index};
  stored_.erase(stored_.begin(), keep);
}

// ---- Ready ----

std::string ScriptNode::ProcessReady(std::vector<ScriptMessage>& outbox) {
  const Ready ready = raft_->TakeReady();
  std::vector<ScriptMessage> messages;
  for (const Message& message : ready.messages) messages.push_back({message});
  if (options_.async_storage_writes) {
    for (ScriptMessage& message : StorageMessages(ready)) messages.push_back(std::move(message));
  } else {
    for (const Message& message : ready.after_persist) {
      if (message.to != id()) messages.push_back({message});
    }
  }
  const std::string text = DescribeReady(ready, messages);
  for (ScriptMessage& message : messages) {
    if (message.message.to == kAppendThread) {
      append_work_.push_back(std::move(message));
    } else if (message.message.to == kApplyThread) {
      apply_work_.push_back(std::move(message));
    } else {
      outbox.push_back(std::move(message));
    }
  }
  if (!options_.async_storage_writes) FinishSynchronously(ready);
  return text;
}

void ScriptNode::FinishSynchronously(const Ready& ready) {
  Store(ready.hard_state.value_or(HardState()), ready.entries, ready.snapshot.value_or(Snapshot()));
  ApplyEntries(ready.committed);
  for (const Message& message : ready.after_persist) {
    if (message.to == id()) CoreAccess::Deliver(*raft_, message);
  }
  if (ready.persist_id.value() != 0) raft_->Persisted(ready.persist_id);
  if (!ready.committed.empty()) raft_->Applied(ready.committed.back().index);
}

std::string ScriptNode::DescribeReady(const Ready& ready,
                                      const std::vector<ScriptMessage>& messages) {
  std::string text;
  if (ready.soft_state) text += Describe(*ready.soft_state) + "\n";
  bool must_sync = !ready.entries.empty();
  if (ready.hard_state) {
    text += "HardState " + Describe(*ready.hard_state) + "\n";
    must_sync = must_sync || ready.hard_state->term != shown_hard_state_.term ||
                ready.hard_state->vote != shown_hard_state_.vote;
    shown_hard_state_ = *ready.hard_state;
  }
  if (!ready.read_states.empty()) {
    text += "ReadStates";
    for (const ReadState& read : ready.read_states) {
      text += " " + read.context + "@" + std::to_string(read.index.value());
    }
    text += "\n";
  }
  if (!ready.entries.empty()) text += "Entries:\n" + Describe(ready.entries);
  if (ready.snapshot) text += "Snapshot " + Describe(*ready.snapshot) + "\n";
  if (!ready.committed.empty()) text += "CommittedEntries:\n" + Describe(ready.committed);
  if (!messages.empty()) text += "Messages:\n";
  for (const ScriptMessage& message : messages) text += Describe(message) + "\n";
  if (text.empty()) return "<empty Ready>\n";
  return std::string("Ready MustSync=") + (must_sync ? "true" : "false") + ":\n" + text;
}

// ---- writes as messages ----

std::vector<ScriptMessage> ScriptNode::StorageMessages(const Ready& ready) const {
  std::vector<ScriptMessage> messages;
  if (ready.persist_id.value() != 0) messages.push_back(AppendMessage(ready));
  if (!ready.committed.empty()) {
    ScriptMessage apply;
    apply.message = {.type = MessageType::kStorageApply, .to = kApplyThread, .from = id()};
    apply.message.entries = ready.committed;
    ScriptMessage answer;
    answer.message = {.type = MessageType::kStorageApplyResp, .to = id(), .from = kApplyThread};
    answer.message.entries = ready.committed;
    apply.responses.push_back(std::move(answer));
    messages.push_back(std::move(apply));
  }
  return messages;
}

ScriptMessage ScriptNode::AppendMessage(const Ready& ready) const {
  ScriptMessage append;
  append.persist_id = ready.persist_id;
  append.message = {.type = MessageType::kStorageAppend, .to = kAppendThread, .from = id()};
  append.message.entries = ready.entries;
  if (ready.hard_state) {
    append.message.term = ready.hard_state->term;
    append.message.vote = ready.hard_state->vote;
    append.message.commit = ready.hard_state->commit;
  }
  if (ready.snapshot) append.message.snapshot = *ready.snapshot;
  for (const Message& message : ready.after_persist) append.responses.push_back({message});
  // As long as anything is on its way to the disk, every write also vouches for the log's end, in
  // its own term.
  const Log& log = CoreAccess::log(*raft_);
  const bool writing = log.stable() < log.last_index();
  if (writing || ready.snapshot) {
    ScriptMessage answer;
    answer.persist_id = ready.persist_id;
    answer.message = {.type = MessageType::kStorageAppendResp,
                      .to = id(),
                      .from = kAppendThread,
                      .term = raft_->term()};
    if (writing) {
      answer.message.log_term = log.last().term;
      answer.message.index = log.last().index;
    }
    if (ready.snapshot) answer.message.snapshot = *ready.snapshot;
    append.responses.push_back(std::move(answer));
  }
  return append;
}

std::string ScriptNode::ProcessAppendThread(std::vector<ScriptMessage>& outbox) {
  if (append_work_.empty()) return "no append work to perform\n";
  ScriptMessage work = std::move(append_work_.front());
  append_work_.pop_front();
  std::vector<ScriptMessage> responses = std::exchange(work.responses, {});
  std::string text = "Processing:\n" + Describe(work) + "\nResponses:\n";
  const Message& message = work.message;
  Store({message.term, message.vote, message.commit}, message.entries, message.snapshot);
  bool answered = false;
  for (ScriptMessage& response : responses) {
    text += Describe(response) + "\n";
    answered = answered || response.message.type == MessageType::kStorageAppendResp;
    outbox.push_back(std::move(response));
  }
  if (!answered) raft_->Persisted(work.persist_id);  // nobody would say so
  return text;
}

std::string ScriptNode::ProcessApplyThread(std::vector<ScriptMessage>& outbox) {
  if (apply_work_.empty()) return "no apply work to perform\n";
  ScriptMessage work = std::move(apply_work_.front());
  apply_work_.pop_front();
  std::vector<ScriptMessage> responses = std::exchange(work.responses, {});
  std::string text = "Processing:\n" + Describe(work) + "\nResponses:\n";
  ApplyEntries(work.message.entries);
  for (ScriptMessage& response : responses) {
    text += Describe(response) + "\n";
    outbox.push_back(std::move(response));
  }
  return text;
}

std::string ScriptNode::Step(const ScriptMessage& message) {
  const Message& m = message.message;
  if (m.type == MessageType::kStorageAppendResp) {
    // In a later term the log may have been overwritten meanwhile; a later write vouches for it.
    if (m.term == raft_->term() || !m.snapshot.empty()) raft_->Persisted(message.persist_id);
    return "";
  }
  if (m.type == MessageType::kStorageApplyResp) {
    raft_->Applied(m.entries.back().index);
    return "";
  }
  if (m.from == id() && m.to == id()) {
    CoreAccess::Deliver(*raft_, m);
    return "";
  }
  const StepResult result = raft_->Step(m);
  if (result == StepResult::kUnknownPeer) return "raft: cannot step as peer not found";
  if (result == StepResult::kRefused) return "raft: refused";
  if (result == StepResult::kDropped && m.type == MessageType::kProp)
    return "raft proposal dropped";
  return "";
}

// ---- disk and state machine ----

void ScriptNode::Store(const HardState& hard_state, const std::vector<Entry>& entries,
                       const Snapshot& snapshot) {
  if (!hard_state.empty()) hard_state_ = hard_state;
  if (!snapshot.empty()) {
    stored_.clear();
    start_ = {snapshot.metadata.term, snapshot.metadata.index};
    history_.push_back(snapshot);
    OfferState();
  }
  if (entries.empty()) return;
  CHECK_GT(entries[0].index, start_.index);
  CHECK_LE(entries[0].index - (start_.index + 1), stored_.size()) << "a gap on the disk";
  stored_.resize(entries[0].index - (start_.index + 1));
  stored_.insert(stored_.end(), entries.begin(), entries.end());
}

void ScriptNode::ApplyEntries(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    Snapshot next = history_.back();
    std::string data(next.data.view());
    if (entry.type == EntryType::kNormal) {
      data += entry.data.view();
    } else {
      std::optional<ConfChangeV2> change;
      if (entry.type == EntryType::kConfChange) {
        change = AsV2(*DecodeConfChange(entry.data.view()));
      } else {
        change = *DecodeConfChangeV2(entry.data.view());
      }
      data += change->context;
      next.metadata.conf_state = raft_->ConfChangeApplied(entry.index, change);
    }
    next.data = SharedBytes(data);
    next.metadata.index = entry.index;
    next.metadata.term = entry.term;
    history_.push_back(std::move(next));
    OfferState();
  }
}

}  // namespace quoin::raft::testing

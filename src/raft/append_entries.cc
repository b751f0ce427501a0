// AppendEntries: §3.5, §5.3; commitment §3.6.2, §5.4.2.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "raft/core.h"

namespace quoin::raft {

// ---- the leader sends ----

void Core::BroadcastAppend() {
  for (auto& [id, progress] : members_.progress) {
    if (id != self()) MaybeSendAppend(id, progress, EmptyAppend::kSend);
  }
}

// "If last log index ≥ nextIndex for a follower: send AppendEntries RPC with log entries starting
// at nextIndex": figure
// 2. False when nothing left.
bool Core::MaybeSendAppend(NodeId to, Progress& progress, EmptyAppend empty) {
  if (progress.Paused()) return false;
  const Index previous = progress.next - 1;
  const std::optional<Term> previous_term = log_.TermAt(previous);
  // The next entry is gone: only a snapshot can help (§7).
  if (!previous_term.has_value()) return MaybeSendSnapshot(to, progress);

  // With a full window an empty append still tells the commit index and draws an answer.
  std::vector<Entry> entries;
  if (progress.state != Progress::State::kReplicate || !progress.inflights.Full()) {
    entries = log_.Slice(progress.next, log_.last_index(), config_.message_bytes_max);
  }
  if (entries.empty() && empty == EmptyAppend::kOmit) return false;
  size_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.data.size();
  progress.SentEntries(entries.size(), bytes);
  progress.probed_in = next_ready_;
  progress.SentCommit(log_.committed());
  Send({.type = MessageType::kApp,
        .to = to,
        .log_term = *previous_term,
        .index = previous,
        .entries = std::move(entries),
        .commit = log_.committed()});
  return true;
}

// ---- the follower answers ----

// "If AppendEntries RPC received from new leader: convert to follower": figure 2. False for the
// impossible: a second leader of our own term.
bool Core::AcceptLeader(const Message& message) {
  CHECK_EQ(message.term, term_);
  if (IsLeader()) return false;
  if (role_ != Role::kFollower) {
    BecomeFollower(term_, message.from);
  } else {
    election_elapsed_ticks_ = 0;
    leader_ = message.from;
  }
  return true;
}

// Too much is committed here and not applied. A leader that gets no answer sends one append per
// heartbeat, and nothing else, until one is taken. To any answer it would send again at once: to a
// refusal the same, to an acknowledgement of what is here a whole window. That window comes when
// appends are taken again, so there has to be room for some of it.
bool Core::RefuseAppend() {
  const size_t bytes_max = refuses_appends_ ? unapplied_bytes_max_ / 2 : unapplied_bytes_max_;
  refuses_appends_ = log_.unapplied_bytes() > bytes_max;
  return refuses_appends_;
}

StepResult Core::OnAppendEntries(Message& request) {
  if (!AcceptLeader(request)) return StepResult::kRefused;
  // What is committed here is the same there: answer with it and let the leader go on behind it.
  if (request.index < log_.committed()) {
    Send({.type = MessageType::kAppResp, .to = request.from, .index = log_.committed()});
    return StepResult::kAccepted;
  }
  // "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm":
  // figure 2.
  if (!log_.Matches({request.log_term, request.index})) {
    const EntryId hint =
        log_.ConflictHint(std::min(request.index, log_.last_index()), request.log_term);
    Send({.type = MessageType::kAppResp,
          .to = request.from,
          .log_term = hint.term,
          .index = request.index,
          .reject = true,
          .reject_hint = hint.index});
    return StepResult::kAccepted;
  }
  const Index last_new = request.index + request.entries.size();
  const std::optional<Index> first_new = log_.FirstNew(request.index, request.entries);
  if (first_new.has_value() && RefuseAppend()) {
    log_.CommitTo(std::min(request.commit, *first_new - 1));
    return StepResult::kDropped;
  }
  if (first_new.has_value()) AppendFromLeader(request, *first_new);
  // "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)":
  // figure 2.
  log_.CommitTo(std::min(request.commit, last_new));
  Send({.type = MessageType::kAppResp, .to = request.from, .index = last_new});
  return StepResult::kAccepted;
}

// "If an existing entry conflicts with a new one (same index but different terms), delete the
// existing entry and all that follow it. Append any new entries not already in the log": figure 2.
void Core::AppendFromLeader(Message& request, Index first_new) {
  CHECK_GT(first_new, log_.committed());
  if (first_new <= log_.last_index()) {
    log_.TruncateFrom(first_new);
    ForgetDurabilityFrom(first_new);
  }
  for (size_t i = first_new - (request.index + 1); i < request.entries.size(); ++i) {
    log_.Append(std::move(request.entries[i]));
  }
}

// ---- the leader hears ----

StepResult Core::OnAppendResponse(const Message& response) {
  Progress* progress = FindProgress(response.from);
  if (!IsLeader() || progress == nullptr) return StepResult::kDropped;
  if (response.index > log_.last_index()) return StepResult::kRefused;  // entries that never were
  progress->recently_active = true;
  if (response.reject) {
    OnAppendRefused(response, *progress);
  } else {
    OnAppendAccepted(response, *progress);
  }
  return StepResult::kAccepted;
}

// "If AppendEntries fails because of log inconsistency: decrement nextIndex and retry" (figure 2),
// by whole terms: both sides skip what cannot match, so a probe per term in conflict is enough
// (§5.3).
void Core::OnAppendRefused(const Message& response, Progress& progress) {
  Index hint = response.reject_hint;
  if (response.log_term.value() != 0) hint = log_.ConflictHint(hint, response.log_term).index;
  if (!progress.MaybeDecrease(response.index, hint)) return;
  if (progress.state == Progress::State::kReplicate) progress.BecomeProbe();
  MaybeSendAppend(response.from, progress, EmptyAppend::kSend);
}

// "If successful: update nextIndex and matchIndex for follower": figure 2.
void Core::OnAppendAccepted(const Message& response, Progress& progress) {
  const bool probe_answered =
      progress.state == Progress::State::kProbe && progress.match == response.index;
  if (!progress.MaybeUpdate(response.index) && !probe_answered) return;
  switch (progress.state) {
    case Progress::State::kProbe:
      progress.BecomeReplicate();
      break;
    case Progress::State::kSnapshot:
      // The log reaches it again, whether by our snapshot or by another.
      if (progress.match + 1 >= log_.first_index()) {
        progress.BecomeProbe();
        progress.BecomeReplicate();
      }
      break;
    case Progress::State::kReplicate:
      progress.inflights.FreeUpTo(response.index);
      break;
  }
  if (MaybeCommit()) {
    StartPostponedReads();
    BroadcastAppend();
  } else if (response.from != self() && progress.CanBumpCommit(log_.committed())) {
    MaybeSendAppend(response.from, progress, EmptyAppend::kSend);
  }
  if (response.from == self()) return;
  while (MaybeSendAppend(response.from, progress, EmptyAppend::kOmit)) {
  }
  // A transfer waits until the target's log matches ours (§3.10); now it does.
  if (response.from == transferee_ && progress.match == log_.last_index()) {
    SendTimeoutNow(response.from);
  }
}

// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] ≥ N, and log[N].term
// == currentTerm: set commitIndex = N": figure 2. "Only log entries from the leader's current term
// are committed by counting replicas": §5.4.2. Our own matchIndex moves like any other's, by a
// response that says the entries are durable here.
bool Core::MaybeCommit() {
  const uint64_t agreed =
      members_.configuration.voters.Agreed([this](NodeId id) -> std::optional<uint64_t> {
        const Progress* progress = FindProgress(id);
        return progress == nullptr ? std::nullopt
                                   : std::optional<uint64_t>(progress->match.value());
      });
  const Index index(agreed);
  if (agreed == kEverything || index <= log_.committed()) return false;
  if (log_.TermAt(index) != term_) return false;
  log_.CommitTo(index);
  return true;
}

}  // namespace quoin::raft

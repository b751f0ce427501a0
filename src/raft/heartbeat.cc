// Heartbeats: §5.2; as rounds of proof for reads §6.4. They carry no entries and do not probe the
// log.
#include <algorithm>

#include "raft/core.h"

namespace quoin::raft {

void Core::BroadcastHeartbeat() {
  read_round_due_ = false;
  const std::string context = reads_.empty() ? "" : EncodeReadContext(reads_.count());
  for (auto& [id, progress] : members_.progress) {
    if (id == self()) continue;
    // Not beyond what it is known to have: its log may differ there.
    const Index commit = std::min(progress.match, log_.committed());
    progress.SentCommit(commit);
    Send({.type = MessageType::kHeartbeat, .to = id, .commit = commit, .context = context});
  }
}

StepResult Core::OnHeartbeat(const Message& request) {
  if (!AcceptLeader(request)) return StepResult::kRefused;
  // We told it that we had those entries, and now we do not: nothing that we say can be trusted.
  if (request.commit > log_.last_index()) return StepResult::kRefused;
  log_.CommitTo(request.commit);
  Send({.type = MessageType::kHeartbeatResp, .to = request.from, .context = request.context});
  return StepResult::kAccepted;
}

StepResult Core::OnHeartbeatResponse(const Message& response) {
  Progress* progress = FindProgress(response.from);
  if (!IsLeader() || progress == nullptr) return StepResult::kDropped;
  progress->recently_active = true;
  // A probe is repeated since it may have been lost; not one that has not left. Where a link was
  // cut, many answers come together, and each would send the same entries.
  const bool probe_is_here =
      progress->state == Progress::State::kProbe && progress->probed_in == next_ready_;
  if (!probe_is_here) progress->paused = false;
  // It is there. Had it everything, there would be nothing to say.
  if (progress->match < log_.last_index() || progress->state == Progress::State::kProbe) {
    MaybeSendAppend(response.from, *progress, EmptyAppend::kSend);
  }
  if (const auto count = DecodeReadContext(response.context)) {
    reads_.Acknowledge(response.from, *count);
    AnswerConfirmedReads();
  }
  return StepResult::kAccepted;
}

}  // namespace quoin::raft

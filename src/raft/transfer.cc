// Leadership transfer: §3.10.
#include <utility>

#include "raft/core.h"

namespace quoin::raft {

void Core::TransferLeadership(NodeId to) {
  Message request{.type = MessageType::kTransferLeader, .to = self(), .from = to, .term = term_};
  OnTransferLeader(request);
}

// `from` names the target, whoever asked.
StepResult Core::OnTransferLeader(Message& request) {
  if (!IsLeader()) {
    if (role_ != Role::kFollower || leader_.value() == 0) return StepResult::kDropped;
    request.to = leader_;
    Send(std::move(request));
    return StepResult::kAccepted;
  }
  const NodeId target = request.from;
  Progress* progress = FindProgress(target);
  if (progress == nullptr || progress->learner) return StepResult::kDropped;
  if (transferee_ == target) return StepResult::kAccepted;  // under way
  transferee_ = NodeId(0);                                  // a new request ends an earlier one
  if (target == self()) return StepResult::kAccepted;
  // "The prior leader stops accepting new client requests"; the transfer has one election timeout
  // from here.
  election_elapsed_ticks_ = 0;
  transferee_ = target;
  if (progress->match == log_.last_index()) {
    SendTimeoutNow(target);
  } else {
    MaybeSendAppend(target, *progress, EmptyAppend::kSend);
  }
  return StepResult::kAccepted;
}

void Core::SendTimeoutNow(NodeId to) { Send({.type = MessageType::kTimeoutNow, .to = to}); }

}  // namespace quoin::raft

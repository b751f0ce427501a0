// Leader election: §3.4, §5.2; pre-vote §9.6; check-quorum §6.2; restrictions §5.4.1 and §4.2.3.
#include <utility>

#include "base/check.h"
#include "raft/core.h"

namespace quoin::raft {

void Core::Campaign() {
  StartElection(config_.pre_vote ? CampaignKind::kPreElection : CampaignKind::kElection);
}

bool Core::Promotable() const {
  auto own = members_.progress.find(self());
  // Before a snapshot is installed the log in front of us does not exist.
  return own != members_.progress.end() && !own->second.learner && !log_.HasPendingSnapshot();
}

bool Core::HasUnappliedConfChange() const {
  for (Index i = log_.applied() + 1; i <= log_.committed(); ++i) {
    if (log_.At(i).type != EntryType::kNormal) return true;
  }
  return false;
}

void Core::StartElection(CampaignKind kind) {
  // A change that is committed but unknown to us could mean that our majority is none.
  if (IsLeader() || !Promotable() || HasUnappliedConfChange()) return;
  RequestVotes(kind);
}

// "To begin an election, a follower increments its current term and transitions to candidate state.
// It then votes for itself and issues RequestVote RPCs in parallel to each of the other servers in
// the cluster": §5.2.
void Core::RequestVotes(CampaignKind kind) {
  const bool pre_election = kind == CampaignKind::kPreElection;
  if (pre_election) {
    BecomePreCandidate();
  } else {
    BecomeCandidate();
  }
  // A pre-vote asks about the term that we would campaign in.
  const Term term = pre_election ? term_ + 1 : term_;
  const EntryId last = log_.last();
  for (NodeId id : members_.configuration.voters.All()) {
    if (id == self()) {
      // Our own vote counts like any other: once it is durable.
      Send({.type = pre_election ? MessageType::kPreVoteResp : MessageType::kVoteResp,
            .to = id,
            .term = term});
      continue;
    }
    Send({.type = pre_election ? MessageType::kPreVote : MessageType::kVote,
          .to = id,
          .term = term,
          .log_term = last.term,
          .index = last.index,
          .context = std::string(kind == CampaignKind::kTransfer ? kCampaignTransfer : "")});
  }
}

StepResult Core::OnRequestVote(const Message& request) {
  const bool pre_vote = request.type == MessageType::kPreVote;
  // "Each server will vote for at most one candidate in a given term, on a first-come-first-served
  // basis": §5.2. With a known leader the vote of this term is pointless; a pre-vote for a later
  // term promises nothing.
  const bool free_to_vote = vote_ == request.from || (vote_.value() == 0 && leader_.value() == 0) ||
                            (pre_vote && request.term > term_);
  // "The voter denies its vote if its own log is more up-to-date than that of the candidate":
  // §5.4.1.
  const bool grant = free_to_vote && log_.IsUpToDate({request.log_term, request.index});
  const MessageType answer = pre_vote ? MessageType::kPreVoteResp : MessageType::kVoteResp;
  if (!grant) {
    Send({.type = answer, .to = request.from, .term = term_, .reject = true});
    return StepResult::kAccepted;
  }
  // The term asked about, not ours: a pre-vote is about a term that nobody is in yet.
  Send({.type = answer, .to = request.from, .term = request.term});
  if (!pre_vote) {
    election_elapsed_ticks_ = 0;
    vote_ = request.from;
  }
  return StepResult::kAccepted;
}

VoteResult Core::TallyVotes() const {
  return members_.configuration.voters.Tally([this](NodeId id) -> std::optional<bool> {
    auto at = votes_.find(id);
    return at == votes_.end() ? std::nullopt : std::optional<bool>(at->second);
  });
}

StepResult Core::OnVoteResponse(const Message& response) {
  const bool pre_vote = response.type == MessageType::kPreVoteResp;
  const Role asking = pre_vote ? Role::kPreCandidate : Role::kCandidate;
  if (role_ != asking) return StepResult::kDropped;
  votes_.try_emplace(response.from, !response.reject);
  switch (TallyVotes()) {
    case VoteResult::kPending:
      break;
    case VoteResult::kWon:
      if (pre_vote) {
        RequestVotes(CampaignKind::kElection);
      } else if (votes_.contains(self())) {
        // Its own vote comes when it is on the disk. Who led without could forget the term with the
        // power and lead it again, with other entries of the same term and index.
        // "Once a candidate wins an election, it becomes leader. It then sends heartbeat messages
        // to all of the other servers to establish its authority": §5.2. The blank entry is that
        // message.
        BecomeLeader();
        BroadcastAppend();
      }
      break;
    case VoteResult::kLost:
      // A refused pre-vote leaves everything as it was, the term included.
      BecomeFollower(term_, NodeId(0));
      break;
  }
  return StepResult::kAccepted;
}

// "A leader steps down if an election timeout elapses without a successful round of heartbeats to a
// majority": §6.2.
void Core::CheckQuorum() {
  CHECK(IsLeader());
  const VoteResult active =
      members_.configuration.voters.Tally([this](NodeId id) -> std::optional<bool> {
        const Progress* progress = FindProgress(id);
        return id == self() || (progress != nullptr && progress->recently_active);
      });
  if (active != VoteResult::kWon) {
    BecomeFollower(term_, NodeId(0));
    return;
  }
  for (auto& [id, progress] : members_.progress) {
    if (id != self()) progress.active_before = std::exchange(progress.recently_active, false);
  }
}

}  // namespace quoin::raft

#include "raft/testing/sim_oracle.h"

#include <algorithm>
#include <sstream>

#include "raft/testing/core_access.h"
#include "raft/testing/describe.h"

namespace quoin::raft::testing {
namespace {

uint64_t HashOf(const Entry& entry) {
  uint64_t hash = 0xcbf29ce484222325u ^ static_cast<uint64_t>(entry.type);
  for (char c : entry.data.view()) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

template <typename... Parts>
std::string Text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace

void SimOracle::Fail(const std::string& what) {
  if (!failure_) failure_ = what;
}

void SimOracle::Started(const SimMember& member) {
  const RaftStatus status = member.raft().Status();
  Seen& seen = seen_[member.id()];
  seen = Seen();
  seen.term = status.term;
  seen.vote = status.vote;
  seen.commit = status.commit;
  seen.applied = status.applied;
  seen.last_index = status.last_index;
  const auto durable = durable_terms_.find(member.id());
  if (durable != durable_terms_.end() && status.term < durable->second) {
    Fail(Text("R2: member ", member.id(), " starts in term ", status.term, " after ",
              durable->second));
  }
}

void SimOracle::TookReady(const SimMember& member, const Ready& ready) {
  const Log& log = CoreAccess::log(member.raft());
  const Seen& seen = seen_[member.id()];
  if (!ready.entries.empty()) {
    const Index first = ready.entries.front().index;
    // R4
    if (member.raft().role() == Role::kLeader && seen.role == Role::kLeader &&
        first <= member.disk().start) {
      Fail(Text("R4: leader ", member.id(), " writes before its log"));
    }
  }
  for (const Entry& entry : ready.entries) {
    // R3: by induction over these, one (index, term) has one history.
    const std::optional<Term> previous = log.TermAt(entry.index - 1);
    if (!previous) continue;  // compacted meanwhile
    const LogCell cell{HashOf(entry), *previous};
    const auto [at, added] = cells_.try_emplace({entry.index, entry.term}, cell);
    if (added) continue;
    if (at->second.hash != cell.hash || at->second.previous != cell.previous) {
      Fail(Text("R3: member ", member.id(), " has another entry ", entry.term, "/", entry.index));
    }
  }
  for (const ReadState& read : ready.read_states) {
    const auto asked = reads_.find(read.context);
    if (asked == reads_.end()) {
      Fail("R12: a read that nobody asked for: " + read.context);
    } else if (read.index < asked->second) {
      Fail(Text("R12: read ", read.context, " at ", read.index, " after ", asked->second,
                " was committed"));
    }
  }
}

// From when the promise is durable it may be told; what is overwritten in a later term does not
// matter to who hears it in this one.
void SimOracle::Promises(const SimMember& member, const Message& message) {
  const Disk& disk = member.disk();
  const HardState& written = disk.hard_state;
  if (message.type == MessageType::kVoteResp && !message.reject) {
    // Written is the vote itself, or a later term, in which this one cannot be given again.
    if (written.term < message.term ||
        (written.term == message.term && written.vote != message.to)) {
      Fail(Text("R11: member ", member.id(), " tells a vote of term ", message.term,
                " that is not written"));
    }
  }
  if (message.type != MessageType::kAppResp) return;
  if (written.term < message.term) {
    Fail(Text("R11: member ", member.id(), " answers in a term that is not written"));
  }
  if (!message.reject && disk.last() < message.index) {
    Fail(Text("R11: member ", member.id(), " acknowledges ", message.index, " but has written ",
              disk.last()));
  }
}

void SimOracle::Leaves(const SimMember& member, const Message& message) {
  if (message.type == MessageType::kVoteResp && !message.reject) {
    const auto [at, added] = granted_.try_emplace({member.id(), message.term}, message.to);
    if (!added && at->second != message.to) {
      Fail(Text("R2: member ", member.id(), " voted twice in term ", message.term));
    }
  }
  if (message.type == MessageType::kSnap && message.snapshot.metadata.index > max_committed_) {
    Fail("R11: a snapshot of what is not committed");
  }
}

void SimOracle::Delivered(const SimMember& member, const Message& message) {
  Seen& seen = seen_[member.id()];
  if (message.term == member.raft().term()) seen.heard[message.from] = seen.ticks;
}

void SimOracle::WriteFinished(const SimMember& member, const std::vector<Message>& after) {
  for (const Message& message : after) Promises(member, message);
  const HardState& state = member.disk().hard_state;
  Term& term = durable_terms_[member.id()];
  if (state.term < term) Fail(Text("R2: the term of member ", member.id(), " goes back"));
  term = std::max(term, state.term);
  if (state.vote.value() == 0) return;
  const auto [at, added] = durable_votes_.try_emplace({member.id(), state.term}, state.vote);
  if (!added && at->second != state.vote) {
    Fail(Text("R2: member ", member.id(), " changes its vote in term ", state.term));
  }
}

void SimOracle::AppliedEntry(const SimMember& member) {
  const MachineState& state = member.state();
  const auto [at, added] = states_.try_emplace(state.applied, state.hash);
  if (!added && at->second != state.hash) {
    Fail(Text("R5: member ", member.id(), " has another state at ", state.applied));
  }
  const auto [conf, first] = configurations_.try_emplace(state.applied, state.conf_state);
  if (!first && conf->second != state.conf_state) {
    Fail(Text("R9: member ", member.id(), " has another configuration at ", state.applied));
  }
  const auto before = configurations_.find(state.applied - 1);
  if (before != configurations_.end() && before->second != state.conf_state) {
    // Members that come (back) count as heard from.
    Seen& seen = seen_[member.id()];
    for (auto& [id, tick] : seen.heard) tick = seen.ticks;
  }
  if (before != configurations_.end() && before->second.voters_outgoing.empty() &&
      state.conf_state.voters_outgoing.empty() &&
      SymmetricDifference(NodeSet(before->second.voters), NodeSet(state.conf_state.voters)) > 1) {
    Fail(Text("R9: two voters changed at once at ", state.applied));
  }
  // What the disk has must hold everything that is applied: the rest could be lost here and now.
  if (member.disk().last() < state.applied) {
    Fail(Text("R7: member ", member.id(), " applied ", state.applied, " before it was durable"));
  }
}

void SimOracle::Ticked(const SimMember& member) {
  Seen& seen = seen_[member.id()];
  ++seen.ticks;
  if (!member.config().check_quorum || member.raft().role() != Role::kLeader) return;
  // R13: a leader that hears no quorum for its check's two rounds has stepped down.
  const uint64_t patience = 2 * static_cast<uint64_t>(member.config().election_ticks);
  const JointQuorum& voters = CoreAccess::members(member.raft()).configuration.voters;
  const VoteResult active = voters.Tally([&](NodeId id) -> std::optional<bool> {
    if (id == member.id()) return true;
    const auto at = seen.heard.try_emplace(id, seen.ticks).first;  // just became a member
    return seen.ticks - at->second <= patience;
  });
  if (active != VoteResult::kWon) {
    Fail(Text("R13: leader ", member.id(), " stays without a quorum"));
  }
}

// A transfer gives the leader a new election timeout.
void SimOracle::TransferAsked(const SimMember& member) {
  Seen& seen = seen_[member.id()];
  for (auto& [id, tick] : seen.heard) tick = seen.ticks;
}

void SimOracle::ReadAsked(const std::string& context) { reads_[context] = max_committed_; }

void SimOracle::ProposedConfChange(const SimMember& member) {
  if (member.raft().role() != Role::kLeader) return;
  const Log& log = CoreAccess::log(member.raft());
  int unapplied = 0;
  for (Index i = std::max(log.applied() + 1, log.first_index()); i <= log.last_index(); ++i) {
    const Entry& entry = log.At(i);
    if (entry.type != EntryType::kNormal && entry.term == member.raft().term()) ++unapplied;
  }
  if (unapplied > 1) Fail(Text("R9: leader ", member.id(), " has two changes unapplied"));
}

// ---- after each step ----

void SimOracle::Check(const SimMember& member) {
  if (failure_ || !member.running()) return;
  const RaftStatus now = member.raft().Status();
  Seen& seen = seen_[member.id()];
  CheckMonotonic(member, seen, now);
  CheckCommit(member, seen, now);
  CheckRole(member, seen, now);
  if (now.role == Role::kLeader && (seen.role != Role::kLeader || seen.term != now.term)) {
    CheckNewLeader(member, now, seen);
  }
  CheckBounds(member);
  seen.term = now.term;
  seen.vote = now.vote;
  seen.role = now.role;
  seen.commit = now.commit;
  seen.applied = now.applied;
  seen.last_index = now.last_index;
}

void SimOracle::CheckMonotonic(const SimMember& member, const Seen& before, const RaftStatus& now) {
  const NodeId id = member.id();
  if (now.term < before.term) Fail(Text("R10: the term of member ", id, " goes back"));
  if (now.commit < before.commit) Fail(Text("R10: the commit index of ", id, " goes back"));
  if (now.applied < before.applied) Fail(Text("R10: the applied index of ", id, " goes back"));
  if (now.applied > now.commit) Fail(Text("R10: member ", id, " applied beyond its commit index"));
  if (now.commit > now.last_index) Fail(Text("R10: member ", id, " committed beyond its log"));
  if (now.term == before.term && before.vote.value() != 0 && now.vote != before.vote) {
    Fail(Text("R2: member ", id, " changes its vote within term ", now.term));
  }
  const bool leads_on =
      now.role == Role::kLeader && before.role == Role::kLeader && now.term == before.term;
  if (leads_on && now.last_index < before.last_index) {
    Fail(Text("R4: leader ", id, " shortens its log"));
  }
}

void SimOracle::CheckCommit(const SimMember& member, const Seen& before, const RaftStatus& now) {
  if (now.commit <= before.commit) return;
  const Log& log = CoreAccess::log(member.raft());
  for (Index i = std::max(before.commit + 1, log.first_index()); i <= now.commit; ++i) {
    const Entry& entry = log.At(i);
    const std::pair<Term, uint64_t> value{entry.term, HashOf(entry)};
    const auto [at, added] = committed_.try_emplace(i, value);
    if (!added && at->second != value) {
      Fail(Text("R5: member ", member.id(), " commits ", entry.term, "/", i, ", another one ",
                at->second.first, "/", i));
    }
  }
  max_committed_ = std::max(max_committed_, now.commit);
  const bool leads_on =
      now.role == Role::kLeader && before.role == Role::kLeader && now.term == before.term;
  if (leads_on) CheckCommitByLeader(member, now);
}

void SimOracle::CheckCommitByLeader(const SimMember& member, const RaftStatus& now) {
  const Log& log = CoreAccess::log(member.raft());
  const std::optional<Term> term = log.TermAt(now.commit);
  if (term != now.term) {
    Fail(Text("R7: leader ", member.id(), " of term ", now.term, " commits ", now.commit,
              " of an earlier term by counting"));
  }
  // R7, R8: durable on a quorum of voters.
  const JointQuorum& voters = CoreAccess::members(member.raft()).configuration.voters;
  const VoteResult durable = voters.Tally([&](NodeId id) -> std::optional<bool> {
    const auto at = members_.find(id);
    if (at == members_.end()) return false;
    const Disk& disk = at->second->disk();
    return disk.start >= now.commit || disk.TermAt(now.commit) == term;
  });
  if (durable != VoteResult::kWon) {
    Fail(Text("R7: leader ", member.id(), " commits ", now.commit,
              ", which is not durable on a quorum"));
  }
}

void SimOracle::CheckNewLeader(const SimMember& member, const RaftStatus& now, Seen& seen) {
  const auto [at, added] = leaders_.try_emplace(now.term, member.id());
  if (!added && at->second != member.id()) {
    Fail(Text("R1: term ", now.term, " has the leaders ", at->second, " and ", member.id()));
  }
  const Log& log = CoreAccess::log(member.raft());
  for (auto one = committed_.lower_bound(log.first_index()); one != committed_.end(); ++one) {
    if (log.TermAt(one->first) != one->second.first) {
      Fail(Text("R6: leader ", member.id(), " of term ", now.term, " lacks committed ",
                one->second.first, "/", one->first));
      break;
    }
  }
  // R8
  const JointQuorum& voters = CoreAccess::members(member.raft()).configuration.voters;
  const VoteResult elected = voters.Tally([&](NodeId id) -> std::optional<bool> {
    if (id == member.id()) return durable_terms_[id] >= now.term;  // its own vote is not sent
    const auto vote = granted_.find({id, now.term});
    return vote != granted_.end() && vote->second == member.id();
  });
  if (elected != VoteResult::kWon) {
    Fail(Text("R8: leader ", member.id(), " of term ", now.term, " without a quorum of votes"));
  }
  seen.heard.clear();
  for (NodeId id : voters.All()) seen.heard[id] = seen.ticks;
}

bool SimOracle::HasConfChange(const SimMember& member, Index after, Index to) const {
  const Log& log = CoreAccess::log(member.raft());
  for (Index i = std::max(after + 1, log.first_index()); i <= to; ++i) {
    if (log.At(i).type != EntryType::kNormal) return true;
  }
  return false;
}

void SimOracle::CheckRole(const SimMember& member, const Seen& before, const RaftStatus& now) {
  const bool campaigns = now.role == Role::kPreCandidate || now.role == Role::kCandidate;
  if (campaigns && before.role == Role::kFollower &&
      HasConfChange(member, now.applied, now.commit)) {
    Fail(Text("R9: member ", member.id(), " campaigns with an unapplied change"));
  }
  if (now.role == Role::kPreCandidate && before.role == Role::kFollower &&
      (now.term != before.term || now.vote != before.vote)) {
    Fail(Text("R13: a pre-vote changes the term or the vote of member ", member.id()));
  }
}

void SimOracle::CheckBounds(const SimMember& member) {
  const Raft& raft = member.raft();
  if (CoreAccess::uncommitted_bytes(raft) > member.config().uncommitted_bytes_max) {
    Fail(Text("R14: leader ", member.id(), " holds too much uncommitted"));
  }
  for (const auto& [id, progress] : CoreAccess::members(raft).progress) {
    if (progress.inflights.count() > member.config().inflight_messages_max) {
      Fail(Text("R14: leader ", member.id(), " has too much in flight to ", id));
    }
    if (progress.match >= progress.next) {
      Fail(Text("R14: leader ", member.id(), " expects less than it knows of ", id));
    }
  }
}

}  // namespace quoin::raft::testing

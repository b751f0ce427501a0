#include "raft/testing/simulation.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "raft/testing/core_access.h"
#include "raft/testing/describe.h"
#include "raft_types/codec.h"

namespace quoin::raft::testing {
namespace {

constexpr uint64_t kMembersMax = 7;
constexpr size_t kNetworkMax = 1000;

}  // namespace

Simulation::Simulation(const SimulationOptions& options)
    : options_(options), prng_(options.seed), oracle_(members_) {
  base_config_.election_ticks = static_cast<int>(prng_.Between(3, 10));
  base_config_.inflight_messages_max = prng_.Below(8) + 1;
  base_config_.inflight_bytes_max = prng_.Chance(0.5) ? SIZE_MAX : prng_.Below(400) + 1;
  base_config_.message_bytes_max = prng_.Chance(0.5) ? 1 << 20 : prng_.Below(300) + 1;
  base_config_.uncommitted_bytes_max = prng_.Chance(0.5) ? SIZE_MAX : prng_.Below(2000) + 400;
  base_config_.committed_bytes_per_ready_max = prng_.Chance(0.5) ? SIZE_MAX : prng_.Below(300) + 1;
  base_config_.check_quorum = prng_.Chance(0.8);
  base_config_.pre_vote = prng_.Chance(0.8);
  base_config_.step_down_on_removal = prng_.Chance(0.5);
  base_config_.apply_unstable = options.mutant == Mutant::kAppliesUnstableEntries;

  // Of its own, so that a seed without the bound runs as it did before there was one.
  Prng bounds(options.seed ^ 0x756e6170706c6965);
  if (bounds.Chance(0.5)) unapplied_bytes_max_ = bounds.Below(3000);

  // How rough the schedule is differs from seed to seed.
  auto up_to = [this](uint32_t weight) { return static_cast<uint32_t>(prng_.Below(weight + 1)); };
  events_ = {
      {10 + up_to(60), &Simulation::TickOne},
      {2 + up_to(8), &Simulation::TickAll},
      {250 + up_to(350), &Simulation::DeliverOne},
      {up_to(25), &Simulation::LoseOne},
      {up_to(10), &Simulation::DuplicateOne},
      {150 + up_to(100), &Simulation::ReadyOne},
      {40 + up_to(100), &Simulation::FinishWriteOne},
      {40 + up_to(100), &Simulation::ReportWritesOne},
      {40 + up_to(100), &Simulation::ApplyOne},
      {10 + up_to(60), &Simulation::ProposeOne},
      {up_to(30), &Simulation::ReadOne},
      {up_to(10), &Simulation::ChangeConfigurationOne},
      {up_to(6), &Simulation::TransferOne},
      {up_to(8), &Simulation::CrashOne},
      {10 + up_to(15), &Simulation::RestartOne},
      {up_to(6), &Simulation::PartitionSome},
      {2 + up_to(8), &Simulation::Heal},
      {up_to(40), &Simulation::CheckpointOne},
      {up_to(40), &Simulation::CompactOne},
      {up_to(20), &Simulation::TrimOne},
      {up_to(5), &Simulation::ReportUnreachableOne},
      {up_to(2), &Simulation::ForgetLeaderOne},
      {up_to(3), &Simulation::CampaignOne},
  };
  for (const Event& event : events_) weights_ += event.weight;
  constexpr uint64_t kSizes[] = {1, 2, 3, 3, 3, 3, 4, 5, 5, 5};
  Bootstrap(kSizes[prng_.Below(std::size(kSizes))]);
}

// ---- members ----

Config Simulation::ConfigOf(NodeId id) const {
  Config config = base_config_;
  config.id = id;
  return config;
}

// Every founding member has the same first entries, committed: one AddNode per member.
void Simulation::Bootstrap(uint64_t voters) {
  Disk disk;
  for (uint64_t i = 1; i <= voters; ++i) {
    std::string data;
    EncodeConfChange({.type = ConfChangeType::kAddNode, .node_id = NodeId(i)}, data);
    disk.entries.push_back({Term(1), Index(i), EntryType::kConfChange, SharedBytes(data)});
  }
  disk.hard_state = {Term(1), NodeId(0), Index(voters)};
  disk.synced_commit = Index(voters);
  for (uint64_t i = 1; i <= voters; ++i) {
    members_[NodeId(i)] = std::make_unique<SimMember>(ConfigOf(NodeId(i)), disk);
    Start(*members_[NodeId(i)]);
  }
}

SimMember* Simulation::Member(NodeId id) {
  auto at = members_.find(id);
  return at == members_.end() ? nullptr : at->second.get();
}

SimMember& Simulation::AnyMember() {
  auto at = members_.begin();
  std::advance(at, prng_.Below(members_.size()));
  return *at->second;
}

SimMember* Simulation::AnyRunning() {
  SimMember& member = AnyMember();
  return member.running() ? &member : nullptr;
}

// One of those running for which `wanted` holds.
template <typename Wanted>
SimMember* Simulation::AnyWith(Wanted&& wanted) {
  std::vector<SimMember*> candidates;
  for (auto& [id, member] : members_) {
    if (member->running() && wanted(*member)) candidates.push_back(member.get());
  }
  return candidates.empty() ? nullptr : candidates[prng_.Below(candidates.size())];
}

SimMember* Simulation::Leader() {
  SimMember* leader = nullptr;
  for (auto& [id, member] : members_) {
    if (!member->running() || member->raft().role() != Role::kLeader) continue;
    if (leader == nullptr || leader->raft().term() < member->raft().term()) leader = member.get();
  }
  return leader;
}

SimMember& Simulation::MemberOrNew(NodeId id) {
  if (SimMember* member = Member(id)) return *member;
  members_[id] = std::make_unique<SimMember>(ConfigOf(id), Disk());
  Start(*members_[id]);
  return *members_[id];
}

void Simulation::Start(SimMember& member) {
  member.Start(prng_.Next());
  member.raft().BoundUnapplied(unapplied_bytes_max_);
  oracle_.Started(member);
  Touch(member);
}

// ---- what members do ----

void Simulation::Note(uint64_t value) {
  trace_hash_ = (trace_hash_ ^ value) * 0x100000001b3u;
  trace_hash_ ^= trace_hash_ >> 31;
}

void Simulation::Touch(SimMember& member) {
  if (!member.running()) return;
  Misbehave(member);
  oracle_.Check(member);
  const HardState state = CoreAccess::hard_state(member.raft());
  Note(member.id().value() << 8 | static_cast<uint64_t>(member.raft().role()));
  Note(state.term.value() << 32 ^ state.commit.value());
}

void Simulation::Misbehave(SimMember& member) {
  Raft& raft = member.raft();
  switch (options_.mutant) {
    case Mutant::kCommitsByCountingAnyTerm:
      return CoreAccess::CommitByCountingAnyTerm(raft);
    case Mutant::kCommitsByOneHalf:
      return CoreAccess::CommitByOneHalf(raft);
    case Mutant::kReadsBeforeOwnTerm:
      return CoreAccess::StartReadsBeforeOwnTerm(raft);
    case Mutant::kAdoptsAtAppend: {
      Index& adopted = adopted_[member.id()];
      adopted = CoreAccess::AdoptAtAppend(raft, adopted);
      return;
    }
    case Mutant::kCountsRemovedVotes: {
      if (raft.role() != Role::kCandidate) return;
      if (std::exchange(campaigned_[member.id()], raft.term()) != raft.term()) {
        std::vector<NodeId> removed;
        for (const auto& [id, other] : members_)
          if (!CoreAccess::members(raft).configuration.voters.Contains(id)) removed.push_back(id);
        CoreAccess::AskForVotes(raft, NodeSet(removed));
      }
      return CoreAccess::CountAllVotes(raft);
    }
    default:
      return;
  }
}

void Simulation::Send(SimMember& from, Message message) {
  if (message.type == MessageType::kSnap && (message.snapshot.data.empty() || prng_.Chance(0.5))) {
    // As the server does: the newest state instead of the one that the core knows.
    if (from.state().applied > message.snapshot.metadata.index || message.snapshot.data.empty()) {
      message.snapshot = from.TakeSnapshot();
    }
  }
  oracle_.Leaves(from, message);
  Note(message.to.value() << 16 ^ static_cast<uint64_t>(message.type) << 8 ^ message.index.value());
  network_.push_back(std::move(message));
}

void Simulation::TurnReady(SimMember& member) {
  if (!member.raft().HasReady()) return;
  Ready ready = member.TakeReady();
  oracle_.TookReady(member, ready);
  result_.reads += ready.read_states.size();
  Note(ready.persist_id.value());
  for (Message& message : ready.messages) {
    oracle_.Promises(member, message);
    Send(member, std::move(message));
  }
  if (options_.mutant == Mutant::kAnswersBeforeDurable && ready.persist_id.value() != 0) {
    for (Message& message : ready.after_persist) {
      oracle_.Promises(member, message);
      Send(member, std::move(message));
    }
    if (!ready.snapshot) member.raft().Persisted(ready.persist_id);
  }
  Touch(member);
}

void Simulation::FinishWrite(SimMember& member) {
  const SimMember::Write* write = member.FinishWrite();
  if (write == nullptr) {
    oracle_.Fail("a write leaves a gap in the log");
  } else {
    oracle_.WriteFinished(member, write->after);
  }
}

void Simulation::ReportWrites(SimMember& member) {
  const Index start = member.state().applied;
  for (Message& message : member.ReportWrites()) Send(member, std::move(message));
  if (member.state().applied != start) {
    ++result_.snapshots;
    oracle_.AppliedEntry(member);
  }
  Touch(member);
}

void Simulation::Apply(SimMember& member, bool report) {
  if (member.to_apply().empty()) return;
  member.ApplyOne(report);
  oracle_.AppliedEntry(member);
  Touch(member);
}

bool Simulation::Cut(NodeId from, NodeId to) const {
  const auto at = cut_.find({from, to});
  return at != cut_.end() && at->second;
}

void Simulation::Deliver(size_t at, bool keep) {
  Message message = network_[at];
  if (!keep) network_.erase(network_.begin() + static_cast<ptrdiff_t>(at));
  SimMember* to = Member(message.to);
  if (to == nullptr || !to->running() || Cut(message.from, message.to)) {
    if (!keep && message.type == MessageType::kSnap) {
      SimMember* from = Member(message.from);
      if (from != nullptr && from->running()) from->raft().ReportSnapshot(message.to, false);
    }
    return;
  }
  oracle_.Delivered(*to, message);
  if (message.type == MessageType::kTransferLeader) oracle_.TransferAsked(*to);
  const bool snapshot = message.type == MessageType::kSnap;
  const NodeId sender = message.from;
  const NodeId receiver = message.to;
  const std::string text = Describe(ScriptMessage{message});
  const StepResult result = to->raft().Step(std::move(message));
  Note(static_cast<uint64_t>(result));
  if (result == StepResult::kRefused) {
    oracle_.Fail("a member refused another's message: " + text);
  }
  Touch(*to);
  SimMember* from = Member(sender);
  if (snapshot && from != nullptr && from->running()) {
    from->raft().ReportSnapshot(receiver, true);
    Touch(*from);
  }
}

void Simulation::Lose(size_t at) {
  const Message message = network_[at];
  network_.erase(network_.begin() + static_cast<ptrdiff_t>(at));
  SimMember* from = Member(message.from);
  if (message.type == MessageType::kSnap && from != nullptr && from->running()) {
    from->raft().ReportSnapshot(message.to, false);
    Touch(*from);
  }
}

// ---- events ----

void Simulation::TickOne() {
  SimMember* member = AnyRunning();
  if (member == nullptr) return;
  member->raft().Tick();
  Touch(*member);
  oracle_.Ticked(*member);
}

void Simulation::TickAll() {
  for (auto& [id, member] : members_) {
    if (!member->running()) continue;
    member->raft().Tick();
    Touch(*member);
    oracle_.Ticked(*member);
  }
}

void Simulation::DeliverOne() {
  if (network_.empty()) return;
  Deliver(prng_.Chance(0.7) ? 0 : prng_.Below(network_.size()), /*keep=*/false);
}

void Simulation::DuplicateOne() {
  if (!network_.empty()) Deliver(prng_.Below(network_.size()), /*keep=*/true);
}

void Simulation::LoseOne() {
  if (!network_.empty()) Lose(prng_.Below(network_.size()));
}

void Simulation::ReadyOne() {
  SimMember* member = AnyWith([](SimMember& m) { return m.raft().HasReady(); });
  if (member != nullptr) TurnReady(*member);
}

void Simulation::FinishWriteOne() {
  SimMember* member = AnyWith([](SimMember& m) { return m.writing(); });
  if (member != nullptr) FinishWrite(*member);
}

void Simulation::ReportWritesOne() {
  SimMember* member = AnyWith([](SimMember& m) { return m.has_finished_writes(); });
  if (member != nullptr) ReportWrites(*member);
}

void Simulation::ApplyOne() {
  SimMember* member = AnyWith([](SimMember& m) { return !m.to_apply().empty(); });
  if (member != nullptr) Apply(*member, prng_.Chance(0.7));
}

void Simulation::ProposeOne() {
  SimMember* member = prng_.Chance(0.8) ? Leader() : AnyRunning();
  if (member == nullptr) return;
  std::vector<SharedBytes> requests;
  for (uint64_t i = prng_.Below(4) + 1; i > 0; --i) {
    std::string data("p");
    data += std::to_string(++counter_);
    data.resize(data.size() + prng_.Below(60), '.');
    requests.emplace_back(data);
  }
  Note(static_cast<uint64_t>(member->raft().Propose(std::move(requests))));
  Touch(*member);
}

void Simulation::ReadOne() {
  SimMember* member = prng_.Chance(0.5) ? Leader() : AnyRunning();
  if (member == nullptr) return;
  std::string context("r");
  context += std::to_string(++counter_);
  oracle_.ReadAsked(context);
  Note(static_cast<uint64_t>(member->raft().ReadIndex(context)));
  Touch(*member);
}

void Simulation::ChangeConfigurationOne() {
  SimMember* member = prng_.Chance(0.8) ? Leader() : AnyRunning();
  if (member == nullptr) return;
  auto single = [this]() -> ConfChangeSingle {
    constexpr ConfChangeType kTypes[] = {ConfChangeType::kAddNode, ConfChangeType::kAddNode,
                                         ConfChangeType::kRemoveNode,
                                         ConfChangeType::kAddLearnerNode};
    const NodeId id(prng_.Below(kMembersMax) + 1);
    MemberOrNew(id);
    return {kTypes[prng_.Below(std::size(kTypes))], id};
  };
  ProposeResult result;
  if (prng_.Chance(0.5)) {
    const ConfChangeSingle change = single();
    result = member->raft().ProposeConfChange(
        {.id = ++counter_, .type = change.type, .node_id = change.node_id});
  } else {
    ConfChangeV2 change;
    change.context = std::to_string(++counter_);
    for (uint64_t i = prng_.Below(4); i > 0; --i) change.changes.push_back(single());
    if (!change.changes.empty()) {
      change.transition = static_cast<ConfChangeTransition>(prng_.Below(3));
    }
    result = member->raft().ProposeConfChangeV2(change);
  }
  Note(static_cast<uint64_t>(result));
  oracle_.ProposedConfChange(*member);
  Touch(*member);
}

void Simulation::TransferOne() {
  SimMember* member = AnyRunning();
  if (member == nullptr) return;
  oracle_.TransferAsked(*member);
  member->raft().TransferLeadership(AnyMember().id());
  Touch(*member);
}

void Simulation::CrashOne() {
  SimMember* member = AnyRunning();
  if (member == nullptr) return;
  ++result_.crashes;
  member->Crash(prng_, options_.mutant);
  // What reached the disk unheard is durable all the same.
  if (options_.mutant != Mutant::kForgetsItsTerm) oracle_.WriteFinished(*member, {});
}

void Simulation::RestartOne() {
  SimMember& member = AnyMember();
  if (!member.running()) Start(member);
}

void Simulation::PartitionSome() {
  for (auto& [from, one] : members_) {
    for (auto& [to, other] : members_) cut_[{from, to}] = false;
  }
  if (prng_.Chance(0.3)) {  // single links, one way
    for (uint64_t i = prng_.Below(4) + 1; i > 0; --i) {
      cut_[{AnyMember().id(), AnyMember().id()}] = true;
    }
    return;
  }
  std::map<NodeId, bool> side;
  for (auto& [id, member] : members_) side[id] = prng_.Chance(0.5);
  for (auto& [from, one] : members_) {
    for (auto& [to, other] : members_) cut_[{from, to}] = side[from] != side[to];
  }
}

void Simulation::Heal() { cut_.clear(); }

void Simulation::CheckpointOne() {
  if (SimMember* member = AnyRunning()) member->Checkpoint();
}

void Simulation::CompactOne() {
  SimMember* member = AnyRunning();
  if (member == nullptr) return;
  const uint64_t keep = prng_.Below(8);
  const Index to = member->disk().checkpoint.applied;
  if (to.value() > keep) member->Compact(to - keep);
  Touch(*member);
}

void Simulation::TrimOne() {
  SimMember* member = AnyRunning();
  if (member == nullptr) return;
  const size_t kept = prng_.Below(8);
  const size_t bytes = prng_.Chance(0.5) ? SIZE_MAX : prng_.Below(400);
  const size_t more = prng_.Chance(0.5) ? 0 : prng_.Below(400);
  member->raft().TrimLog({kept, bytes, bytes == SIZE_MAX ? bytes : bytes + more});
  Touch(*member);
}

void Simulation::ReportUnreachableOne() {
  SimMember* member = AnyRunning();
  if (member == nullptr) return;
  member->raft().ReportUnreachable(AnyMember().id());
  Touch(*member);
}

void Simulation::ForgetLeaderOne() {
  SimMember* member = AnyRunning();
  if (member == nullptr) return;
  member->raft().ForgetLeader();
  Touch(*member);
}

void Simulation::CampaignOne() {
  SimMember* member = AnyRunning();
  if (member == nullptr) return;
  member->raft().Campaign();
  Touch(*member);
}

// ---- the run ----

void Simulation::StepOnce() {
  uint64_t drawn = prng_.Below(weights_);
  for (const Event& event : events_) {
    if (drawn < event.weight) {
      (this->*event.run)();
      break;
    }
    drawn -= event.weight;
  }
  while (network_.size() > kNetworkMax) Lose(0);
}

// Everything that can happen without time passing.
void Simulation::RunToRest() {
  bool moved = true;
  for (int round = 0; moved && round < 2000 && !oracle_.failure(); ++round) {
    moved = false;
    for (auto& [id, member] : members_) {
      if (!member->running()) continue;
      if (member->raft().HasReady()) {
        TurnReady(*member);
        moved = true;
      }
      while (member->writing()) {
        FinishWrite(*member);
        moved = true;
      }
      if (member->has_finished_writes()) ReportWrites(*member);
      while (!member->to_apply().empty() && !oracle_.failure()) {
        Apply(*member, /*report=*/true);
        moved = true;
      }
      if (member->raft().Status().applied < member->state().applied) member->ReportApplied();
    }
    for (size_t count = network_.size(); count > 0 && !oracle_.failure(); --count) {
      Deliver(0, /*keep=*/false);
      moved = true;
    }
  }
}

// One leader, nothing joint, and its members have applied everything including `proposed`.
bool Simulation::Settled(Index proposed) {
  SimMember* leader = Leader();
  if (leader == nullptr) return false;
  const RaftStatus status = leader->raft().Status();
  if (!status.conf_state.voters_outgoing.empty() || status.commit < proposed) return false;
  if (status.commit != status.last_index) return false;
  std::vector<NodeId> ids = status.conf_state.voters;
  ids.insert(ids.end(), status.conf_state.learners.begin(), status.conf_state.learners.end());
  for (NodeId id : ids) {
    if (Member(id)->state().applied != status.commit) return false;
    if (Member(id)->state().hash != leader->state().hash) return false;
  }
  return true;
}

// A leader that removes or demotes itself may stop before a voter of the new configuration has
// heard that the change is committed. The voters then still need its vote, which its longer log
// denies them. Nothing but the removed member could tell: a weakness of changes that take effect
// when they are applied, described in the design note.
bool Simulation::OutsidersKnowConfiguration() const {
  Index index;
  const ConfState* newest = nullptr;
  for (const auto& [id, member] : members_) {
    if (member->state().applied < index) continue;
    index = member->state().applied;
    newest = &member->state().conf_state;
  }
  const auto knows = [&](NodeId id) { return members_.at(id)->state().conf_state == *newest; };
  const bool outsider = std::any_of(members_.begin(), members_.end(), [&](const auto& one) {
    return !NodeSet(newest->voters).Contains(one.first) && knows(one.first);
  });
  return outsider && !std::all_of(newest->voters.begin(), newest->voters.end(), knows);
}

void Simulation::CheckLiveness() {
  cut_.clear();
  for (auto& [id, member] : members_) {
    if (!member->running()) Start(*member);
  }
  Index proposed;
  const int patience = 60 * base_config_.election_ticks;
  for (int tick = 0; tick < patience && !oracle_.failure(); ++tick) {
    TickAll();
    RunToRest();
    SimMember* leader = Leader();
    if (leader == nullptr) continue;
    if (!CoreAccess::members(leader->raft()).progress.contains(leader->id())) {
      // A server whose member was removed ends; until then it leads on without taking anything.
      leader->Crash(prng_, options_.mutant);
      continue;
    }
    if (proposed.value() == 0) {
      const bool taken = leader->raft().Propose({SharedBytes("last")}) == ProposeResult::kAccepted;
      if (taken) proposed = leader->raft().Status().last_index;
    }
    const ConfState conf_state = leader->raft().Status().conf_state;
    if (!conf_state.voters_outgoing.empty() && !conf_state.auto_leave) {
      Note(static_cast<uint64_t>(leader->raft().ProposeConfChangeV2({})));  // was left to us
    }
    RunToRest();
    if (proposed.value() != 0 && Settled(proposed)) return;
  }
  result_.stranded = OutsidersKnowConfiguration();
  if (result_.stranded) return;
  oracle_.Fail("no progress after everything was repaired:" + DescribeMembers());
}

std::string Simulation::DescribeMembers() const {
  std::ostringstream text;
  for (const auto& [id, member] : members_) {
    if (!member->running()) {
      text << "\n  " << id << ": ended, applied " << member->state().applied << ", "
           << Describe(member->state().conf_state);
      continue;
    }
    const RaftStatus status = member->raft().Status();
    text << "\n  " << id << ": " << Describe(status.role) << " term " << status.term << " leader "
         << status.leader << " applied " << status.applied << " commit " << status.commit
         << " last " << status.last_index << ", " << Describe(status.conf_state);
    if (status.role == Role::kLeader) {
      text << "\n" << Indent(Indent(Describe(CoreAccess::members(member->raft()).progress)));
    }
  }
  return text.str();
}

SimulationResult Simulation::Run() {
  int step = 0;
  for (; step < options_.steps && !oracle_.failure(); ++step) StepOnce();
  // Without these two a removed member that does not know it may disturb the others for ever
  // (§4.2.3).
  const bool live = base_config_.check_quorum && base_config_.pre_vote;
  if (!oracle_.failure() && live) CheckLiveness();
  result_.failure = oracle_.failure();
  result_.failed_step = step;
  result_.trace_hash = trace_hash_;
  result_.committed = oracle_.max_committed();
  for (auto& [id, member] : members_) {
    result_.term = std::max(result_.term, member->disk().hard_state.term);
  }
  return result_;
}

}  // namespace quoin::raft::testing

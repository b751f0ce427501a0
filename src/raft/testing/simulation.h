// Simulation: a cluster of Raft cores under a random schedule of messages (delayed, lost, doubled,
// reordered), writes that finish late, crashes, restarts, partitions, configuration changes,
// transfers and compactions. After every step the oracle is asked; at the end everything is
// repaired and the cluster has to make progress. A seed decides all of it.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "raft/testing/sim_member.h"
#include "raft/testing/sim_oracle.h"

namespace quoin::raft::testing {

struct SimulationOptions {
  uint64_t seed = 0;
  int steps = 1200;
  Mutant mutant = Mutant::kNone;
};

struct SimulationResult {
  std::optional<std::string> failure;
  int failed_step = 0;
  uint64_t trace_hash = 0;  // equal for equal seeds
  Index committed;
  Term term;
  size_t snapshots = 0;  // installed
  size_t crashes = 0;
  size_t reads = 0;       // answered
  bool stranded = false;  // could not go on, for the one reason that is accepted
};

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options);
  SimulationResult Run();

 private:
  struct Event {
    uint32_t weight;
    void (Simulation::*run)();
  };

  void Bootstrap(uint64_t voters);
  Config ConfigOf(NodeId id) const;
  SimMember* Member(NodeId id);
  SimMember& AnyMember();
  SimMember* AnyRunning();
  template <typename Wanted>
  SimMember* AnyWith(Wanted&& wanted);
  SimMember* Leader();
  SimMember& MemberOrNew(NodeId id);
  void Start(SimMember& member);
  void Send(SimMember& from, Message message);
  void TurnReady(SimMember& member);
  void FinishWrite(SimMember& member);
  void ReportWrites(SimMember& member);
  void Apply(SimMember& member, bool report);
  void Deliver(size_t at, bool keep);
  void Lose(size_t at);
  void Touch(SimMember& member);
  void Misbehave(SimMember& member);
  void Note(uint64_t value);
  bool Cut(NodeId from, NodeId to) const;

  // events
  void TickOne();
  void TickAll();
  void DeliverOne();
  void LoseOne();
  void DuplicateOne();
  void ReadyOne();
  void FinishWriteOne();
  void ReportWritesOne();
  void ApplyOne();
  void ProposeOne();
  void ReadOne();
  void ChangeConfigurationOne();
  void TransferOne();
  void CrashOne();
  void RestartOne();
  void PartitionSome();
  void Heal();
  void CheckpointOne();
  void CompactOne();
  void TrimOne();
  void ReportUnreachableOne();
  void ForgetLeaderOne();
  void CampaignOne();

  void StepOnce();
  void RunToRest();
  bool Settled(Index proposed);
  bool OutsidersKnowConfiguration() const;
  void CheckLiveness();
  std::string DescribeMembers() const;

  SimulationOptions options_;
  Prng prng_;
  Config base_config_;
  size_t unapplied_bytes_max_ = SIZE_MAX;  // of every member, see Raft::BoundUnapplied
  std::vector<Event> events_;
  uint64_t weights_ = 0;
  SimOracle::MemberMap members_;
  SimOracle oracle_;
  std::vector<Message> network_;
  std::map<std::pair<NodeId, NodeId>, bool> cut_;
  // Mutants':
  std::map<NodeId, Term> campaigned_;  // in which a candidate has asked removed members
  std::map<NodeId, Index> adopted_;    // up to where changes were taken on
  uint64_t trace_hash_ = 0x2545f4914f6cdd1d;
  uint64_t counter_ = 0;
  SimulationResult result_;
};

}  // namespace quoin::raft::testing

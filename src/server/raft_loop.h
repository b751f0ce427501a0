// RaftLoop: drives raft::Raft: ticks, proposals, messages, persistence, commits, reads. The only
// user of the core. It never waits: for no disk, no peer and no other loop.
//
// Thread: the raft loop; every method runs there (others post).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/memory.h"
#include "base/prng.h"
#include "env/executor.h"
#include "raft/raft.h"
#include "server/config.h"
#include "server/frontend.h"
#include "server/lost_log.h"
#include "server/messages.h"
#include "server/node_info.h"
#include "server/persister.h"
#include "server/received_trees.h"
#include "wal/wal.h"

namespace quoin::server {

class ApplyLoop;
class PeerHost;
namespace testing {
class RaftLoopAccess;
}

class RaftLoop {
 public:
  struct Loops {
    env::Executor& raft;
    env::Executor& wal;
    env::Executor& apply;
    env::Executor& bulk;
    env::Executor& peer;
  };
  RaftLoop(const NodeConfig& config, NodeInfo& info, Loops loops, raft::Raft raft, uint64_t seed,
           wal::Writer& wal, env::FileSystem& files, Logger& log);
  ~RaftLoop();

  // Wires the other loops in; before Start. `frontends[i]` is the loop number i of `ids`.
  void Connect(ApplyLoop& apply, PeerHost& peers, ReceivedTrees& received,
               std::vector<Frontend*> frontends, const RequestIds& ids);
  // Runs once, with what is to be said, when the member has lost a part of its log and must end.
  using OnLost = std::function<void(std::string)>;
  void set_on_lost(OnLost on_lost) { on_lost_ = std::move(on_lost); }
  void Start();
  // A leader with other voters passes the lead to the one with the longest log; `done` runs a
  // heartbeat after there is another leader, or after an election timeout. Proposals wait for the
  // other leader, those of other members too.
  void HandOver(env::Task done);
  // No further ticks, proposals refused; `stopped` runs when nothing of it is under way any more.
  void Stop(env::Task stopped);

  void OnProposals(size_t frontend, std::vector<Proposal> batch);
  void OnConfChangeProposal(size_t frontend, raft::ConfChange change);
  void OnReadIndex(size_t frontend, uint64_t id);
  // The apply loop has applied everything up to `index`.
  void OnApplied(Index index);
  // The apply loop waits with what follows until raft has switched; answers ApplyLoop::OnConfState.
  void OnConfChange(Index index, std::optional<raft::ConfChange> change);
  // The data file holds everything up to `metadata.index`, and the .snap file is durable: older log
  // may go.
  void OnSnapshotSaved(raft::SnapshotMetadata metadata);

  // Peers'.
  void OnMessages(std::vector<raft::Message> messages);
  void OnUnreachable(NodeId id);
  // The process of `id` has ended.
  void OnProcessGone(NodeId id);
  void OnSnapshotSent(NodeId id, bool ok);

  void TransferLeadership(NodeId to);
  raft::RaftStatus status() const { return raft_.Status(); }

 private:
  friend class testing::RaftLoopAccess;
  // Proposals that came while no leader could be reached: they wait for one, as long as their
  // callers do.
  struct Held {
    size_t frontend;
    std::vector<Proposal> batch;
    std::optional<raft::ConfChange> change;
    env::Duration until;
  };
  bool MayPropose() const;
  void Hold(Held held);
  void ProposeHeld();
  void DropExpired();
  void RefuseForOtherLeaders(Held& batch);
  void Propose(Held batch);
  void Refuse(const Held& batch, const Status& status);
  void Tick();
  void AskForProofOfLead();
  void OnLeadProved(uint64_t number);
  void ScheduleTurn();
  void Turn();
  void TakeReadies();
  void TakeOneReady();
  void StepMessage(raft::Message message);
  void NoteRefused(raft::MessageType type, NodeId from, Term term, Index commit,
                   raft::StepResult result);
  void Send(std::vector<raft::Message> messages);
  void PublishInfo();
  void NoteRefusedAppends();
  void OnNewLeader(bool this_member);
  void AnswerReads(std::vector<raft::ReadState> reads);
  void NoteLeaseChanges(const std::vector<raft::Entry>& entries);
  void CampaignIfAlone();
  void RepeatElection();
  void NoteConfiguration(const raft::ConfState& state);
  bool HoldForSuccessor(raft::Message& message);
  void CheckHandOver();
  void FailHandOver();
  void EndHandOver(env::Duration grace);
  void TrimLog();

  const NodeConfig& config_;
  NodeInfo& info_;
  Loops loops_;
  raft::Raft raft_;
  Persister persister_;
  Prng random_;
  Logger& log_;
  ApplyLoop* apply_ = nullptr;
  PeerHost* peers_ = nullptr;
  ReceivedTrees* received_ = nullptr;
  std::vector<Frontend*> frontends_;
  RequestIds ids_;
  MemoryAccount account_{info_.unapplied};
  MemoryCharge unapplied_{account_};
  std::deque<Held> held_;  // ascending deadlines
  size_t held_bytes_ = 0;
  bool turn_scheduled_ = false;
  bool stopping_ = false;
  env::Task stopped_;
  bool handing_over_ = false;  // and no other leader is known yet
  env::Task handed_over_;
  env::TimerId hand_over_timer_;
  // What other members have passed on meanwhile.
  std::vector<raft::Message> for_successor_;
  size_t for_successor_bytes_ = 0;
  env::TimerId tick_timer_;
  // Proofs of the lead that are asked for: number and time, ascending. As leader only.
  std::deque<std::pair<uint64_t, env::Duration>> proofs_;
  uint64_t proofs_asked_ = 0;
  // Since there was a leader: an election timeout has run out, or its process has ended.
  bool leader_missed_ = false;
  int elections_repeated_ = 0;  // since then
  bool repeat_waits_ = false;
  env::TimerId repeat_timer_;
  bool alone_ = false;        // this member is the only voter; there may be learners
  bool leader_lost_ = false;  // what is sent to the leader gets lost, until it is heard again
  uint64_t leader_seen_ = 0;
  uint64_t term_seen_ = 0;  // when it was elected
  uint64_t term_led_ = 0;   // 0: this member does not lead
  Index snapshot_taken_;    // given to install by this step
  Index applied_;
  Index trimmed_at_;  // what was applied when the log in memory was last looked at
  LostLog lost_log_;
  OnLost on_lost_;
  Index complete_from_;  // as leader: the first entry of its own term
};

}  // namespace quoin::server

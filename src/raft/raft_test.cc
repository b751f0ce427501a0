// The public face of Raft, driven as the server drives it: a single voter from bootstrap to
// restart.
#include "raft/raft.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "raft_types/codec.h"

namespace quoin::raft {
namespace {

Config OneMember() {
  Config config;
  config.id = NodeId(1);
  return config;
}

Entry AddNodeEntry(uint64_t index, uint64_t node) {
  std::string data;
  EncodeConfChange({.type = ConfChangeType::kAddNode, .node_id = NodeId(node)}, data);
  return {Term(1), Index(index), EntryType::kConfChange, SharedBytes(data)};
}

// A host with a disk that is durable when Persist() is called, and a state machine that is a list
// of strings.
class Host {
 public:
  explicit Host(RecoveredState recovered, Config config = OneMember())
      : disk_(recovered), raft_(config, std::move(recovered), /*seed=*/1) {}

  Raft& raft() { return raft_; }
  const std::vector<std::string>& applied() const { return applied_; }
  const std::vector<std::string>& reads() const { return reads_; }

  // One Ready, up to the disk.
  Ready Turn() {
    Ready ready = raft_.TakeReady();
    if (ready.hard_state) disk_.hard_state = *ready.hard_state;
    for (const Entry& entry : ready.entries) {
      disk_.entries.resize(entry.index - (disk_.snapshot.index + 1));
      disk_.entries.push_back(entry);
    }
    for (const ReadState& read : ready.read_states) reads_.push_back(read.context);
    for (const Entry& entry : ready.committed) Apply(entry);
    return ready;
  }
  void Settle() {
    while (raft_.HasReady()) {
      const Ready ready = Turn();
      if (ready.persist_id.value() != 0) raft_.Persisted(ready.persist_id);
    }
  }
  RecoveredState Crash() const {
    RecoveredState recovered = disk_;
    recovered.snapshot.conf_state = conf_state_;
    return recovered;
  }

 private:
  void Apply(const Entry& entry) {
    if (entry.type == EntryType::kConfChange) {
      conf_state_ =
          raft_.ConfChangeApplied(entry.index, AsV2(*DecodeConfChange(entry.data.view())));
    } else if (!entry.data.empty()) {
      applied_.emplace_back(entry.data.view());
    }
    raft_.Applied(entry.index);
    disk_.applied = entry.index;
  }

  RecoveredState disk_;
  ConfState conf_state_;
  std::vector<std::string> applied_;
  std::vector<std::string> reads_;
  Raft raft_;
};

RecoveredState FreshCluster() {
  RecoveredState recovered;
  recovered.hard_state = {Term(1), NodeId(0), Index(1)};
  recovered.entries.push_back(AddNodeEntry(1, 1));
  return recovered;
}

TEST(SingleVoterTest, BootstrapsElectsItselfAndCommits) {
  Host host(FreshCluster());
  host.Settle();
  EXPECT_EQ(host.raft().Status().conf_state.voters, std::vector<NodeId>{NodeId(1)});
  host.raft().Campaign();
  host.Settle();
  ASSERT_EQ(host.raft().role(), Role::kLeader);
  ASSERT_EQ(host.raft().Propose({SharedBytes("a"), SharedBytes("b")}), ProposeResult::kAccepted);
  host.Settle();
  EXPECT_EQ(host.applied(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(host.raft().commit_index(), Index(4));
}

TEST(SingleVoterTest, CommitsNothingBeforeItsOwnDiskHasIt) {
  Host host(FreshCluster());
  host.Settle();
  host.raft().Campaign();
  host.Settle();
  ASSERT_EQ(host.raft().Propose({SharedBytes("a")}), ProposeResult::kAccepted);
  const Ready first = host.Turn();
  ASSERT_EQ(host.raft().Propose({SharedBytes("b")}), ProposeResult::kAccepted);
  const Ready second = host.Turn();
  EXPECT_LT(first.persist_id, second.persist_id);
  EXPECT_TRUE(first.must_sync);
  EXPECT_TRUE(host.applied().empty());
  host.raft().Persisted(first.persist_id);
  host.Turn();
  EXPECT_EQ(host.applied(), (std::vector<std::string>{"a"}));
  host.raft().Persisted(second.persist_id);
  host.Settle();
  EXPECT_EQ(host.applied(), (std::vector<std::string>{"a", "b"}));
}

TEST(SingleVoterTest, DoesNotLeadBeforeItsVoteIsDurable) {
  Host host(FreshCluster());
  host.Settle();
  host.raft().Campaign();
  const Ready ready = host.Turn();
  EXPECT_EQ(host.raft().role(), Role::kCandidate);
  ASSERT_TRUE(ready.hard_state.has_value());
  EXPECT_EQ(*ready.hard_state, (HardState{Term(2), NodeId(1), Index(1)}));
  EXPECT_TRUE(ready.must_sync);
  EXPECT_TRUE(ready.after_persist.empty());  // what it says to itself stays inside
  host.raft().Persisted(ready.persist_id);
  EXPECT_EQ(host.raft().role(), Role::kLeader);
}

TEST(SingleVoterTest, AnswersReadsOnceItCommittedInItsTerm) {
  Host host(FreshCluster());
  host.Settle();
  EXPECT_EQ(host.raft().ReadIndex("early"), ProposeResult::kNoLeader);
  host.raft().Campaign();
  Ready ready = host.Turn();
  host.raft().Persisted(ready.persist_id);
  EXPECT_EQ(host.raft().ReadIndex("r1"), ProposeResult::kAccepted);
  ready = host.Turn();
  EXPECT_TRUE(host.reads().empty());
  host.raft().Persisted(ready.persist_id);
  host.Settle();
  EXPECT_EQ(host.reads(), std::vector<std::string>{"r1"});
  EXPECT_EQ(host.raft().ReadIndex("r2"), ProposeResult::kAccepted);
  EXPECT_TRUE(host.raft().HasReady());
  host.Settle();
  EXPECT_EQ(host.reads(), (std::vector<std::string>{"r1", "r2"}));
}

TEST(SingleVoterTest, RestartsWhereItWasAndAppliesWhatWasCommitted) {
  Host host(FreshCluster());
  host.Settle();
  host.raft().Campaign();
  host.Settle();
  ASSERT_EQ(host.raft().Propose({SharedBytes("a")}), ProposeResult::kAccepted);
  host.Settle();
  RecoveredState recovered = host.Crash();
  recovered.hard_state.commit = Index(1);  // was never synced

  Host again(recovered);
  EXPECT_FALSE(again.raft().Status().applied < recovered.applied);
  EXPECT_EQ(again.raft().term(), Term(2));
  again.Settle();
  EXPECT_TRUE(again.applied().empty());  // the data file has it
  again.raft().Campaign();
  again.Settle();
  EXPECT_EQ(again.raft().role(), Role::kLeader);
  EXPECT_EQ(again.raft().term(), Term(3));
}

TEST(SingleVoterTest, CompactionForgetsEntriesAndKeepsTheRest) {
  Host host(FreshCluster());
  host.Settle();
  host.raft().Campaign();
  host.Settle();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(host.raft().Propose({SharedBytes("x")}), ProposeResult::kAccepted);
  }
  host.Settle();
  const RaftStatus status = host.raft().Status();
  host.raft().Compact(status.applied - 3, {status.conf_state, status.applied, status.term},
                      SharedBytes());
  ASSERT_EQ(host.raft().Propose({SharedBytes("y")}), ProposeResult::kAccepted);
  host.Settle();
  EXPECT_EQ(host.applied().back(), "y");
  EXPECT_EQ(host.raft().Status().last_index, status.last_index + 1);
}

TEST(SingleVoterTest, TheLogInMemoryIsBoundedByEntriesAndByBytes) {
  Host host(FreshCluster());
  host.Settle();
  host.raft().Campaign();
  host.Settle();
  const std::string value(1000, 'x');
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(host.raft().Propose({SharedBytes(value)}), ProposeResult::kAccepted);
    host.Settle();
    host.raft().TrimLog({.entries_kept = 20});
    EXPECT_LE(host.raft().log_bytes(), 20 * 1024u);
  }
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(host.raft().Propose({SharedBytes(value)}), ProposeResult::kAccepted);
    host.Settle();
    host.raft().TrimLog({.entries_kept = 20, .bytes_max = 8000});
    EXPECT_LE(host.raft().log_bytes(), 8000u);
  }
  EXPECT_GT(host.raft().log_bytes(), 5000u);
  EXPECT_EQ(host.applied().size(), 200u);
}

TEST(SingleVoterTest, WhatIsNotDurableOrNotAppliedStaysInTheLog) {
  Host host(FreshCluster());
  host.Settle();
  host.raft().Campaign();
  host.Settle();
  ASSERT_EQ(host.raft().Propose({SharedBytes(std::string(1000, 'x'))}), ProposeResult::kAccepted);
  const Ready ready = host.Turn();
  host.raft().TrimLog({.bytes_max = 0});
  EXPECT_EQ(host.raft().log_bytes(), 1024u);
  host.raft().Persisted(ready.persist_id);
  host.raft().TrimLog({.bytes_max = 0});
  EXPECT_EQ(host.raft().log_bytes(), 1024u);
  host.Settle();
  host.raft().TrimLog({.bytes_max = 0});
  EXPECT_EQ(host.raft().log_bytes(), 0u);
}

// Member 1 leads, and member 2 is a learner.
void LeadWithLearner(Host& host) {
  host.Settle();
  host.raft().Campaign();
  host.Settle();
  EXPECT_EQ(host.raft().ProposeConfChange(
                {.type = ConfChangeType::kAddLearnerNode, .node_id = NodeId(2)}),
            ProposeResult::kAccepted);
  host.Settle();
}

void ProposeTenOf1000Bytes(Host& host) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(host.raft().Propose({SharedBytes(std::string(1000, 'x'))}), ProposeResult::kAccepted);
  }
  host.Settle();
}

TEST(LeaderTest, KeepsWhatAFollowerThatAnswersLacksUpToTheBoundInBytes) {
  Host host(FreshCluster());
  LeadWithLearner(host);
  const Index match = host.raft().Status().last_index;
  host.raft().Step({.type = MessageType::kAppResp,
                    .from = NodeId(2),
                    .term = host.raft().term(),
                    .index = match});
  ProposeTenOf1000Bytes(host);
  host.raft().TrimLog({.bytes_max = 0});
  EXPECT_EQ(host.raft().log_bytes(), 10 * 1024u);
  host.raft().TrimLog({.bytes_max = 0, .bytes_waited_for_max = 5000});
  EXPECT_LE(host.raft().log_bytes(), 5000u);
  // What was sent is lost, and its next entry gone: it is offered the state.
  host.raft().ReportUnreachable(NodeId(2));
  host.raft().Step(
      {.type = MessageType::kHeartbeatResp, .from = NodeId(2), .term = host.raft().term()});
  bool offered = false;
  while (host.raft().HasReady()) {
    for (const Message& message : host.Turn().messages) {
      if (message.type != MessageType::kSnap) continue;
      offered = true;
      EXPECT_EQ(message.snapshot.metadata.index, host.raft().Status().applied);
    }
  }
  EXPECT_TRUE(offered);
  // Meanwhile what follows that state is kept for it.
  ProposeTenOf1000Bytes(host);
  // Also right after a check that a quorum answers, when nobody has answered the next one yet.
  const int timeout = Config().election_ticks;
  for (int tick = 0; tick < 2 * timeout; ++tick) {
    host.raft().TrimLog({.bytes_max = 0});
    EXPECT_EQ(host.raft().log_bytes(), 10 * 1024u);
    host.raft().Tick();
    host.Settle();
    if (tick % timeout != timeout / 2) continue;
    host.raft().Step(
        {.type = MessageType::kHeartbeatResp, .from = NodeId(2), .term = host.raft().term()});
    host.Settle();
  }
}

TEST(SingleVoterTest, AcceptsAConfigurationChangeAndAsksTheNewcomer) {
  Host host(FreshCluster());
  LeadWithLearner(host);
  EXPECT_EQ(host.raft().Status().conf_state.learners, std::vector<NodeId>{NodeId(2)});
  ASSERT_EQ(host.raft().Propose({SharedBytes("a")}), ProposeResult::kAccepted);
  host.Settle();
  EXPECT_EQ(host.applied(), std::vector<std::string>{"a"});  // learners do not count
  EXPECT_EQ(host.raft().Status().progress.size(), 2u);
}

TEST(SingleVoterTest, RefusesWhatCannotBeAPeersMessage) {
  Host host(FreshCluster());
  host.Settle();
  host.raft().Campaign();
  host.Settle();
  Raft& raft = host.raft();
  EXPECT_EQ(raft.Step({}), StepResult::kRefused);
  for (uint64_t term : {UINT64_MAX, uint64_t{1} << 62, uint64_t{1} << 40}) {
    EXPECT_EQ(raft.Step({.type = MessageType::kVote, .from = NodeId(2), .term = Term(term)}),
              StepResult::kRefused);
  }
  EXPECT_LT(raft.term(), Term(1000));
  EXPECT_EQ(raft.Step({.type = MessageType::kApp, .from = NodeId(2)}), StepResult::kRefused);
  EXPECT_EQ(raft.Step({.type = MessageType::kBeat, .from = NodeId(2), .term = Term(99)}),
            StepResult::kRefused);
  EXPECT_EQ(raft.Step({.type = MessageType::kAppResp, .from = NodeId(2), .term = Term(2)}),
            StepResult::kUnknownPeer);
  Message gap{.type = MessageType::kApp, .from = NodeId(2), .term = Term(9)};
  gap.entries.push_back({.term = Term(9), .index = Index(7)});
  EXPECT_EQ(raft.Step(gap), StepResult::kRefused);
  EXPECT_EQ(raft.term(), Term(2));
  EXPECT_EQ(raft.role(), Role::kLeader);
}

}  // namespace
}  // namespace quoin::raft

// Corners of the core that neither the scripts nor the paper's sentences reach.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "raft/raft.h"
#include "raft/read_index.h"
#include "raft/testing/core_access.h"
#include "raft_types/codec.h"

namespace quoin::raft {
namespace {

using testing::CoreAccess;

Config ConfigOf(uint64_t id) {
  Config config;
  config.id = NodeId(id);
  config.pre_vote = false;
  return config;
}

RecoveredState Voters(std::vector<uint64_t> ids) {
  RecoveredState recovered;
  for (uint64_t id : ids) recovered.snapshot.conf_state.voters.push_back(NodeId(id));
  return recovered;
}

Entry At(uint64_t term, uint64_t index, std::string data = "x") {
  return {Term(term), Index(index), EntryType::kNormal, SharedBytes(data)};
}

Message Append(uint64_t term, uint64_t previous_term, uint64_t previous, std::vector<Entry> entries,
               uint64_t commit = 0, uint64_t from = 2) {
  return {.type = MessageType::kApp,
          .from = NodeId(from),
          .term = Term(term),
          .log_term = Term(previous_term),
          .index = Index(previous),
          .entries = std::move(entries),
          .commit = Index(commit)};
}

// Persists and applies at once; returns what leaves.
std::vector<Message> Settle(Raft& raft) {
  std::vector<Message> messages;
  while (raft.HasReady()) {
    Ready ready = raft.TakeReady();
    if (ready.persist_id.value() != 0) raft.Persisted(ready.persist_id);
    for (Message& message : ready.messages) messages.push_back(std::move(message));
    for (Message& message : ready.after_persist) messages.push_back(std::move(message));
    for (const Entry& entry : ready.committed) raft.Applied(entry.index);
  }
  return messages;
}

Raft Leader(const Config& config, std::vector<uint64_t> voters) {
  Raft raft(config, Voters(voters), 1);
  raft.Campaign();
  Settle(raft);
  for (uint64_t id : voters) {
    if (NodeId(id) == config.id) continue;
    raft.Step({.type = MessageType::kVoteResp, .from = NodeId(id), .term = raft.term()});
  }
  CHECK(raft.role() == Role::kLeader);
  Settle(raft);
  for (uint64_t id : voters) {
    if (NodeId(id) == config.id) continue;
    raft.Step({.type = MessageType::kAppResp,
               .from = NodeId(id),
               .term = raft.term(),
               .index = raft.Status().last_index});
  }
  Settle(raft);
  return raft;
}

TEST(PersistTest, AWriteSaysNothingAboutWhatTookItsPlaceMeanwhile) {
  Raft raft(ConfigOf(1), Voters({1, 2, 3}), 1);
  raft.Step(Append(1, 0, 0, {At(1, 1)}));
  const Ready first = raft.TakeReady();
  raft.Step(Append(2, 0, 0, {At(2, 1)}, 0, 3));
  const Ready second = raft.TakeReady();
  raft.Step(Append(3, 0, 0, {At(1, 1), At(3, 2)}, 2));
  const Ready third = raft.TakeReady();
  ASSERT_EQ(third.entries.size(), 2u);
  EXPECT_TRUE(third.committed.empty());
  raft.Persisted(first.persist_id);  // the log holds 1/1 again, the disk is about to hold 2/1
  EXPECT_FALSE(raft.HasReady());
  raft.Persisted(second.persist_id);
  EXPECT_FALSE(raft.HasReady());
  raft.Persisted(third.persist_id);
  EXPECT_EQ(raft.TakeReady().committed.size(), 2u);
}

TEST(PersistTest, AnAcknowledgementOfWhatWasOverwrittenBeforeItWasWrittenNeverLeaves) {
  Raft raft(ConfigOf(1), Voters({1, 2, 3}), 1);
  raft.Step(Append(1, 0, 0, {At(1, 1), At(1, 2)}));
  raft.Step(Append(2, 0, 0, {At(2, 1)}, 0, 3));
  const Ready ready = raft.TakeReady();
  ASSERT_EQ(ready.after_persist.size(), 1u);
  EXPECT_EQ(ready.after_persist[0].term, Term(2));
  EXPECT_EQ(ready.after_persist[0].index, Index(1));
}

TEST(PersistTest, AnAnswerThatPromisesNothingNewWaitsForTheWritesBeforeIt) {
  Raft raft(ConfigOf(1), Voters({1, 2, 3}), 1);
  raft.Step(Append(1, 0, 0, {At(1, 1)}));
  const Ready write = raft.TakeReady();
  raft.Step(Append(1, 0, 0, {At(1, 1)}));  // once more
  const Ready again = raft.TakeReady();
  EXPECT_TRUE(again.entries.empty());
  EXPECT_FALSE(again.must_sync);
  EXPECT_EQ(again.after_persist.size(), 1u);
  EXPECT_GT(again.persist_id, write.persist_id);
  raft.Persisted(again.persist_id);
  raft.Step(Append(1, 0, 0, {At(1, 1)}));
  const Ready free = raft.TakeReady();  // nothing is being written
  EXPECT_EQ(free.persist_id, PersistId(0));
  EXPECT_EQ(free.messages.size(), 1u);
}

TEST(PersistTest, ATornWriteThatLeftAnEntryOfALaterTermRaisesTheTerm) {
  RecoveredState recovered = Voters({1, 2, 3});
  recovered.hard_state = {Term(2), NodeId(3), Index(0)};
  recovered.entries = {At(2, 1), At(5, 2)};
  Raft raft(ConfigOf(1), recovered, 1);
  EXPECT_EQ(raft.term(), Term(5));
  EXPECT_EQ(raft.Status().vote, NodeId(0));
  EXPECT_EQ(raft.TakeReady().hard_state, (HardState{Term(5), NodeId(0), Index(0)}));
}

Message Snap(uint64_t term, uint64_t index, std::vector<uint64_t> voters) {
  Message message{.type = MessageType::kSnap, .from = NodeId(2), .term = Term(term)};
  message.snapshot.data = SharedBytes("state");
  message.snapshot.metadata.index = Index(index);
  message.snapshot.metadata.term = Term(term);
  for (uint64_t id : voters) message.snapshot.metadata.conf_state.voters.push_back(NodeId(id));
  return message;
}

TEST(SnapshotTest, NothingIsAppliedBeforeItIsInstalled) {
  Raft raft(ConfigOf(1), Voters({1, 2, 3}), 1);
  raft.Step(Snap(1, 10, {1, 2, 3}));
  raft.Step(Append(1, 1, 10, {At(1, 11)}, 11));
  const Ready ready = raft.TakeReady();
  ASSERT_TRUE(ready.snapshot.has_value());
  EXPECT_EQ(ready.snapshot->metadata.index, Index(10));
  EXPECT_EQ(ready.entries.size(), 1u);
  EXPECT_TRUE(ready.committed.empty());
  raft.Campaign();  // without a log nobody campaigns
  EXPECT_EQ(raft.role(), Role::kFollower);
  raft.Persisted(ready.persist_id);
  EXPECT_EQ(raft.Status().applied, Index(10));
  EXPECT_EQ(raft.TakeReady().committed.size(), 1u);
}

TEST(SnapshotTest, AChangeAppliedMeanwhileDoesNotTouchTheSnapshotsConfiguration) {
  RecoveredState recovered = Voters({1, 2});
  std::string data;
  EncodeConfChange({.type = ConfChangeType::kAddNode, .node_id = NodeId(3)}, data);
  recovered.entries = {{Term(1), Index(1), EntryType::kConfChange, SharedBytes(data)}};
  recovered.hard_state = {Term(1), NodeId(0), Index(1)};
  Raft raft(ConfigOf(1), recovered, 1);
  const Ready before = raft.TakeReady();
  ASSERT_EQ(before.committed.size(), 1u);
  raft.Step(Snap(1, 10, {1, 2, 4}));
  const Ready ready = raft.TakeReady();
  const ConfState then =
      raft.ConfChangeApplied(Index(1), AsV2(*DecodeConfChange(before.committed[0].data.view())));
  EXPECT_EQ(then.voters, (std::vector<NodeId>{NodeId(1), NodeId(2), NodeId(3)}));
  raft.Applied(Index(1));
  raft.Persisted(ready.persist_id);
  EXPECT_EQ(raft.Status().conf_state.voters,
            (std::vector<NodeId>{NodeId(1), NodeId(2), NodeId(4)}));
}

TEST(SnapshotTest, OneWithoutThisMemberOrWithAnImpossibleConfigurationIsNotTaken) {
  Raft raft(ConfigOf(1), Voters({1, 2, 3}), 1);
  EXPECT_EQ(raft.Step(Snap(1, 10, {2, 3})), StepResult::kAccepted);
  EXPECT_FALSE(raft.TakeReady().snapshot.has_value());
  Message both = Snap(1, 10, {1, 2, 3});
  both.snapshot.metadata.conf_state.learners = {NodeId(1)};
  EXPECT_EQ(raft.Step(both), StepResult::kRefused);
  EXPECT_EQ(raft.Step(Snap(1, 10, {})), StepResult::kRefused);
}

TEST(ReadIndexTest, OnlyAQuorumsEchoOfThisRoundProves) {
  Raft raft = Leader(ConfigOf(1), {1, 2, 3, 4, 5});
  ASSERT_EQ(raft.ReadIndex("read"), ProposeResult::kAccepted);
  Ready ready = raft.TakeReady();
  ASSERT_EQ(ready.messages.size(), 4u);
  const std::string context = ready.messages[0].context;
  EXPECT_EQ(context, std::string("\1\0\0\0\0\0\0\0", 8));  // the count, little endian
  auto echo = [&](uint64_t from, const std::string& what) {
    raft.Step({.type = MessageType::kHeartbeatResp,
               .from = NodeId(from),
               .term = raft.term(),
               .context = what});
    return raft.TakeReady().read_states.size();
  };
  EXPECT_EQ(echo(2, ""), 0u);
  EXPECT_EQ(echo(3, "short"), 0u);
  EXPECT_EQ(echo(4, "\xff\xff\xff\xff\xff\xff\xff\xff"), 0u);  // a number that was never given
  EXPECT_EQ(echo(2, context), 0u);
  EXPECT_EQ(echo(2, context), 0u);
  EXPECT_EQ(echo(3, context), 1u);
}

TEST(ReadIndexTest, AFollowerEchoesWhateverContextItGets) {
  Raft raft(ConfigOf(1), Voters({1, 2, 3}), 1);
  for (const std::string& context : {std::string(), std::string("any"), std::string(8, '\xfe')}) {
    raft.Step(
        {.type = MessageType::kHeartbeat, .from = NodeId(2), .term = Term(1), .context = context});
    const std::vector<Message> messages = Settle(raft);
    ASSERT_EQ(messages.size(), 1u);
    EXPECT_EQ(messages[0].context, context);
  }
}

TEST(ReadIndexTest, ALearnersEchoDoesNotCount) {
  Config config = ConfigOf(1);
  RecoveredState recovered = Voters({1, 2});
  recovered.snapshot.conf_state.learners = {NodeId(3)};
  Raft raft(config, recovered, 1);
  raft.Campaign();
  Settle(raft);
  raft.Step({.type = MessageType::kVoteResp, .from = NodeId(2), .term = raft.term()});
  Settle(raft);
  raft.Step(
      {.type = MessageType::kAppResp, .from = NodeId(2), .term = raft.term(), .index = Index(1)});
  Settle(raft);
  ASSERT_EQ(raft.ReadIndex("read"), ProposeResult::kAccepted);
  const std::string context = raft.TakeReady().messages.at(0).context;
  for (uint64_t from : {3, 2}) {
    raft.Step({.type = MessageType::kHeartbeatResp,
               .from = NodeId(from),
               .term = raft.term(),
               .context = context});
    EXPECT_EQ(raft.TakeReady().read_states.size(), from == 2 ? 1u : 0u);
  }
}

TEST(ReadIndexTest, TooManyWaitingReadsAreDropped) {
  Raft raft = Leader(ConfigOf(1), {1, 2, 3});
  for (size_t i = 0; i < kWaitingReadsMax; ++i) {
    ASSERT_EQ(raft.ReadIndex("r"), ProposeResult::kAccepted);
  }
  EXPECT_EQ(raft.ReadIndex("r"), ProposeResult::kDroppedFull);
  Message request{.type = MessageType::kReadIndex, .from = NodeId(2)};
  request.entries.push_back({.data = SharedBytes("r")});
  EXPECT_EQ(raft.Step(request), StepResult::kDropped);
}

TEST(ReadIndexTest, LeaseBasedReadsAreAnsweredAtOnce) {
  Config config = ConfigOf(1);
  config.read_only = ReadOnlyMode::kLeaseBased;
  Raft raft = Leader(config, {1, 2, 3});
  ASSERT_EQ(raft.ReadIndex("read"), ProposeResult::kAccepted);
  const Ready ready = raft.TakeReady();
  EXPECT_TRUE(ready.messages.empty());
  ASSERT_EQ(ready.read_states.size(), 1u);
  EXPECT_EQ(ready.read_states[0].index, Index(1));
}

TEST(ProposeTest, WhatIsUncommittedIsBounded) {
  Config config = ConfigOf(1);
  config.uncommitted_bytes_max = 100;
  Raft raft = Leader(config, {1, 2, 3});
  const SharedBytes request(std::string(60, 'x'));
  EXPECT_EQ(raft.Propose({request}), ProposeResult::kAccepted);
  EXPECT_EQ(raft.Propose({request}), ProposeResult::kDroppedFull);
  EXPECT_EQ(raft.Propose({SharedBytes(std::string(40, 'x'))}), ProposeResult::kAccepted);
  EXPECT_EQ(raft.Propose({SharedBytes("x")}), ProposeResult::kDroppedFull);
  EXPECT_EQ(raft.Propose({SharedBytes("")}), ProposeResult::kAccepted);  // costs nothing
  Settle(raft);
  raft.Step({.type = MessageType::kAppResp,
             .from = NodeId(2),
             .term = raft.term(),
             .index = raft.Status().last_index});
  Settle(raft);
  EXPECT_EQ(CoreAccess::uncommitted_bytes(raft), 0u);
  EXPECT_EQ(raft.Propose({SharedBytes(std::string(500, 'x'))}), ProposeResult::kAccepted);  // first
}

// A leader whose other voter acknowledges everything at once, and a follower whose state machine
// applies only when it is told to.
class SlowFollower {
 public:
  explicit SlowFollower(size_t unapplied_bytes_max)
      : leader_(Leader(ConfigOf(1), {1, 2, 3})), follower_(ConfigOf(2), Voters({1, 2, 3}), 1) {
    follower_.BoundUnapplied(unapplied_bytes_max);
    // What the leader takes for known to the follower already.
    follower_.Step(Append(leader_.term().value(), 0, 0, {CoreAccess::log(leader_).At(Index(1))}, 1,
                          /*from=*/1));
    Exchange();
    Apply();
  }

  void Put(size_t bytes) {
    ASSERT_EQ(leader_.Propose({SharedBytes(std::string(bytes, 'x'))}), ProposeResult::kAccepted);
    Exchange();
  }
  void Heartbeat() {
    leader_.Tick();
    Exchange();
  }
  void Apply() {
    while (applied_ < to_apply_) {
      applied_ = to_apply_;
      follower_.Applied(applied_);
      Exchange();
    }
  }
  Raft& leader() { return leader_; }
  Raft& follower() { return follower_; }
  size_t appends() const { return appends_; }  // with entries, to the follower
  size_t snapshots() const { return snapshots_; }
  size_t answers() const { return answers_; }  // to heartbeats
  Index applied() const { return applied_; }

 private:
  void Exchange() {
    for (bool any = true; any;) {
      any = false;
      for (Message& message : Settle(leader_)) any |= ToFollower(message);
      for (Message& message : SettleFollower()) {
        any = true;
        answers_ += message.type == MessageType::kHeartbeatResp;
        leader_.Step(std::move(message));
      }
    }
  }
  bool ToFollower(Message& message) {
    if (message.to == NodeId(3) && message.type == MessageType::kApp) {
      leader_.Step({.type = MessageType::kAppResp,
                    .from = NodeId(3),
                    .term = leader_.term(),
                    .index = message.index + message.entries.size()});
      return true;
    }
    if (message.to != NodeId(2)) return false;
    appends_ += message.type == MessageType::kApp && !message.entries.empty();
    snapshots_ += message.type == MessageType::kSnap;
    follower_.Step(std::move(message));
    return true;
  }
  std::vector<Message> SettleFollower() {
    std::vector<Message> messages;
    while (follower_.HasReady()) {
      Ready ready = follower_.TakeReady();
      if (ready.persist_id.value() != 0) follower_.Persisted(ready.persist_id);
      for (Message& message : ready.messages) messages.push_back(std::move(message));
      for (Message& message : ready.after_persist) messages.push_back(std::move(message));
      if (!ready.committed.empty()) to_apply_ = ready.committed.back().index;
    }
    return messages;
  }

  Raft leader_;
  Raft follower_;
  Index to_apply_, applied_;
  size_t appends_ = 0, snapshots_ = 0, answers_ = 0;
};

TEST(UnappliedTest, AFollowerThatDoesNotApplyTakesNoMoreThanItsBound) {
  constexpr size_t kBytes = 1000, kBound = 20 * kBytes;
  SlowFollower group(kBound);
  const Term term = group.leader().term();
  for (int i = 0; i < 200; ++i) group.Put(kBytes);
  EXPECT_TRUE(group.follower().refuses_appends());
  EXPECT_GT(group.follower().log_bytes(), kBound / 2);
  EXPECT_LT(group.follower().log_bytes(), kBound + 3 * kBytes);
  EXPECT_EQ(group.leader().commit_index(), group.leader().last_index());

  // It still answers heartbeats, each of which costs one append that is not taken.
  const size_t appends = group.appends(), answers = group.answers();
  for (int i = 0; i < 50; ++i) group.Heartbeat();
  EXPECT_EQ(group.answers(), answers + 50);
  EXPECT_LE(group.appends(), appends + 50);
  EXPECT_EQ(group.leader().term(), term);
  EXPECT_EQ(group.leader().role(), Role::kLeader);
  EXPECT_EQ(group.snapshots(), 0u);

  // The disk is well again: it gets all, in parts no larger than before, without a snapshot.
  while (group.applied() < group.leader().last_index()) {
    const Index before = group.applied();
    group.Apply();
    EXPECT_LT(CoreAccess::log(group.follower()).unapplied_bytes(), kBound + 3 * kBytes);
    group.Heartbeat();
    group.Apply();
    ASSERT_GT(group.applied(), before);
  }
  EXPECT_FALSE(group.follower().refuses_appends());
  EXPECT_EQ(group.snapshots(), 0u);
}

// What is committed already counts, also where the leader tells of it with what is refused.
TEST(UnappliedTest, ARefusedAppendStillCommitsWhatIsHere) {
  Raft raft(ConfigOf(1), Voters({1, 2, 3}), 1);
  raft.BoundUnapplied(100);
  EXPECT_EQ(raft.Step(Append(1, 0, 0, {At(1, 1), At(1, 2)}, 1)), StepResult::kAccepted);
  EXPECT_EQ(raft.Step(Append(1, 1, 1, {At(1, 2), At(1, 3)}, 3)), StepResult::kDropped);
  EXPECT_EQ(raft.commit_index(), Index(2));
  EXPECT_EQ(raft.last_index(), Index(2));
  // What has been appended already is acknowledged, as often as it comes.
  EXPECT_EQ(raft.Step(Append(1, 0, 0, {At(1, 1), At(1, 2)}, 2)), StepResult::kAccepted);
  Settle(raft);
  EXPECT_EQ(raft.Step(Append(1, 1, 2, {At(1, 3)}, 3)), StepResult::kAccepted);
  EXPECT_FALSE(raft.refuses_appends());
  EXPECT_EQ(raft.last_index(), Index(3));
}

// Uncommitted entries need other members to be committed: to refuse for their sake could wait for
// ever.
TEST(UnappliedTest, EntriesThatAreNotCommittedCountForNothing) {
  Raft raft(ConfigOf(1), Voters({1, 2, 3}), 1);
  raft.BoundUnapplied(100);
  for (uint64_t i = 1; i <= 10; ++i)
    EXPECT_EQ(raft.Step(Append(1, i > 1, i - 1, {At(1, i)}, 0)), StepResult::kAccepted);
  EXPECT_EQ(raft.last_index(), Index(10));
}

// As they come when a link was cut for a while: every one of them would repeat the same entries.
TEST(HeartbeatTest, ManyAnswersInOneTurnRepeatAProbeOnce) {
  Raft raft = Leader(ConfigOf(1), {1, 2, 3});
  raft.ReportUnreachable(NodeId(2));
  ASSERT_EQ(raft.Propose({SharedBytes(std::string(1000, 'x'))}), ProposeResult::kAccepted);
  auto probes_after = [&raft](int answers) {
    for (int i = 0; i < answers; ++i) {
      raft.Step({.type = MessageType::kHeartbeatResp, .from = NodeId(2), .term = raft.term()});
    }
    const std::vector<Message> sent = Settle(raft);
    return std::count_if(sent.begin(), sent.end(), [](const Message& message) {
      return message.type == MessageType::kApp && message.to == NodeId(2) &&
             !message.entries.empty();
    });
  };
  EXPECT_EQ(probes_after(0), 1) << "with the proposal";
  EXPECT_EQ(probes_after(100), 1);
  EXPECT_EQ(probes_after(1), 1) << "the one before may have been lost";
}

TEST(ProposeTest, AForwardedMalformedChangeIsRefusedAndAnUntimelyOneBecomesNothing) {
  Raft raft = Leader(ConfigOf(1), {1, 2, 3});
  Message message{.type = MessageType::kProp, .from = NodeId(2)};
  message.entries.push_back({.type = EntryType::kConfChange, .data = SharedBytes("\xff\xff")});
  EXPECT_EQ(raft.Step(message), StepResult::kRefused);
  const ConfChange add{.type = ConfChangeType::kAddNode, .node_id = NodeId(4)};
  ASSERT_EQ(raft.ProposeConfChange(add), ProposeResult::kAccepted);
  ASSERT_EQ(raft.ProposeConfChange(add), ProposeResult::kAccepted);
  const Log& log = CoreAccess::log(raft);
  EXPECT_EQ(log.At(log.last_index() - 1).type, EntryType::kConfChange);
  EXPECT_EQ(log.At(log.last_index()).type, EntryType::kNormal);
}

TEST(StepTest, WhatContradictsTheCommittedIsRefusedAndChangesNothing) {
  Raft raft(ConfigOf(1), Voters({1, 2, 3}), 1);
  raft.Step(Append(1, 0, 0, {At(1, 1), At(1, 2)}, 2));
  Settle(raft);
  EXPECT_EQ(raft.Step(Append(2, 0, 0, {At(2, 1)})), StepResult::kAccepted);  // its answer says 2
  EXPECT_EQ(raft.Step({.type = MessageType::kHeartbeat,
                       .from = NodeId(2),
                       .term = Term(2),
                       .commit = Index(9)}),
            StepResult::kRefused);
  EXPECT_EQ(raft.commit_index(), Index(2));
  EXPECT_EQ(CoreAccess::log(raft).At(Index(1)), At(1, 1));
}

// Messages with small random numbers: nearly right, and wrong in every way.
TEST(StepTest, NoMessageBreaksAMember) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Prng prng(seed);
    Config config = ConfigOf(1);
    config.pre_vote = prng.Chance(0.5);
    config.check_quorum = prng.Chance(0.5);
    Raft raft(config, Voters({1, 2, 3}), seed);
    Term term;
    Index commit;
    for (int i = 0; i < 1000; ++i) {
      Message message{.type = static_cast<MessageType>(prng.Below(24)),
                      .to = NodeId(prng.Below(2)),
                      .from = NodeId(prng.Below(5)),
                      .term = Term(prng.Below(6)),
                      .log_term = Term(prng.Below(6)),
                      .index = Index(prng.Chance(0.05) ? prng.Next() : prng.Below(8)),
                      .commit = Index(prng.Below(8)),
                      .reject = prng.Chance(0.3),
                      .reject_hint = Index(prng.Chance(0.05) ? prng.Next() : prng.Below(8))};
      if (prng.Chance(0.3)) message.context = EncodeReadContext(prng.Below(4));
      for (uint64_t entries = prng.Below(4); entries > 0; --entries) {
        const uint64_t index = message.index.value() + message.entries.size() + 1;
        message.entries.push_back(At(prng.Below(6), prng.Chance(0.9) ? index : prng.Below(9)));
      }
      if (message.type == MessageType::kSnap) {
        message.snapshot = Snap(prng.Below(6), prng.Below(12), {1, 2, 3}).snapshot;
      }
      raft.Step(message);
      if (prng.Chance(0.2)) raft.Tick();
      if (prng.Chance(0.05)) (void)raft.Propose({SharedBytes("p")});
      if (prng.Chance(0.3)) Settle(raft);
      const RaftStatus status = raft.Status();
      ASSERT_LE(status.applied, status.commit);
      ASSERT_LE(status.commit, status.last_index);
      ASSERT_GE(status.term, term);
      ASSERT_GE(status.commit, commit);
      term = status.term;
      commit = status.commit;
    }
  }
}

}  // namespace
}  // namespace quoin::raft

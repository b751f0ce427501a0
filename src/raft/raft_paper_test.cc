// One test per sentence of §5 of the paper ("In Search of an Understandable Consensus Algorithm",
// extended version) that tells behaviour. The extensions (pre-vote, check-quorum) are off: the
// paper does not have them.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "raft/raft.h"
#include "raft/testing/paper_server.h"

namespace quoin::raft {
namespace {

using testing::Acknowledge;
using testing::Append;
using testing::At;
using testing::Cluster;
using testing::Elect;
using testing::From;
using testing::kElectionTicks;
using testing::LogOf;
using testing::RequestVote;
using testing::Server;
using testing::Vote;

// ---- §5.1 Raft basics ----

TEST(PaperTest, Section51_IfACurrentTermIsSmallerItIsUpdatedToTheLarger) {
  for (MessageType type : {MessageType::kApp, MessageType::kVote, MessageType::kHeartbeat,
                           MessageType::kAppResp, MessageType::kVoteResp}) {
    Server server(1, 3, /*term=*/1);
    server->Step(From(2, type, 5));
    EXPECT_EQ(server->term(), Term(5));
    server.Take();
  }
}

TEST(PaperTest, Section51_ACandidateThatIsOutOfDateRevertsToFollower) {
  Server server(1, 3);
  server->Campaign();
  server.Take();
  ASSERT_EQ(server->role(), Role::kCandidate);
  server->Step(From(2, MessageType::kApp, 7));
  EXPECT_EQ(server->role(), Role::kFollower);
  EXPECT_EQ(server->term(), Term(7));
}

TEST(PaperTest, Section51_ALeaderThatIsOutOfDateRevertsToFollower) {
  Server server(1, 3);
  Elect(server, 3);
  server->Step(From(2, MessageType::kAppResp, 7));
  EXPECT_EQ(server->role(), Role::kFollower);
  EXPECT_EQ(server->term(), Term(7));
}

TEST(PaperTest, Section51_ARequestWithAStaleTermIsRejected) {
  Server server(1, 3, /*term=*/5, LogOf({5}));
  EXPECT_TRUE(server.Answer(RequestVote(2, 3, 9, 9)).empty());
  EXPECT_EQ(server->Step(Append(2, 3, 0, 0, {At(3, 1)})), StepResult::kDropped);
  EXPECT_EQ(server.LogTerms(), (std::vector<uint64_t>{5}));
  EXPECT_EQ(server->leader(), NodeId(0));
}

// ---- §5.2 Leader election ----

TEST(PaperTest, Section52_ServersBeginAsFollowers) {
  Server server(1, 3);
  EXPECT_EQ(server->role(), Role::kFollower);
  EXPECT_FALSE(server->HasReady());
}

TEST(PaperTest, Section52_AFollowerStaysOneAsLongAsItHearsALeader) {
  Server server(1, 3);
  for (int i = 0; i < 10 * kElectionTicks; ++i) {
    server->Tick();
    server->Step(From(2, MessageType::kHeartbeat, 1));
  }
  EXPECT_EQ(server->role(), Role::kFollower);
  EXPECT_EQ(server->term(), Term(1));
}

TEST(PaperTest, Section52_LeadersSendPeriodicHeartbeatsToAllFollowers) {
  Server server(1, 3);
  Elect(server, 3);
  server.Take();
  for (int i = 0; i < 3; ++i) {
    server->Tick();
    const std::vector<Message> messages = server.Take(MessageType::kHeartbeat);
    ASSERT_EQ(messages.size(), 2u);
    EXPECT_EQ(messages[0].to, NodeId(2));
    EXPECT_EQ(messages[1].to, NodeId(3));
    EXPECT_TRUE(messages[0].entries.empty());
  }
}

TEST(PaperTest, Section52_AFollowerThatHearsNobodyForAnElectionTimeoutBeginsAnElection) {
  Server server(1, 3, /*term=*/4);
  int ticks = 0;
  while (server->role() == Role::kFollower && ticks < 2 * kElectionTicks) {
    server->Tick();
    ++ticks;
  }
  // "… it increments its current term and transitions to candidate state. It then votes for itself
  // and issues RequestVote RPCs in parallel to each of the other servers."
  EXPECT_GE(ticks, kElectionTicks);
  EXPECT_EQ(server->role(), Role::kCandidate);
  EXPECT_EQ(server->term(), Term(5));
  EXPECT_EQ(server->Status().vote, NodeId(1));
  const std::vector<Message> messages = server.Take(MessageType::kVote);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].to, NodeId(2));
  EXPECT_EQ(messages[1].to, NodeId(3));
}

TEST(PaperTest, Section52_ACandidateWinsWithTheVotesOfAMajority) {
  struct {
    uint64_t size;
    uint64_t granted;  // by others
    uint64_t denied;
    Role role;
  } cases[] = {
      {1, 0, 0, Role::kLeader},    {3, 2, 0, Role::kLeader},    {3, 1, 0, Role::kLeader},
      {3, 0, 0, Role::kCandidate}, {3, 1, 1, Role::kLeader},    {3, 0, 1, Role::kCandidate},
      {3, 0, 2, Role::kFollower},  {5, 4, 0, Role::kLeader},    {5, 2, 0, Role::kLeader},
      {5, 1, 0, Role::kCandidate}, {5, 1, 2, Role::kCandidate}, {5, 1, 3, Role::kFollower}};
  for (const auto& one : cases) {
    Server server(1, one.size);
    server->Campaign();
    server.Take();
    uint64_t id = 2;
    for (uint64_t i = 0; i < one.granted; ++i) server->Step(Vote(id++, 1));
    for (uint64_t i = 0; i < one.denied; ++i) server->Step(Vote(id++, 1, false));
    EXPECT_EQ(server->role(), one.role) << one.size << " " << one.granted << " " << one.denied;
    EXPECT_EQ(server->term(), Term(1));
  }
}

TEST(PaperTest, Section52_AVoteCountsOnce) {
  Server server(1, 5);
  server->Campaign();
  server.Take();
  for (int i = 0; i < 5; ++i) server->Step(Vote(2, 1));
  EXPECT_EQ(server->role(), Role::kCandidate);
}

TEST(PaperTest, Section52_AVoteGoesToOneCandidatePerTermFirstComeFirstServed) {
  Server server(1, 3);
  EXPECT_FALSE(server.Answer(RequestVote(2, 1, 0, 0)).at(0).reject);
  EXPECT_TRUE(server.Answer(RequestVote(3, 1, 0, 0)).at(0).reject);
  EXPECT_FALSE(server.Answer(RequestVote(2, 1, 0, 0)).at(0).reject);  // the same one may ask again
  EXPECT_FALSE(server.Answer(RequestVote(3, 2, 0, 0)).at(0).reject);  // another term
}

TEST(PaperTest, Section52_AWinnerBecomesLeaderAndTellsAllOthersAtOnce) {
  Server server(1, 3);
  Elect(server, 3);
  const std::vector<Message> messages = server.Take(MessageType::kApp);
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].term, Term(1));
  EXPECT_EQ(messages[0].to, NodeId(2));
  EXPECT_EQ(messages[1].to, NodeId(3));
}

TEST(PaperTest, Section52_ACandidateRecognizesALeaderOfItsTermAndOfALaterOne) {
  for (uint64_t term : {1, 2}) {
    Server server(1, 3);
    server->Campaign();
    server.Take();
    server->Step(Append(2, term, 0, 0, {}));
    EXPECT_EQ(server->role(), Role::kFollower);
    EXPECT_EQ(server->leader(), NodeId(2));
    EXPECT_EQ(server->term(), Term(term));
  }
}

TEST(PaperTest, Section52_ACandidateRejectsAnAppendOfASmallerTermAndContinues) {
  Server server(1, 3, /*term=*/3);
  server->Campaign();
  server.Take();
  server->Step(Append(2, 3, 0, 0, {At(3, 1)}));
  EXPECT_EQ(server->role(), Role::kCandidate);
  EXPECT_EQ(server->term(), Term(4));
  EXPECT_TRUE(server.LogTerms().empty());
}

TEST(PaperTest, Section52_ASplitVoteEndsInANewElectionInTheNextTerm) {
  Server server(1, 3);
  server->Campaign();
  server.Take();
  for (int i = 0; i < 2 * kElectionTicks && server->term() == Term(1); ++i) server->Tick();
  EXPECT_EQ(server->role(), Role::kCandidate);
  EXPECT_EQ(server->term(), Term(2));
  EXPECT_EQ(server.Take(MessageType::kVote).size(), 2u);
}

TEST(PaperTest, Section52_ElectionTimeoutsAreRandomFromAFixedInterval) {
  std::set<int> seen;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Server server(1, 3, 0, {}, 0, seed);
    int ticks = 0;
    while (server->role() == Role::kFollower) {
      server->Tick();
      ++ticks;
    }
    seen.insert(ticks);
  }
  EXPECT_EQ(*seen.begin(), kElectionTicks);
  EXPECT_EQ(*seen.rbegin(), 2 * kElectionTicks - 1);
  EXPECT_EQ(seen.size(), static_cast<size_t>(kElectionTicks));  // each of them
}

TEST(PaperTest, Section52_ARestartedElectionDrawsANewTimeout) {
  Server server(1, 3);
  std::set<int> seen;
  for (int round = 0; round < 100; ++round) {
    const Term before = server->term();
    int ticks = 0;
    while (server->term() == before) {
      server->Tick();
      ++ticks;
    }
    server.Take();
    seen.insert(ticks);
  }
  EXPECT_GT(seen.size(), 5u);
}

// ---- §5.3 Log replication ----

TEST(PaperTest, Section53_TheLeaderAppendsTheCommandAndIssuesAppendEntriesInParallel) {
  Server server(1, 3);
  Elect(server, 3);
  server.Take();
  for (uint64_t id : {2, 3}) server->Step(Acknowledge(id, 1, 1));
  server.Take();
  ASSERT_EQ(server->Propose({SharedBytes("data")}), ProposeResult::kAccepted);
  EXPECT_EQ(server.LogTerms(), (std::vector<uint64_t>{1, 1}));
  // Before its own write is done: to both followers, with the entry's predecessor.
  const Ready ready = server->TakeReady();
  std::vector<NodeId> to;
  for (const Message& message : ready.messages) {
    ASSERT_EQ(message.type, MessageType::kApp);
    to.push_back(message.to);
    EXPECT_EQ(message.index, Index(1));
    EXPECT_EQ(message.log_term, Term(1));
    ASSERT_EQ(message.entries.size(), 1u);
    EXPECT_EQ(message.entries[0], At(1, 2, "data"));
  }
  EXPECT_EQ(to, (std::vector<NodeId>{NodeId(2), NodeId(3)}));
}

TEST(PaperTest, Section53_AnEntryIsCommittedOnceItIsOnAMajority) {
  struct {
    uint64_t size;
    std::set<uint64_t> acknowledged;
    bool committed;
  } cases[] = {{1, {}, true},           {3, {}, false},  {3, {2}, true},    {3, {2, 3}, true},
               {5, {}, false},          {5, {2}, false}, {5, {2, 3}, true}, {5, {2, 3, 4}, true},
               {5, {2, 3, 4, 5}, true}, {4, {2}, false}, {4, {2, 3}, true}};
  for (const auto& one : cases) {
    Server server(1, one.size);
    Elect(server, one.size);
    server.Take();
    for (uint64_t id = 2; id <= one.size; ++id) server->Step(Acknowledge(id, 1, 1));
    server.Take();
    ASSERT_EQ(server->Propose({SharedBytes("data")}), ProposeResult::kAccepted);
    server.Take();
    for (uint64_t id : one.acknowledged) server->Step(Acknowledge(id, 1, 2));
    EXPECT_EQ(server->commit_index() == Index(2), one.committed) << one.size;
  }
}

TEST(PaperTest, Section53_CommittingAnEntryCommitsAllBeforeItIncludingOthersLeaders) {
  for (const std::vector<uint64_t>& terms :
       std::vector<std::vector<uint64_t>>{{}, {2}, {1, 2}, {1}, {1, 1, 2, 2}}) {
    Server server(1, 3, /*term=*/2, LogOf(terms));
    Elect(server, 3);  // term 3, blank entry
    server.Take();
    EXPECT_EQ(server->commit_index(), Index(0));
    server->Step(Acknowledge(2, 3, terms.size() + 1));
    server.Take();
    EXPECT_EQ(server->commit_index(), Index(terms.size() + 1));
    ASSERT_EQ(server.applied.size(), terms.size() + 1);
    for (size_t i = 0; i < terms.size(); ++i) {
      EXPECT_EQ(server.applied[i], std::to_string(terms[i]));
    }
  }
}

TEST(PaperTest, Section53_TheCommitIndexIsInFutureAppendsAndHeartbeats) {
  Server server(1, 3);
  Elect(server, 3);
  server.Take();
  server->Step(Acknowledge(2, 1, 1));
  for (const Message& message : server.Take(MessageType::kApp)) {
    EXPECT_EQ(message.commit, Index(1));
  }
  server->Tick();
  const std::vector<Message> heartbeats = server.Take(MessageType::kHeartbeat);
  EXPECT_EQ(heartbeats.at(0).commit, Index(1));
  EXPECT_EQ(heartbeats.at(1).commit, Index(0));  // not beyond what that one is known to have
}

TEST(PaperTest, Section53_AFollowerAppliesWhatItLearnsIsCommittedInLogOrder) {
  Server server(1, 3);
  server.Answer(Append(2, 1, 0, 0, {At(1, 1, "a"), At(1, 2, "b"), At(1, 3, "c")}, 1));
  EXPECT_EQ(server.applied, (std::vector<std::string>{"a"}));
  server.Answer(Append(2, 1, 1, 3, {}, 3));
  EXPECT_EQ(server.applied, (std::vector<std::string>{"a", "b", "c"}));
}

TEST(PaperTest, Section53_TheLeaderRetriesUntilAllFollowersStoreAllEntries) {
  Cluster cluster;
  for (uint64_t id : {1, 2, 3}) cluster.Add(Server(id, 3));
  cluster[1]->Campaign();
  cluster.Settle();
  cluster.Isolate(3);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(cluster[1]->Propose({SharedBytes("x")}), ProposeResult::kAccepted);
    cluster.Settle();
  }
  EXPECT_EQ(cluster[1]->commit_index(), Index(6));  // "even after it has responded to the client"
  EXPECT_EQ(cluster[3]->commit_index(), Index(1));
  cluster.Join(3);
  for (int i = 0; i < 3; ++i) {
    cluster[1]->Tick();
    cluster.Settle();
  }
  EXPECT_EQ(cluster[3]->commit_index(), Index(6));
}

TEST(PaperTest, Section53_AFollowerRefusesEntriesWithoutTheirPredecessor) {
  struct {
    uint64_t term;
    uint64_t index;
    bool refused;
  } cases[] = {{0, 0, false}, {1, 1, false}, {2, 2, false},
               {1, 2, true},  {3, 2, true},  {3, 3, true}};
  for (const auto& one : cases) {
    Server server(1, 3, /*term=*/3, LogOf({1, 2}));
    const Message answer = server.Answer(Append(2, 3, one.term, one.index, {})).at(0);
    EXPECT_EQ(answer.reject, one.refused) << one.term << "/" << one.index;
    EXPECT_EQ(answer.index, Index(one.index));
  }
}

TEST(PaperTest, Section53_ConflictingEntriesAreDeletedWithAllThatFollowThem) {
  struct {
    uint64_t previous_term;
    uint64_t previous;
    std::vector<uint64_t> terms;
    std::vector<uint64_t> log;
  } cases[] = {{2, 2, {3}, {1, 2, 3}},
               {1, 1, {3, 4}, {1, 3, 4}},
               {0, 0, {1}, {1, 2}},  // nothing new: what follows stays
               {0, 0, {3}, {3}},
               {0, 0, {1, 2, 3}, {1, 2, 3}}};
  for (const auto& one : cases) {
    Server server(1, 3, /*term=*/4, LogOf({1, 2}));
    std::vector<Entry> entries;
    for (uint64_t term : one.terms) {
      entries.push_back(At(term, one.previous + entries.size() + 1));
    }
    server.Answer(Append(2, 4, one.previous_term, one.previous, entries));
    EXPECT_EQ(server.LogTerms(), one.log);
  }
}

TEST(PaperTest, Section53_NextIndexStartsAfterTheLeadersLastEntry) {
  Server server(1, 3, /*term=*/2, LogOf({1, 1, 2}));
  Elect(server, 3);
  const std::vector<Message> messages = server.Take(MessageType::kApp);
  EXPECT_EQ(messages.at(0).index, Index(3));  // and with it goes the blank entry
  EXPECT_EQ(server.Match(2), Index(0));
}

TEST(PaperTest, Section53_TheLeaderForcesEveryLogOfFigure7ToBeItsOwn) {
  const std::vector<uint64_t> leader_terms = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
  const std::vector<std::vector<uint64_t>> followers = {{1, 1, 1, 4, 4, 5, 5, 6, 6},
                                                        {1, 1, 1, 4},
                                                        {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
                                                        {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},
                                                        {1, 1, 1, 4, 4, 4, 4},
                                                        {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3}};
  for (const std::vector<uint64_t>& terms : followers) {
    Cluster cluster;
    cluster.Add(Server(1, 3, /*term=*/7, LogOf(leader_terms)));
    cluster.Add(Server(2, 3, /*term=*/7, LogOf(terms)));
    cluster.Add(Server(3, 3, /*term=*/7));  // its vote decides
    cluster[1]->Campaign();
    cluster.Settle();
    ASSERT_EQ(cluster[1]->role(), Role::kLeader);
    std::vector<uint64_t> expected = leader_terms;
    expected.push_back(8);
    EXPECT_EQ(cluster[2].LogTerms(), expected);
    EXPECT_EQ(cluster[3].LogTerms(), expected);
    EXPECT_EQ(cluster[2]->commit_index(), Index(11));
  }
}

TEST(PaperTest, Section53_OneProbePerConflictingTermIsEnough) {
  // 300 entries of 3 terms here, 300 of 3 other ones there.
  std::vector<uint64_t> ours;
  std::vector<uint64_t> theirs;
  for (uint64_t i = 0; i < 300; ++i) {
    ours.push_back(2 * (i / 100) + 2);
    theirs.push_back(2 * (i / 100) + 1);
  }
  Server leader(1, 3, /*term=*/6, LogOf(ours));
  Server follower(2, 3, /*term=*/6, LogOf(theirs));
  Elect(leader, 3);
  int rejections = 0;
  for (int i = 0; i < 20 && leader.Match(2) < Index(301); ++i) {
    for (const Message& message : leader.Take()) {
      if (message.to != NodeId(2)) continue;
      for (const Message& answer : follower.Answer(message)) {
        rejections += answer.reject ? 1 : 0;
        leader->Step(answer);
      }
    }
  }
  EXPECT_EQ(leader.Match(2), Index(301));
  EXPECT_LE(rejections, 4);
  EXPECT_EQ(follower.LogTerms(), leader.LogTerms());
}

// Matching logs stay so. Who denies what it has acknowledged has lost it or worse: it is asked
// again with the heartbeats, not as fast as it denies.
TEST(PaperTest, Section53_AFollowerThatDeniesWhatItAcknowledgedIsNotAskedAgainAtOnce) {
  Server server(1, 3);
  Elect(server, 3);
  server.Take();
  server->Step(Acknowledge(2, 1, 1));
  ASSERT_EQ(server.Match(2), Index(1));
  server->ReportUnreachable(NodeId(2));  // back to probing
  server.Take();
  Message denial = Acknowledge(2, 1, 1);
  denial.reject = true;
  EXPECT_TRUE(server.Answer(denial).empty());
  EXPECT_EQ(server.Next(2), Index(2));
}

TEST(PaperTest, Section53_ALeaderNeverOverwritesItsOwnLog) {
  Server server(1, 3, /*term=*/2, LogOf({1, 2}));
  Elect(server, 3);
  // Nobody else can lead this term, whatever somebody says.
  EXPECT_EQ(server->Step(Append(2, 3, 0, 0, {At(3, 1)})), StepResult::kRefused);
  EXPECT_EQ(server.LogTerms(), (std::vector<uint64_t>{1, 2, 3}));
}

// ---- §5.4 Safety ----

TEST(PaperTest, Section541_TheRequestHasTheCandidatesLogInIt) {
  Server server(1, 3, /*term=*/3, LogOf({1, 1, 3}));
  server->Campaign();
  for (const Message& message : server.Take(MessageType::kVote)) {
    EXPECT_EQ(message.log_term, Term(3));
    EXPECT_EQ(message.index, Index(3));
    EXPECT_EQ(message.term, Term(4));
  }
}

TEST(PaperTest, Section541_TheVoterDeniesItsVoteIfItsLogIsMoreUpToDate) {
  struct {
    std::vector<uint64_t> log;
    uint64_t last_term;
    uint64_t last;
    bool granted;
  } cases[] = {
      // "If the logs end with the same term, then whichever log is longer is more up-to-date."
      {{1}, 1, 1, true},
      {{1}, 1, 2, true},
      {{1, 1}, 1, 1, false},
      // "If the logs have last entries with different terms, then the log with the later term is
      // more up-to-date."
      {{1}, 2, 1, true},
      {{1, 1}, 2, 1, true},
      {{1, 1, 1}, 2, 1, true},
      {{2}, 1, 1, false},
      {{2}, 1, 9, false},
      {{1, 2}, 1, 1, false},
      {{}, 0, 0, true},
  };
  for (const auto& one : cases) {
    Server server(1, 3, /*term=*/2, LogOf(one.log));
    const Message answer = server.Answer(RequestVote(2, 3, one.last_term, one.last)).at(0);
    EXPECT_EQ(answer.reject, !one.granted) << one.last_term << "/" << one.last;
    EXPECT_EQ(answer.term, Term(3));
  }
}

TEST(PaperTest, Section542_OnlyEntriesOfTheCurrentTermAreCommittedByCounting) {
  for (uint64_t index : {1, 2, 3}) {
    Server server(1, 3, /*term=*/2, LogOf({1, 2}));
    Elect(server, 3);  // term 3; its blank entry is 3/3
    server.Take();
    server->Step(Acknowledge(2, 3, index));
    EXPECT_EQ(server->commit_index(), Index(index == 3 ? 3 : 0));
  }
}

TEST(PaperTest, Section54_TheCommitIndexNeverExceedsTheLastNewEntry) {
  // "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)":
  // what is behind it in this log may not be the leader's.
  Server server(1, 3, /*term=*/2, LogOf({1, 1, 2, 2}));
  server.Answer(Append(2, 3, 1, 1, {At(1, 2, "1")}, 4));
  EXPECT_EQ(server->commit_index(), Index(2));
  EXPECT_EQ(server.LogTerms(), (std::vector<uint64_t>{1, 1, 2, 2}));
}

// ---- §5.5 Follower and candidate crashes ----

TEST(PaperTest, Section55_AnAppendOfEntriesThatArePresentIsIgnored) {
  Server server(1, 3, /*term=*/2, LogOf({1, 2}));
  for (int i = 0; i < 3; ++i) {
    const Message answer = server.Answer(Append(2, 2, 1, 1, {At(2, 2, "2")})).at(0);
    EXPECT_FALSE(answer.reject);
    EXPECT_EQ(answer.index, Index(2));
    EXPECT_EQ(server.LogTerms(), (std::vector<uint64_t>{1, 2}));
  }
}

TEST(PaperTest, Section55_AnOldAppendThatArrivesLateShortensNothing) {
  Server server(1, 3);
  server.Answer(Append(2, 1, 0, 0, {At(1, 1, "a")}));
  server.Answer(Append(2, 1, 1, 1, {At(1, 2, "b"), At(1, 3, "c")}));
  server.Answer(Append(2, 1, 0, 0, {At(1, 1, "a")}));
  EXPECT_EQ(server.LogTerms(), (std::vector<uint64_t>{1, 1, 1}));
}

// ---- figure 2: what must be on stable storage ----

TEST(PaperTest, Figure2_StateIsOnStableStorageBeforeARequestIsAnswered) {
  Server server(1, 3);
  server->Step(RequestVote(2, 1, 0, 0));
  Ready ready = server->TakeReady();
  EXPECT_EQ(ready.hard_state, (HardState{Term(1), NodeId(2), Index(0)}));
  EXPECT_TRUE(ready.must_sync);
  EXPECT_TRUE(ready.messages.empty());
  ASSERT_EQ(ready.after_persist.size(), 1u);
  EXPECT_EQ(ready.after_persist[0].type, MessageType::kVoteResp);

  server->Step(Append(2, 1, 0, 0, {At(1, 1)}));
  ready = server->TakeReady();
  EXPECT_EQ(ready.entries.size(), 1u);
  EXPECT_TRUE(ready.must_sync);
  EXPECT_TRUE(ready.messages.empty());
  ASSERT_EQ(ready.after_persist.size(), 1u);
  EXPECT_EQ(ready.after_persist[0].type, MessageType::kAppResp);
}

// votedFor is persistent state: a candidate that led before its own vote is stable could forget it
// with the power, and be elected in the same term again by those who remember theirs.
TEST(PaperTest, Figure2_ACandidatesOwnVoteIsOnStableStorageBeforeItLeads) {
  Server server(1, 3);
  server->Campaign();
  const Ready ready = server->TakeReady();
  EXPECT_EQ(ready.hard_state, (HardState{Term(1), NodeId(1), Index(0)}));
  ASSERT_EQ(ready.messages.size(), 2u);  // others are asked meanwhile
  server->Step(Vote(2, 1));
  server->Step(Vote(3, 1));
  EXPECT_EQ(server->role(), Role::kCandidate);
  server->Persisted(ready.persist_id);
  EXPECT_EQ(server->role(), Role::kLeader);
}

}  // namespace
}  // namespace quoin::raft

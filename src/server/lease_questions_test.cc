// The lease loop by itself: what it is asked (lists, times, keys), and what a follower passes on.

#include "server/lease_loop.h"
#include "server/testing/lease_loop_fixture.h"

namespace quoin::server {
namespace {

TEST_F(LeaseLoopTest, KeysAreToldOnlyByTheSameLeader) {
  Lead(1);
  Granted(7, 10);
  const std::string& first = TimeToLive(7, /*with_keys=*/true);
  const std::string& second = TimeToLive(7, /*with_keys=*/true);
  On([this] { host_.key_questions[0](Keys({"a", "b"})); });
  EXPECT_EQ(first, "9 of 10 a b");
  Follow(2);
  On([this] { host_.key_questions[1](Keys({"a"})); });
  EXPECT_EQ(second, "etcdserver: leader changed");
}

TEST_F(LeaseLoopTest, EqualQuestionsForKeysShareAnAnswer) {
  Lead(1);
  Granted(7, 10);
  Granted(8, 10);
  const std::string& first = TimeToLive(7, /*with_keys=*/true);
  const auto gone = std::make_shared<std::atomic<bool>>(true);
  std::vector<const std::string*> later;
  for (int i = 0; i < 300; ++i) later.push_back(&TimeToLive(7, /*with_keys=*/true));
  const std::string& of_gone = TimeToLive(7, /*with_keys=*/true, gone);
  const std::string& other = TimeToLive(8, /*with_keys=*/true);
  ASSERT_EQ(host_.key_questions.size(), 2u) << "one for each lease";
  On([this] { host_.key_questions[1](Keys({"c"})); });
  EXPECT_EQ(other, "9 of 10 c");
  gone->store(false);
  On([this] { host_.key_questions[0](Keys({"a"})); });
  EXPECT_EQ(first, "9 of 10 a");
  EXPECT_EQ(*later[0], "") << "the keys may have changed since it was asked";
  ASSERT_EQ(host_.key_questions.size(), 3u) << "one for the 300 that came later";
  On([this] { host_.key_questions[2](Keys({"a", "b"})); });
  for (const std::string* answer : later) EXPECT_EQ(*answer, "9 of 10 a b");
  EXPECT_EQ(of_gone, "");
}

TEST_F(LeaseLoopTest, KeysOfCallersThatHaveGoneAreNotRead) {
  Lead(1);
  Granted(7, 10);
  const auto gone = std::make_shared<std::atomic<bool>>(false);
  for (int i = 0; i < 10; ++i) TimeToLive(7, /*with_keys=*/true, gone);
  EXPECT_EQ(host_.key_questions.size(), 0u);
}

// --- listing ---

TEST_F(LeaseLoopTest, ListsThoseThatEndFirstInFront) {
  Granted(5, 30);
  Granted(3, 10);
  Granted(4, 20);
  EXPECT_EQ(ListNow(), (std::vector<int64_t>{3, 4, 5})) << "by id where no time is counted";
  Lead(1);
  Pass(seconds(5));
  EXPECT_EQ(Renew(3), "10");
  Granted(-1, 60);
  EXPECT_EQ(ListNow(), (std::vector<int64_t>{3, 4, 5, -1}));
}

TEST_F(LeaseLoopTest, AListIsThatOfOneMoment) {
  constexpr int64_t kMany = 5 * LeaseLister::kLeasesOfSlice;
  Lead(1);
  std::vector<lease::Change> granted;
  for (int64_t id = 1; id <= kMany; ++id) granted.push_back({Kind::kGranted, 2 * id, 100, 0});
  Changed(granted);
  auto& list = List();
  auto& next = List();
  Steps(3);  // two slices have been looked at
  ASSERT_FALSE(list);
  loop_.Post([this] {
    leases_.OnChanges({{Kind::kGranted, 1, 50, 0},         // before the place that was reached
                       {Kind::kRevoked, 2, 0, 0},          // looked at already
                       {Kind::kRevoked, 4, 0, 0},          // and granted again
                       {Kind::kGranted, 4, 100, 0},        //
                       {Kind::kRevoked, 2 * kMany, 0, 0},  // not yet
                       {Kind::kGranted, 2 * kMany + 1, 50, 0}});
  });
  Pass(milliseconds(200));
  ASSERT_TRUE(list);
  std::set<int64_t> expected = {1, 2 * kMany + 1};
  for (int64_t id = 2; id < kMany; ++id) expected.insert(2 * id);
  EXPECT_EQ(list->size(), expected.size());
  EXPECT_EQ(std::set<int64_t>(list->begin(), list->end()), expected);
  EXPECT_EQ((*list)[0], 1);
  EXPECT_EQ(std::set<int64_t>(next->begin(), next->end()), expected);
}

TEST_F(LeaseLoopTest, AListBeginsAnewWhenAllIsReplaced) {
  std::vector<lease::Change> granted;
  for (int64_t id = 1; id <= 10000; ++id) granted.push_back({Kind::kGranted, id, 100, 0});
  Changed(granted);
  auto& list = List();
  Steps(3);
  ASSERT_FALSE(list);
  loop_.Post([this] { leases_.OnReplaced({{Kind::kGranted, 9, 10, 0}}); });
  Pass(milliseconds(100));
  EXPECT_EQ(list, std::vector<int64_t>{9});
}

TEST_F(LeaseLoopTest, RenewalsHaveTheirTurnBetweenTheSlicesOfLists) {
  Lead(1);
  std::vector<lease::Change> granted;
  for (int64_t id = 1; id <= 20000; ++id) granted.push_back({Kind::kGranted, id, 100, 0});
  Changed(granted);
  for (int i = 0; i < 20; ++i) List();
  Steps(2);
  std::string renewed;
  loop_.Post([&] {
    leases_.Renew(7, world_.Now(), Elsewhere::kForward,
                  [&](const auto& ttl) { renewed = Text(ttl); });
  });
  Steps(1);
  EXPECT_EQ(renewed, "100");
  EXPECT_FALSE(lists_.front());
  Pass(seconds(1));
  for (const auto& list : lists_) EXPECT_EQ(list.value().size(), 20000u);
}

// --- what has come counts ---

TEST_F(LeaseLoopTest, AFollowerPassesQuestionsOnUntilSomebodyAnswers) {
  host_.knows_leader = false;
  const std::string& renewed = Renew(7);
  Pass(seconds(1));
  EXPECT_EQ(renewed, "");
  host_.knows_leader = true;
  Pass(milliseconds(60));
  etcdserverpb::LeaseKeepAliveRequest request;
  ASSERT_EQ(host_.asked.size(), 1u);
  ASSERT_TRUE(request.ParseFromString(host_.asked[0].body));
  EXPECT_EQ(request.id(), 7);
  Answer(absl::UnavailableError("no connection"));
  Pass(milliseconds(60));
  Answer(Refused(400));
  Pass(milliseconds(60));
  Answer(Renewed(7, 10));
  EXPECT_EQ(renewed, "10");
}

TEST_F(LeaseLoopTest, AQuestionWithoutAnAnswerEndsInTime) {
  host_.knows_leader = false;
  const std::string& renewed = Renew(7);
  Pass(config_.RequestTimeout() - milliseconds(100));
  EXPECT_EQ(renewed, "");
  Pass(milliseconds(200));
  EXPECT_EQ(renewed, "etcdserver: request timed out");
}

TEST_F(LeaseLoopTest, AFollowerThatBecomesTheLeaderAnswersItself) {
  host_.knows_leader = false;
  Granted(7, 10);
  const std::string& renewed = Renew(7);
  const std::string& looked_at = TimeToLive(7);
  Lead(2);
  Pass(milliseconds(60));
  EXPECT_EQ(renewed, "10");
  EXPECT_EQ(looked_at, "9 of 10");
}

TEST_F(LeaseLoopTest, AFloodIsPassedOnAFewAtATime) {
  constexpr size_t kMany = 3 * LeaseForwarder::kAskedAtOnce;
  std::vector<const std::string*> renewed;
  for (size_t i = 0; i < kMany; ++i) renewed.push_back(&Renew(static_cast<int64_t>(i) + 1));
  for (size_t i = 0; i < kMany; ++i) {
    EXPECT_EQ(host_.asked.size(), std::min(kMany - i, LeaseForwarder::kAskedAtOnce));
    Answer(Renewed(1, 10));
    EXPECT_EQ(*renewed[i], "10");
  }
  EXPECT_TRUE(host_.asked.empty());
}

TEST_F(LeaseLoopTest, StoppingAnswersWhoeverWaits) {
  const std::string& passed_on = Renew(7);
  Granted(7, 10);
  Lead(1);
  Changed({{Kind::kGranted, 8, 1000, 0}, {Kind::kCheckpointed, 8, 1000, 600}});
  const std::string& clearing = Renew(8);
  Pass(milliseconds(11100));
  const std::string& ended = Renew(7);
  EXPECT_EQ(passed_on + clearing + ended, "");
  On([this] { leases_.Stop(); });
  EXPECT_EQ(passed_on, errors::Stopped().message());
  EXPECT_EQ(clearing, errors::Stopped().message());
  EXPECT_EQ(ended, errors::Stopped().message());
  EXPECT_EQ(Renew(7), errors::Stopped().message());
  EXPECT_EQ(TimeToLive(7), errors::Stopped().message());
}

}  // namespace
}  // namespace quoin::server

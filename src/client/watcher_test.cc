#include "client/watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/session.h"
#include "client/testing/fake_cluster.h"

namespace quoin::client {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

pb::WatchResponse Created(int64_t revision) {
  pb::WatchResponse response;
  response.set_created(true);
  response.mutable_header()->set_revision(revision);
  return response;
}

pb::WatchResponse Events(std::vector<int64_t> revisions) {
  pb::WatchResponse response;
  response.mutable_header()->set_revision(revisions.back());
  for (int64_t revision : revisions)
    response.add_events()->mutable_kv()->set_mod_revision(revision);
  return response;
}

class WatcherTest : public testing::Test, protected Watcher::Handler {
 protected:
  void OnCreated(int64_t revision) override { created_.push_back(revision); }
  void OnEvents(const pb::WatchResponse& response) override {
    for (const mvccpb::Event& event : response.events()) seen_.push_back(event.kv().mod_revision());
  }
  void OnEnd(const Status& status, int64_t compact_revision) override {
    end_ = status;
    compact_revision_ = compact_revision;
  }
  void Start(int64_t start_revision) {
    watcher_ = std::make_unique<Watcher>(*client_, cluster_.loop(),
                                         WatchOptions{.key = "k", .start_revision = start_revision},
                                         static_cast<Watcher::Handler&>(*this));
    cluster_.loop().Advance(0s);
  }
  // What the newest stream was asked for.
  int64_t AskedFrom() {
    pb::WatchRequest request;
    EXPECT_TRUE(request.ParseFromString(cluster_.last_stream().sent.back()));
    return request.create_request().start_revision();
  }
  void Say(const pb::WatchResponse& response) {
    cluster_.last_stream().handler->OnMessage(response.SerializeAsString());
  }
  void Break() { cluster_.last_stream().End(absl::UnavailableError("gone")); }

  testing_support::FakeCluster cluster_;
  std::unique_ptr<AsyncClient> client_ = cluster_.NewClient({"a:1", "b:1"});
  std::unique_ptr<Watcher> watcher_;
  std::vector<int64_t> created_, seen_;
  std::optional<Status> end_;
  int64_t compact_revision_ = 0;
};

TEST_F(WatcherTest, GoesOnBehindWhatItHasSeenAtTheNextEndpoint) {
  Start(0);
  EXPECT_EQ(AskedFrom(), 0);
  Say(Created(7));
  Say(Events({9, 9, 10}));
  EXPECT_EQ(cluster_.last_stream().address, "a:1");
  Break();
  cluster_.loop().Advance(1s);
  EXPECT_EQ(cluster_.last_stream().address, "b:1");
  EXPECT_EQ(AskedFrom(), 11);
  Say(Created(12));
  Say(Events({11}));
  EXPECT_THAT(seen_, ElementsAre(9, 9, 10, 11));
  EXPECT_THAT(created_, ElementsAre(8));
}

TEST_F(WatcherTest, AWatchOfThePresentIsAnchoredWhenItStands) {
  Start(0);
  Say(Created(7));
  Break();
  cluster_.loop().Advance(1s);
  EXPECT_EQ(AskedFrom(), 8);
}

TEST_F(WatcherTest, BrokenBeforeItStoodItBeginsAnew) {
  Start(0);
  Break();
  cluster_.loop().Advance(1s);
  EXPECT_EQ(AskedFrom(), 0);
  EXPECT_THAT(created_, ElementsAre());
}

TEST_F(WatcherTest, ProgressMovesTheBeginning) {
  Start(5);
  Say(Created(4));
  pb::WatchResponse progress;
  progress.mutable_header()->set_revision(20);
  Say(progress);
  Break();
  cluster_.loop().Advance(1s);
  EXPECT_EQ(AskedFrom(), 21);
}

TEST_F(WatcherTest, CompactionIsAnEnd) {
  Start(5);
  pb::WatchResponse canceled = Created(30);
  canceled.set_canceled(true);
  canceled.set_compact_revision(20);
  Say(canceled);
  ASSERT_TRUE(end_.has_value());
  EXPECT_EQ(end_->code(), StatusCode::kOutOfRange);
  EXPECT_EQ(compact_revision_, 20);
  cluster_.loop().Advance(10s);
  EXPECT_EQ(cluster_.streams_open(), 0);
}

TEST_F(WatcherTest, ARefusalIsAnEndAndALossIsNot) {
  Start(5);
  cluster_.last_stream().End(absl::PermissionDeniedError("etcdserver: permission denied"));
  ASSERT_TRUE(end_.has_value());
  cluster_.loop().Advance(10s);
  EXPECT_EQ(cluster_.streams_open(), 0);
}

TEST_F(WatcherTest, PausedItHoldsNothingAndGoesOnWhereItWas) {
  Start(5);
  Say(Created(4));
  Say(Events({5}));
  watcher_->Pause();
  cluster_.loop().Advance(10s);
  EXPECT_EQ(cluster_.streams_open(), 0);
  watcher_->Resume();
  cluster_.loop().Advance(0s);
  EXPECT_EQ(AskedFrom(), 6);
}

TEST_F(WatcherTest, DestroyedInTheMiddleItAsksForNothingMore) {
  Start(5);
  Break();
  watcher_.reset();
  cluster_.loop().Advance(10s);
  EXPECT_EQ(cluster_.streams_open(), 0);
}

class LeaseKeeperTest : public testing::Test {
 protected:
  void Answer(int64_t ttl) {
    pb::LeaseKeepAliveResponse response;
    response.set_ttl(ttl);
    cluster_.last_stream().handler->OnMessage(response.SerializeAsString());
  }

  testing_support::FakeCluster cluster_;
  std::unique_ptr<AsyncClient> client_ = cluster_.NewClient({"a:1"});
  int lost_ = 0;
  std::unique_ptr<LeaseKeeper> keeper_ =
      std::make_unique<LeaseKeeper>(*client_, cluster_.loop(), 77, 9, [this] { ++lost_; });
};

TEST_F(LeaseKeeperTest, RenewsEveryThirdOfTheTime) {
  for (int round = 0; round < 10; ++round) {
    cluster_.loop().Advance(round == 0 ? 0s : 3s);
    EXPECT_EQ(cluster_.last_stream().sent.size(), round + 1u);
    Answer(9);
  }
  EXPECT_EQ(lost_, 0);
}

TEST_F(LeaseKeeperTest, TheTimeCountsFromWhenTheAnsweredRenewalLeft) {
  cluster_.loop().Advance(0s);
  cluster_.loop().Advance(2s);
  Answer(9);  // left 2 s ago: good for 7 more
  cluster_.loop().Advance(6900ms);
  EXPECT_EQ(lost_, 0);
  cluster_.loop().Advance(200ms);
  EXPECT_EQ(lost_, 1);
}

TEST_F(LeaseKeeperTest, ARenewalThatIsNotAnsweredMovesTheStreamBeforeHalfOfTheTime) {
  const auto client = cluster_.NewClient({"x:1", "y:1", "z:1"});
  int lost = 0;
  LeaseKeeper keeper(*client, cluster_.loop(), 78, 9, [&] { ++lost; });
  cluster_.loop().Advance(0s);
  EXPECT_EQ(cluster_.last_stream().address, "x:1");
  Answer(9);
  cluster_.loop().Advance(4499ms);  // the next renewal left after 3 s
  EXPECT_EQ(cluster_.last_stream().address, "y:1");
  EXPECT_THAT(cluster_.probed(), testing::Contains("x:1"));
  EXPECT_EQ(cluster_.last_stream().sent.size(), 1u);
  // Nor does that one answer; the third one does.
  cluster_.loop().Advance(2300ms);
  EXPECT_EQ(cluster_.last_stream().address, "z:1");
  Answer(9);
  cluster_.loop().Advance(3s);
  Answer(9);
  cluster_.loop().Advance(8s);
  EXPECT_EQ(lost, 0);
}

TEST_F(LeaseKeeperTest, WithOneEndpointTheConnectionIsTestedAndALateAnswerCounts) {
  cluster_.loop().Advance(0s);
  cluster_.loop().Advance(2s);
  EXPECT_THAT(cluster_.probed(), ElementsAre("a:1"));
  EXPECT_EQ(cluster_.last_stream().sent.size(), 1u);
  Answer(9);
  cluster_.loop().Advance(2s);
  Answer(9);  // the one of 3 s, good until 12
  cluster_.loop().Advance(7900ms);
  EXPECT_EQ(lost_, 0);
  cluster_.loop().Advance(100ms);
  EXPECT_EQ(lost_, 1);
}

TEST_F(LeaseKeeperTest, ALongWayIsNotTakenForSilence) {
  const auto client = cluster_.NewClient({"x:1", "y:1"});
  LeaseKeeper keeper(*client, cluster_.loop(), 78, 9, [] {});
  for (int round = 0; round < 5; ++round) {
    cluster_.loop().Advance(round == 0 ? 1s : 3s);  // each answer takes a second
    Answer(9);
    EXPECT_EQ(cluster_.last_stream().address, "x:1");
    EXPECT_EQ(cluster_.last_stream().sent.size(), round + 1u);
  }
  EXPECT_TRUE(std::ranges::none_of(cluster_.probed(), [](auto& a) { return a == "x:1"; }));
}

TEST_F(LeaseKeeperTest, ALeaseThatIsGoneIsLostAtOnceAndOnce) {
  cluster_.loop().Advance(0s);
  Answer(0);
  EXPECT_EQ(lost_, 1);
  cluster_.loop().Advance(60s);
  EXPECT_EQ(lost_, 1);
  EXPECT_EQ(cluster_.streams_open(), 0);
}

TEST_F(LeaseKeeperTest, ABrokenStreamIsOpenedAgainWithinTheTime) {
  cluster_.loop().Advance(0s);
  Answer(9);
  cluster_.last_stream().End(absl::UnavailableError("gone"));
  cluster_.loop().Advance(1s);
  EXPECT_EQ(cluster_.last_stream().sent.size(), 1u);
  Answer(9);
  cluster_.loop().Advance(8s);
  EXPECT_EQ(lost_, 0);
}

}  // namespace
}  // namespace quoin::client

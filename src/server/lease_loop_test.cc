// The lease loop by itself, on virtual time, against a scripted member.

#include "server/lease_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "base/errors.h"
#include "base/wire.h"
#include "env/sim/sim_world.h"
#include "proto/lease.pb.h"

namespace quoin::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = lease::Change::Kind;
using Elsewhere = LeaseLoop::Elsewhere;

// Notes what the loop asks for; the test answers when it likes.
class ScriptedHost final : public LeaseHost {
 public:
  struct Proposed {
    Term term;
    std::string what;
    OnStatus done;
  };
  struct Asked {
    std::string target, body;
    env::Duration timeout;
    OnAnswer done;
  };
  struct Handle final : rpc::Fetch {};

  explicit ScriptedHost(env::Executor& loop) : loop_(loop) {}

  void WaitReadable(OnStatus done) override {
    if (!confirms) return waits.push_back(std::move(done));
    loop_.Post([done = std::move(done)]() mutable { done(OkStatus()); });
  }
  void Propose(Term term, state::Operation operation, std::string_view payload,
               OnStatus done) override {
    proposals.push_back({term, Describe(operation, payload), std::move(done)});
  }
  std::unique_ptr<rpc::Fetch> AskLeader(const std::string& target, std::string body,
                                        env::Duration timeout, OnAnswer done) override {
    if (!knows_leader) return nullptr;
    asked.push_back({target, std::move(body), timeout, std::move(done)});
    return std::make_unique<Handle>();
  }
  void KeysOf(int64_t, OnKeys done) override { key_questions.push_back(std::move(done)); }

  bool confirms = true;  // at once; otherwise the test does, by `waits`
  bool knows_leader = true;
  std::deque<OnStatus> waits;
  std::deque<Proposed> proposals;
  std::deque<Asked> asked;
  std::deque<OnKeys> key_questions;

 private:
  env::Executor& loop_;

  static std::string Describe(state::Operation operation, std::string_view payload) {
    if (operation == state::Operation::kLeaseRevoke) {
      etcdserverpb::LeaseRevokeRequest request;
      EXPECT_TRUE(request.ParseFromString(std::string(payload)));
      return "revoke " + std::to_string(request.id());
    }
    EXPECT_EQ(operation, state::Operation::kLeaseCheckpoint);
    etcdserverpb::LeaseCheckpointRequest request;
    EXPECT_TRUE(request.ParseFromString(std::string(payload)));
    if (request.checkpoints_size() > 3)
      return std::to_string(request.checkpoints_size()) + " checkpoints";
    std::string out = "checkpoint";
    for (const auto& checkpoint : request.checkpoints()) {
      out +=
          " " + std::to_string(checkpoint.id()) + ":" + std::to_string(checkpoint.remaining_ttl());
    }
    return out;
  }
};

SharedBytes Keys(std::initializer_list<std::string_view> keys) {
  std::string out;
  for (std::string_view key : keys) wire::PutBytes(out, 5, key);
  return SharedBytes(out);
}

// What came of one request: "" while it waits.
template <typename T>
std::string Text(const StatusOr<T>& value) {
  if (!value.ok()) return std::string(value.status().message());
  if constexpr (std::is_same_v<T, LeaseTimes>) {
    std::string out =
        std::to_string(value->ttl_seconds) + " of " + std::to_string(value->granted_seconds);
    etcdserverpb::LeaseTimeToLiveResponse response;
    EXPECT_TRUE(response.ParseFromString(std::string(value->keys.view())));
    for (const std::string& key : response.keys()) out += " " + key;
    return out;
  } else {
    return std::to_string(value.value());
  }
}

class LeaseLoopTest : public testing::Test {
 protected:
  LeaseLoopTest() {
    config_.lease_checkpoint = true;
    info_.member_id = 1;
  }

  // Time passes, and the followers answer.
  void Pass(env::Duration time) {
    for (const env::Duration end = world_.Now() + time; world_.Now() < end;) {
      info_.lead_proved_at.store(world_.Now().count());
      world_.RunFor(std::min<env::Duration>(milliseconds(50), end - world_.Now()));
    }
  }
  // Time passes while the whole process stands still, or nobody answers it.
  void StandStill(env::Duration time) { world_.RunFor(time); }
  void On(std::function<void()> call) {
    loop_.Post(std::move(call));
    Pass(milliseconds(1));
  }

  void Lead(uint64_t term) {
    info_.term.store(term);
    info_.is_leader.store(true);
    On([this, term] { leases_.OnFirstEntry(Term(term)); });
  }
  void Follow(uint64_t term) {
    info_.term.store(term);
    info_.is_leader.store(false);
  }
  void Granted(int64_t id, int64_t ttl) { Changed({{Kind::kGranted, id, ttl, 0}}); }
  void Changed(std::vector<lease::Change> changes) {
    On([this, changes = std::move(changes)] { leases_.OnChanges(changes); });
  }
  // The log has carried out the oldest proposal that waits.
  void Carry(std::vector<lease::Change> changes, const Status& status = OkStatus()) {
    ASSERT_FALSE(host_.proposals.empty());
    On([&,
        proposed = std::make_shared<ScriptedHost::Proposed>(std::move(host_.proposals.front()))] {
      leases_.OnChanges(changes);
      proposed->done(status);
    });
    host_.proposals.pop_front();
  }
  void Refuse() { Carry({}, errors::ProposalDropped()); }
  void Confirm(const Status& status) {
    ASSERT_FALSE(host_.waits.empty());
    On([&] { host_.waits.front()(status); });
    host_.waits.pop_front();
  }
  void Answer(StatusOr<rpc::HttpResponse> answer) {
    ASSERT_FALSE(host_.asked.empty());
    On([&, asked = std::make_shared<ScriptedHost::Asked>(std::move(host_.asked.front()))] {
      asked->done(std::move(answer));
    });
    host_.asked.pop_front();
  }
  static rpc::HttpResponse Renewed(int64_t id, int64_t ttl) {
    etcdserverpb::LeaseKeepAliveResponse response;
    response.set_id(id);
    response.set_ttl(ttl);
    rpc::HttpResponse http;
    http.body = response.SerializeAsString();
    return http;
  }
  static rpc::HttpResponse Refused(int status) {
    rpc::HttpResponse http;
    http.status = status;
    return http;
  }

  // Where the answer will stand.
  const std::string& Renew(int64_t id, Elsewhere elsewhere = Elsewhere::kForward) {
    std::string& out = answers_.emplace_back();
    On([&] {
      leases_.Renew(id, elsewhere, [&out](const StatusOr<int64_t>& ttl) {
        EXPECT_EQ(out, "") << "answered twice";
        out = Text(ttl);
      });
    });
    return out;
  }
  const std::string& TimeToLive(int64_t id, bool with_keys = false, Wanted wanted = nullptr) {
    std::string& out = answers_.emplace_back();
    On([&] {
      leases_.TimeToLive(
          id, with_keys, Elsewhere::kForward,
          [&out](const StatusOr<LeaseTimes>& times) {
            EXPECT_EQ(out, "") << "answered twice";
            out = Text(times);
          },
          wanted);
    });
    return out;
  }
  // Where the list will stand, once it is made.
  std::optional<std::vector<int64_t>>& List() {
    auto& out = lists_.emplace_back();
    loop_.Post([&] {
      leases_.List([&out](const SharedBytes& bytes) {
        EXPECT_FALSE(out) << "answered twice";
        etcdserverpb::LeaseLeasesResponse response;
        EXPECT_TRUE(response.ParseFromString(std::string(bytes.view())));
        out.emplace();
        for (const auto& lease : response.leases()) out->push_back(lease.id());
      });
    });
    return out;
  }
  std::vector<int64_t> ListNow() {
    auto& list = List();
    Pass(milliseconds(100));
    EXPECT_TRUE(list);
    return list.value_or(std::vector<int64_t>());
  }
  // What stands in the mailbox is carried out, and what that posts.
  void Steps(int count) {
    for (int i = 0; i < count; ++i) {
      bool done = false;
      loop_.Post([&] { done = true; });
      while (!done) ASSERT_TRUE(world_.Step());
    }
  }
  std::vector<std::string> Proposals() const {
    std::vector<std::string> out;
    for (const auto& proposed : host_.proposals) out.push_back(proposed.what);
    return out;
  }
  using Lines = std::vector<std::string>;

  NullLogger log_;
  env::SimWorld world_{1};
  NodeConfig config_;
  NodeInfo info_;
  env::SimExecutor loop_{world_};
  ScriptedHost host_{loop_};
  LeaseLoop leases_{config_, info_, loop_, host_, log_};
  std::deque<std::string> answers_;
  std::deque<std::optional<std::vector<int64_t>>> lists_;
};

TEST_F(LeaseLoopTest, EndsWhatIsNotRenewed) {
  Lead(3);
  Granted(7, 10);
  Granted(8, 10);
  Pass(seconds(9));
  EXPECT_EQ(Renew(8), "10");
  Pass(milliseconds(900));
  EXPECT_EQ(Proposals(), Lines());
  Pass(milliseconds(200));
  EXPECT_EQ(Proposals(), Lines{"revoke 7"});
  EXPECT_EQ(host_.proposals[0].term, Term(3));
  Carry({{Kind::kRevoked, 7, 0, 0}});
  EXPECT_EQ(Renew(7), "0");
  EXPECT_EQ(TimeToLive(7), "-1 of 0");
  EXPECT_EQ(TimeToLive(8), "8 of 10");
  Pass(seconds(9));
  EXPECT_EQ(Proposals(), Lines{"revoke 8"});
}

TEST_F(LeaseLoopTest, AnEndedLeaseIsNotRenewed) {
  Lead(1);
  Granted(7, 10);
  Pass(milliseconds(10100));
  const std::string& answer = Renew(7);
  EXPECT_EQ(answer, "");
  Carry({{Kind::kRevoked, 7, 0, 0}});
  EXPECT_EQ(answer, "0");
}

// Raft puts an empty entry in place of a change of members that it refuses.
TEST_F(LeaseLoopTest, AnotherEmptyEntryOfTheTermIsNotItsFirst) {
  Lead(2);
  Granted(7, 10);
  Pass(milliseconds(10100));
  EXPECT_EQ(Proposals(), Lines{"revoke 7"});
  Lead(2);
  const std::string& answer = Renew(7);
  EXPECT_EQ(answer, "") << "its end is on its way";
  Carry({{Kind::kRevoked, 7, 0, 0}});
  EXPECT_EQ(answer, "0");
}

TEST_F(LeaseLoopTest, AMemberThatDoesNotLeadEndsNothing) {
  Granted(7, 2);
  Pass(seconds(60));
  EXPECT_EQ(Proposals(), Lines());
}

TEST_F(LeaseLoopTest, ANewLeaderGivesTheWholeTimeAndAnElectionTimeout) {
  Granted(7, 10);
  Changed({{Kind::kGranted, 8, 100, 0}, {Kind::kCheckpointed, 8, 100, 20}});
  Pass(seconds(1000));
  Lead(2);
  EXPECT_EQ(TimeToLive(7), "10 of 10");
  EXPECT_EQ(TimeToLive(8), "20 of 100");
  Pass(milliseconds(10900));
  EXPECT_EQ(Proposals(), Lines());
  Pass(milliseconds(200));
  EXPECT_EQ(Proposals(), Lines{"revoke 7"});
  Pass(seconds(10));
  EXPECT_EQ(Proposals(), (Lines{"revoke 7", "revoke 8"}));
}

TEST_F(LeaseLoopTest, AFailedEndIsTriedAgainThoughTheNextOneIsFarAway) {
  Lead(1);
  Granted(7, 10);
  Granted(8, 1000);
  Pass(milliseconds(10100));
  ASSERT_EQ(Proposals(), Lines{"revoke 7"});
  Refuse();
  Pass(milliseconds(400));
  EXPECT_EQ(Proposals(), Lines());
  Pass(milliseconds(200));
  EXPECT_EQ(Proposals(), Lines{"revoke 7"});
  const std::string& answer = Renew(7);
  EXPECT_EQ(answer, "") << "it must not come back to life";
  Carry({}, errors::LeaseNotFound());
  Pass(seconds(2));
  EXPECT_EQ(Proposals(), Lines()) << "somebody else has revoked it";
}

TEST_F(LeaseLoopTest, ThousandsThatEndTogetherAreNotAllOnTheirWay) {
  constexpr int64_t kLeases = 2000;
  Lead(1);
  std::vector<lease::Change> granted;
  for (int64_t id = 1; id <= kLeases; ++id) granted.push_back({Kind::kGranted, id, 10, 0});
  Changed(granted);
  Pass(milliseconds(10200));
  int64_t ended = 0;
  while (!host_.proposals.empty()) {
    EXPECT_LE(host_.proposals.size(), LeaseLoop::kEndsAtOnce);
    if (ended + static_cast<int64_t>(LeaseLoop::kEndsAtOnce) < kLeases) {
      EXPECT_EQ(host_.proposals.size(), LeaseLoop::kEndsAtOnce);
    }
    ++ended;
    Carry({{Kind::kRevoked, std::stol(host_.proposals.front().what.substr(7)), 0, 0}});
  }
  EXPECT_EQ(ended, kLeases);
}

// --- who leads? ---

TEST_F(LeaseLoopTest, ADeposedLeaderNeitherRenewsNorEnds) {
  Lead(1);
  Granted(7, 10);
  Pass(seconds(5));
  Follow(2);
  const std::string& answer = Renew(7);
  EXPECT_EQ(Renew(7, Elsewhere::kRefuse), "not a primary lessor");
  EXPECT_EQ(answer, "");
  ASSERT_EQ(host_.asked.size(), 1u);
  EXPECT_EQ(host_.asked[0].target, "/leases");
  Pass(seconds(6));
  EXPECT_EQ(Proposals(), Lines());
  Answer(Renewed(7, 10));
  EXPECT_EQ(answer, "10");
}

TEST_F(LeaseLoopTest, WhoWaitsForAnEndAsksTheNextLeaderWhenThisOneIsDeposed) {
  Lead(1);
  Granted(7, 10);
  Pass(milliseconds(10100));
  const std::string& own = Renew(7);
  const std::string& passed_on = Renew(7, Elsewhere::kRefuse);
  Follow(2);
  On([this] { leases_.OnDeposed(); });
  EXPECT_EQ(passed_on, "not a primary lessor");
  EXPECT_EQ(own, "");
  Answer(Renewed(7, 10));
  EXPECT_EQ(own, "10");
  Changed({{Kind::kRevoked, 7, 0, 0}});  // once answered, that is all
  Refuse();                              // and its own proposal has failed
  Pass(seconds(2));
  EXPECT_EQ(Proposals(), Lines());
}

TEST_F(LeaseLoopTest, WhoWaitsForAnEndIsAnsweredWhenASnapshotReplacesAll) {
  Lead(1);
  Granted(7, 10);
  Pass(milliseconds(10100));
  const std::string& own = Renew(7);
  const std::string& passed_on = Renew(7, Elsewhere::kRefuse);
  Follow(2);
  On([this] { leases_.OnReplaced({{Kind::kGranted, 9, 10, 0}}); });
  EXPECT_EQ(passed_on, "not a primary lessor");
  Answer(Refused(404));
  EXPECT_EQ(own, "0");
  EXPECT_EQ(ListNow(), std::vector<int64_t>{9});
}

TEST_F(LeaseLoopTest, LeadingAgainCountsAnew) {
  Lead(1);
  Granted(7, 10);
  Pass(milliseconds(10100));
  ASSERT_EQ(Proposals(), Lines{"revoke 7"});
  const std::string& answer = Renew(7);
  host_.knows_leader = false;  // no other one
  Lead(2);
  Pass(milliseconds(100));  // the renewal comes round to this member, who leads again
  EXPECT_EQ(answer, "10");
  Refuse();  // of term 1
  Pass(seconds(9));
  EXPECT_EQ(Proposals(), Lines());
  Pass(seconds(3));
  EXPECT_EQ(Proposals(), Lines{"revoke 7"});
  EXPECT_EQ(host_.proposals[0].term, Term(2));
}

TEST_F(LeaseLoopTest, AfterAStandstillTheLeadIsProvenBeforeAnythingIsSaid) {
  Lead(1);
  Granted(7, 100);
  host_.confirms = false;
  for (const bool still_leads : {true, false}) {
    StandStill(seconds(5));
    std::string renewed, looked_at;
    loop_.Post([&] {
      leases_.Renew(7, Elsewhere::kForward, [&](auto ttl) { renewed = Text(ttl); });
      leases_.TimeToLive(7, false, Elsewhere::kForward, [&](auto ttl) { looked_at = Text(ttl); });
    });
    world_.RunFor(milliseconds(1));  // nobody has answered yet
    EXPECT_EQ(renewed + looked_at, "");
    ASSERT_EQ(host_.waits.size(), 2u);
    if (!still_leads) Follow(2);
    Confirm(OkStatus());
    Confirm(OkStatus());
    EXPECT_EQ(renewed, still_leads ? "100" : "not a primary lessor");
    EXPECT_EQ(looked_at, still_leads ? "99 of 100" : "etcdserver: leader changed");
  }
}

TEST_F(LeaseLoopTest, AnUnknownLeaseMayBeInAnEntryThatIsNotAppliedYet) {
  host_.confirms = false;
  Lead(1);
  const std::string& renewed = Renew(7);
  const std::string& looked_at = TimeToLive(7);
  const std::string& never = Renew(8);
  EXPECT_EQ(renewed + looked_at + never, "");
  Granted(7, 10);
  for (int i = 0; i < 3; ++i) Confirm(OkStatus());
  EXPECT_EQ(renewed, "10");
  EXPECT_EQ(looked_at.substr(2), "of 10");
  EXPECT_EQ(never, "0");
}

// Raft ticks, and may lead for another election timeout. But whoever is elected now gives a lease
// no more than an election timeout beyond its time.
TEST_F(LeaseLoopTest, WithoutAnswersFromAQuorumNothingIsRenewedForLong) {
  Lead(1);
  Granted(7, 100);
  host_.confirms = false;
  StandStill(config_.election_timeout - config_.heartbeat_interval - milliseconds(10));
  EXPECT_EQ(leases_.RenewAtOnce(7, world_.Now()), 100);
  StandStill(milliseconds(20));
  EXPECT_EQ(leases_.RenewAtOnce(7, world_.Now()), std::nullopt);
  std::string renewed;
  loop_.Post([&] {
    leases_.Renew(7, Elsewhere::kForward, [&](const auto& ttl) { renewed = Text(ttl); });
  });
  StandStill(seconds(2));
  ASSERT_EQ(host_.waits.size(), 1u);
  // The answer to a question that is two seconds old proves nothing about now.
  loop_.Post([&] { std::exchange(host_.waits.front(), nullptr)(OkStatus()); });
  StandStill(milliseconds(1));
  EXPECT_EQ(renewed, "");
  ASSERT_EQ(host_.waits.size(), 2u) << "it asks again";
  loop_.Post([&] { host_.waits.back()(OkStatus()); });
  StandStill(milliseconds(1));
  EXPECT_EQ(renewed, "100");
}

// It was ended through another member, which has answered.
TEST_F(LeaseLoopTest, AKnownLeaseMayBeEndedByAnEntryThatIsNotAppliedYet) {
  Lead(1);
  Granted(7, 10);
  Granted(8, 10);
  host_.confirms = false;
  info_.lease_logged.store(20);
  EXPECT_EQ(leases_.RenewAtOnce(7, world_.Now()), std::nullopt);
  const std::string& renewed = Renew(7);
  const std::string& looked_at = TimeToLive(7);
  Pass(seconds(9));
  const std::string& in_time = Renew(8);
  EXPECT_EQ(renewed + looked_at + in_time, "");
  Pass(seconds(2));
  EXPECT_EQ(Proposals(), Lines{"revoke 7"}) << "8 was renewed in time, though nobody has said so";
  Changed({{Kind::kRevoked, 7, 0, 0}});
  for (int i = 0; i < 3; ++i) Confirm(OkStatus());
  EXPECT_EQ(renewed, "0");
  EXPECT_EQ(looked_at, "-1 of 0");
  EXPECT_EQ(in_time, "10");
  On([this] { leases_.OnHeard(Index(20)); });
  EXPECT_EQ(leases_.RenewAtOnce(8, world_.Now()), 10) << "all of the log has been heard";
}

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
    leases_.Renew(7, Elsewhere::kForward, [&](const auto& ttl) { renewed = Text(ttl); });
  });
  Steps(1);
  EXPECT_EQ(renewed, "100");
  EXPECT_FALSE(lists_.front());
  Pass(seconds(1));
  for (const auto& list : lists_) EXPECT_EQ(list.value().size(), 20000u);
}

// --- what has come counts ---

TEST_F(LeaseLoopTest, ARenewalThatHasComeIsCarriedOutBeforeTheEnd) {
  Lead(1);
  Granted(7, 10);
  Pass(milliseconds(9000));
  loop_.set_pace({.task = {seconds(2), seconds(2)}});
  loop_.Post([] {});  // keeps the loop until the lease should have ended
  Pass(milliseconds(950));
  const env::Duration came_at = world_.Now();
  Pass(milliseconds(100));  // the timer is due, and first in the queue
  std::string renewed;
  loop_.Post([&] {
    leases_.Renew(7, came_at, Elsewhere::kForward, [&](const auto& ttl) { renewed = Text(ttl); });
  });
  loop_.set_pace({});
  Pass(seconds(3));
  EXPECT_EQ(renewed, "10");
  EXPECT_EQ(Proposals(), Lines());
  const std::string& too_late = Renew(8);
  Pass(seconds(10));
  EXPECT_EQ(Proposals(), Lines{"revoke 7"});
  EXPECT_EQ(too_late, "0") << "there is none";
}

// --- checkpoints ---

TEST_F(LeaseLoopTest, ARenewalAfterACheckpointAnswersWhenTheLogHasForgottenIt) {
  Lead(1);
  Changed({{Kind::kGranted, 7, 1000, 0}, {Kind::kCheckpointed, 7, 1000, 600}});
  const std::string& first = Renew(7);
  const std::string& second = Renew(7);
  EXPECT_EQ(Proposals(), Lines{"checkpoint 7:0"});
  EXPECT_EQ(first + second, "");
  Carry({{Kind::kCheckpointed, 7, 1000, 0}});
  EXPECT_EQ(first, "1000");
  EXPECT_EQ(second, "1000");
  EXPECT_EQ(Renew(7), "1000");
  EXPECT_EQ(Proposals(), Lines());
}

TEST_F(LeaseLoopTest, ARenewalWhoseCheckpointFailsHasFailed) {
  Lead(1);
  Changed({{Kind::kGranted, 7, 1000, 0}, {Kind::kCheckpointed, 7, 1000, 600}});
  const std::string& refused = Renew(7);
  Refuse();
  EXPECT_EQ(refused, errors::ProposalDropped().message());
  const std::string& deposed = Renew(7);
  Follow(2);
  On([this] { leases_.OnDeposed(); });
  Answer(Renewed(7, 1000));
  EXPECT_EQ(deposed, "1000");
  Refuse();
}

TEST_F(LeaseLoopTest, LongLeasesAreCheckpointedEveryFiveMinutes) {
  Lead(1);
  Granted(7, 1000);
  Granted(8, 290);
  Granted(9, 700);
  Pass(std::chrono::minutes(4));
  EXPECT_EQ(Renew(8), "290");
  Pass(seconds(61));
  EXPECT_EQ(Proposals(), (Lines{"checkpoint 7:701 9:401"}));  // rounded up
  Carry({{Kind::kCheckpointed, 7, 1000, 700}, {Kind::kCheckpointed, 9, 700, 400}});
  EXPECT_EQ(Renew(8), "290");
  Pass(seconds(280));
  Renew(8);
  Pass(seconds(20));
  EXPECT_EQ(Proposals(), Lines{"checkpoint 7:401"});
}

TEST_F(LeaseLoopTest, CheckpointsOfThousandsFollowOneAnother) {
  Lead(1);
  std::vector<lease::Change> granted;
  for (int64_t id = 1; id <= 2500; ++id) granted.push_back({Kind::kGranted, id, 1000, 0});
  Changed(granted);
  Pass(seconds(301));
  EXPECT_EQ(Proposals(), Lines{"1000 checkpoints"});
  Carry({});
  EXPECT_EQ(Proposals(), Lines{"1000 checkpoints"});
  Carry({});
  EXPECT_EQ(Proposals(), Lines{"500 checkpoints"});
  Carry({});
  EXPECT_EQ(Proposals(), Lines());
}

// --- through the leader ---

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

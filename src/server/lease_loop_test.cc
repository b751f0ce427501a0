// The lease loop by itself: when leases are renewed, end, and are checkpointed.

#include "server/lease_loop.h"

#include "server/testing/lease_loop_fixture.h"

namespace quoin::server {
namespace {

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
      leases_.Renew(7, world_.Now(), Elsewhere::kForward, [&](auto ttl) { renewed = Text(ttl); });
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
    leases_.Renew(7, world_.Now(), Elsewhere::kForward,
                  [&](const auto& ttl) { renewed = Text(ttl); });
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

}  // namespace
}  // namespace quoin::server

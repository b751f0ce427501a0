// The checkers themselves: right stories pass, and each kind of wrong one is found.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/watch_check/model.h"
#include "tests/watch_check/oracle.h"
#include "tests/watch_check/watch_checker.h"

namespace quoin::watch_check {
namespace {

Request Puts(uint64_t id, std::vector<uint32_t> keys) {
  Request request{.id = id};
  for (uint32_t key : keys) request.ops.push_back({key});
  return request;
}
Request DeletesRange(uint64_t id, uint32_t from, uint32_t to) {
  return {.id = id, .ops = {{to}}, .from = from, .to = to};
}

TEST(Values, TellWhoWroteThem) {
  for (uint64_t tag : {uint64_t{0}, uint64_t{17}, uint64_t{123456789}}) {
    const std::string value = ValueOf(tag);
    EXPECT_EQ(TagOf(value), tag);
    EXPECT_EQ(TagOf(value + "p"), std::nullopt);
    EXPECT_EQ(TagOf(value.substr(1)) == tag, false);
  }
  EXPECT_EQ(TagOf(""), std::nullopt);
  EXPECT_EQ(KeyNumber(KeyName(7)), 7u);
  EXPECT_EQ(KeyNumber("w/00071"), std::nullopt);
}

// Revisions 2 to 6 of a store: puts of two keys, of one again, deletion of both, and two more puts.
class StoryTest : public testing::Test {
 protected:
  StoryTest() : oracle_(1, [this](const std::string& what) { wrong_.push_back(what); }) {
    for (const Request& request :
         {Puts(1, {10, 20}), Puts(2, {10}), DeletesRange(3, 10, 30), Puts(4, {20}), Puts(5, {10})})
      Happens(request);
    EXPECT_TRUE(wrong_.empty());
    EXPECT_EQ(oracle_.model().next_revision(), 7);
  }
  void Happens(const Request& request) {
    const int64_t revision = oracle_.model().next_revision();
    oracle_.Sent(request);
    oracle_.Observe(revision, oracle_.model().Effect(request));
    oracle_.Done(request.id, revision);
  }
  WatchChecker Checker(Interest interest, int64_t start = 2) {
    return WatchChecker("w", interest, start,
                        [this](const std::string& what) { wrong_.push_back(what); });
  }
  // What a watcher should be told of these revisions in one response.
  std::vector<Change> Of(Interest interest, std::vector<int64_t> revisions) {
    std::vector<Change> events;
    for (int64_t revision : revisions) {
      for (Change change : oracle_.model().At(revision)) {
        if (!interest.previous) change.previous.reset();
        if (interest.Holds(change)) events.push_back(change);
      }
    }
    return events;
  }
  size_t wrong() const { return wrong_.size(); }

  std::vector<std::string> wrong_;
  Oracle oracle_;
  const Interest all_{.previous = true};
};

TEST_F(StoryTest, RightStoriesPass) {
  const Interest first{.from = 10, .to = 11}, puts{.deletes = false, .previous = true};
  for (const Interest& interest : {all_, first, puts, Interest{.puts = false}}) {
    WatchChecker checker = Checker(interest);
    for (int64_t revision : {2, 3, 4, 5, 6}) {
      const std::vector<Change> events = Of(interest, {revision});
      if (!events.empty()) checker.OnEvents(events, 0);
    }
    checker.OnProgress(6);
    checker.Check(oracle_.model());
    EXPECT_EQ(wrong_, std::vector<std::string>());
    EXPECT_EQ(checker.checked(), 6);
    EXPECT_EQ(checker.next(), 7);
  }
  WatchChecker resumed = Checker(all_, 4);
  resumed.OnEvents(Of(all_, {4, 5, 6}), 0);
  resumed.Check(oracle_.model());
  EXPECT_EQ(wrong(), 0u);
}

TEST_F(StoryTest, AGapIsFound) {
  WatchChecker checker = Checker(all_);
  checker.OnEvents(Of(all_, {2, 4}), 0);
  checker.Check(oracle_.model());
  EXPECT_EQ(wrong(), 1u);
}

TEST_F(StoryTest, WhatIsToldTwiceOrTooLateIsFound) {
  WatchChecker twice = Checker(all_), late = Checker(all_);
  twice.OnEvents(Of(all_, {2, 3}), 0);
  twice.OnEvents(Of(all_, {3}), 0);
  EXPECT_EQ(wrong(), 1u);
  late.OnEvents(Of(all_, {3, 2}), 0);
  EXPECT_EQ(wrong(), 2u);
}

TEST_F(StoryTest, ARevisionInTwoResponsesIsFound) {
  WatchChecker checker = Checker(all_);
  std::vector<Change> both = Of(all_, {2});
  checker.OnEvents({both[0]}, 0);
  checker.Check(oracle_.model());
  EXPECT_EQ(wrong(), 1u);
  checker.OnEvents({both[1]}, 0);
  EXPECT_EQ(wrong(), 2u);
}

TEST_F(StoryTest, WrongEventsAreFound) {
  for (auto spoil : std::vector<std::function<void(std::vector<Change>&)>>{
           [](auto& events) { std::swap(events[0], events[1]); },
           [](auto& events) { events[0].now.tag++; }, [](auto& events) { events[0].now.version++; },
           [](auto& events) { events[0].now.create_revision--; },
           [](auto& events) { events[0].deleted = !events[0].deleted; },
           [](auto& events) { events[0].key = 11; }, [](auto& events) { events.pop_back(); },
           [](auto& events) { events.push_back(events[0]); }}) {
    wrong_.clear();
    WatchChecker checker = Checker(all_);
    std::vector<Change> events = Of(all_, {2});
    spoil(events);
    checker.OnEvents(events, 0);
    checker.Check(oracle_.model());
    EXPECT_EQ(wrong(), 1u);
  }
}

TEST_F(StoryTest, WrongPreviousValuesAreFound) {
  const auto told = [&](auto spoil, int64_t compacted) {
    wrong_.clear();
    WatchChecker checker = Checker(all_, 3);
    std::vector<Change> events = Of(all_, {3});
    spoil(events[0].previous);
    checker.OnEvents(events, compacted);
    checker.Check(oracle_.model());
    return wrong();
  };
  EXPECT_EQ(told([](auto& previous) { previous->tag++; }, 0), 1u);
  EXPECT_EQ(told([](auto& previous) { previous.reset(); }, 2), 1u);
  // Compaction at the revision itself may have taken it away.
  EXPECT_EQ(told([](auto& previous) { previous.reset(); }, 3), 0u);
  EXPECT_EQ(told([](auto& previous) { previous->tag++; }, 3), 1u);
}

TEST_F(StoryTest, AFalsePromiseIsFound) {
  WatchChecker checker = Checker({.from = 20, .to = 21});
  checker.OnEvents(Of(checker.interest(), {2, 4}), 0);
  checker.OnProgress(4);
  checker.Check(oracle_.model());
  EXPECT_EQ(wrong(), 0u);
  checker.OnProgress(5);
  checker.Check(oracle_.model());
  EXPECT_EQ(wrong(), 1u);
}

// Revision 6 puts key 10: that is the last that the first of these two watchers is told. The other
// one was told of revision 4, and knows of the next two only by a promise.
TEST_F(StoryTest, AStreamOfAWatcherThatWaitsIsNotOwedAPromise) {
  WatchChecker told = Checker({.from = 10, .to = 11}), quiet = Checker({.from = 15, .to = 25});
  told.OnEvents(Of(told.interest(), {2, 3, 4, 6}), 0);
  quiet.OnEvents(Of(quiet.interest(), {2, 4}), 0);
  const auto reached = [&](int64_t told_from, Promises promises) {
    told.Check(oracle_.model());
    quiet.Check(oracle_.model());
    return Reached(oracle_.model(), {{&told, told_from}, {&quiet, 5}}, 6, promises);
  };
  // Of revision 5, a put of key 20, it has not been told.
  EXPECT_FALSE(reached(7, Promises::kToStreams));
  quiet.OnEvents(Of(quiet.interest(), {5}), 0);
  EXPECT_FALSE(reached(2, Promises::kToStreams));  // all of the stream are where the store is
  EXPECT_FALSE(reached(7, Promises::kToEach));
  EXPECT_TRUE(reached(7, Promises::kToStreams));
  quiet.OnProgress(6);
  EXPECT_TRUE(reached(2, Promises::kToStreams));
  EXPECT_TRUE(reached(7, Promises::kToEach));
  EXPECT_FALSE(Reached(oracle_.model(), {{&told, 8}}, 7, Promises::kToStreams));  // not known
  EXPECT_EQ(wrong(), 0u);
}

TEST_F(StoryTest, ChecksWaitForTheModel) {
  WatchChecker checker = Checker(all_);
  checker.OnEvents(Of(all_, {2, 3, 4, 5, 6}), 0);
  std::vector<Change> next = oracle_.model().Effect(Puts(6, {5}));
  checker.OnEvents(next, 0);
  checker.Check(oracle_.model());
  EXPECT_EQ(checker.checked(), 6);
  Happens(Puts(6, {5}));
  checker.Check(oracle_.model());
  EXPECT_EQ(checker.checked(), 7);
  EXPECT_EQ(wrong(), 0u);
}

TEST_F(StoryTest, LostAnswersMayHaveHappened) {
  for (const Request& request : {Puts(6, {1}), DeletesRange(7, 0, 5), Puts(8, {2})})
    oracle_.Sent(request);
  oracle_.Lost(6);
  oracle_.Lost(7);
  EXPECT_TRUE(oracle_.Observe(7, oracle_.model().Effect(Puts(6, {1}))));
  oracle_.Done(8, 9);
  EXPECT_EQ(oracle_.owed(), 1u);
  EXPECT_TRUE(oracle_.Observe(8, oracle_.model().Effect(DeletesRange(7, 0, 5))));
  EXPECT_TRUE(oracle_.Observe(9, oracle_.model().Effect(Puts(8, {2}))));
  EXPECT_EQ(oracle_.owed(), 0u);
  EXPECT_EQ(wrong(), 0u);
}

TEST_F(StoryTest, WritesOutOfNowhereAreFound) {
  EXPECT_FALSE(oracle_.Observe(7, oracle_.model().Effect(Puts(9, {1}))));
  // Request 5 has happened already.
  EXPECT_FALSE(oracle_.Observe(7, oracle_.model().Effect(Puts(5, {10}))));
  oracle_.Sent(Puts(6, {1}));
  EXPECT_FALSE(oracle_.Observe(8, oracle_.model().Effect(Puts(6, {1}))));
  EXPECT_EQ(wrong(), 3u);
}

TEST_F(StoryTest, AnswersThatDoNotFitAreFound) {
  oracle_.Sent(Puts(6, {1}));
  EXPECT_TRUE(oracle_.Observe(7, oracle_.model().Effect(Puts(6, {1}))));
  oracle_.Done(6, 8);
  EXPECT_EQ(wrong(), 1u);
}

TEST_F(StoryTest, OfTwoEqualDeletionsTheLostOneIsNotTakenForTheOther) {
  oracle_.Sent(Puts(6, {1}));
  EXPECT_TRUE(oracle_.Observe(7, oracle_.model().Effect(Puts(6, {1}))));
  oracle_.Done(6, 7);
  for (uint64_t id : {uint64_t{7}, uint64_t{8}}) oracle_.Sent(DeletesRange(id, 0, 5));
  oracle_.Lost(7);
  oracle_.Done(8, 8);
  EXPECT_TRUE(oracle_.Observe(8, oracle_.model().Effect(DeletesRange(8, 0, 5))));
  EXPECT_EQ(oracle_.owed(), 0u);
  EXPECT_TRUE(oracle_.Observe(9, oracle_.model().Effect(DeletesRange(7, 0, 5))));
  EXPECT_EQ(wrong(), 0u);
}

}  // namespace
}  // namespace quoin::watch_check

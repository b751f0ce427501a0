#include "lease/expiry_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace quoin::lease {
namespace {

TEST(ExpiryQueueTest, TakesWhatHasEndedAndNothingElse) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  ExpiryQueue queue;
  std::map<int64_t, int64_t> model;
  int64_t now = 0;
  for (int step = 0; step < 50000; ++step) {
    const int64_t id = random() % 200;
    switch (random() % 4) {
      case 0:
      case 1: {  // later, and sometimes sooner
        const int64_t at = now + random() % 100;
        queue.Set(id, at);
        model[id] = at;
        break;
      }
      case 2:
        queue.Erase(id);
        model.erase(id);
        break;
      default: {
        now += random() % 20;
        std::set<int64_t> expected;
        for (const auto& [lease, at] : model) {
          if (at <= now) expected.insert(lease);
        }
        if (!expected.empty()) {
          ASSERT_NE(queue.NextAt(), nullptr);
          ASSERT_LE(*queue.NextAt(), now);
        }
        const std::vector<int64_t> taken = queue.TakeExpired(now, SIZE_MAX);
        ASSERT_EQ(std::set<int64_t>(taken.begin(), taken.end()), expected);
        ASSERT_EQ(taken.size(), expected.size());
        for (int64_t lease : taken) model.erase(lease);
      }
    }
    ASSERT_EQ(queue.size(), model.size());
  }
}

TEST(ExpiryQueueTest, LooksAtNoMoreThanItIsAskedFor) {
  ExpiryQueue queue;
  for (int64_t id = 0; id < 100; ++id) queue.Set(id, 5);
  EXPECT_EQ(queue.TakeExpired(10, 30).size(), 30u);
  EXPECT_EQ(queue.TakeExpired(10, 30).size(), 30u);
  EXPECT_EQ(queue.size(), 40u);

  queue.Clear();
  for (int64_t id = 0; id < 100; ++id) queue.Set(id, 5);
  for (int64_t id = 0; id < 100; ++id) queue.Set(id, 20);  // renewed: nothing has ended
  EXPECT_TRUE(queue.TakeExpired(10, 30).empty());
  EXPECT_LE(*queue.NextAt(), 10);  // 70 more to look at
  EXPECT_TRUE(queue.TakeExpired(10, 100).empty());
  EXPECT_EQ(*queue.NextAt(), 20);
}

TEST(ExpiryQueueTest, HoldsNoMoreForLeasesThatAreGoneThanForThoseThatAre) {
  ExpiryQueue queue;
  for (int64_t id = 0; id < 100'000; ++id) {
    queue.Set(id, 1'000'000 - id);
    if (id >= 10) queue.Erase(id);
    ASSERT_LE(queue.queued(), 2 * queue.size() + ExpiryQueue::kOutdatedMin);
  }
  for (int64_t at = 500'000; at > 0; --at) {  // sooner and sooner
    queue.Set(at % 10, at);
    ASSERT_LE(queue.queued(), 2 * queue.size() + ExpiryQueue::kOutdatedMin);
  }
  std::vector<int64_t> taken = queue.TakeExpired(10, SIZE_MAX);
  EXPECT_EQ(std::set<int64_t>(taken.begin(), taken.end()),
            (std::set<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

}  // namespace
}  // namespace quoin::lease

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

TEST(ExpiryQueueTest, TakesNoMoreThanItIsAskedFor) {
  ExpiryQueue queue;
  for (int64_t id = 0; id < 100; ++id) queue.Set(id, 5);
  EXPECT_EQ(queue.TakeExpired(10, 30).size(), 30u);
  EXPECT_EQ(queue.TakeExpired(10, 30).size(), 30u);
  EXPECT_EQ(queue.size(), 40u);
}

}  // namespace
}  // namespace quoin::lease

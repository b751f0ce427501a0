#include "base/lifeline.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"

namespace quoin {
namespace {

TEST(Lifeline, WhatIsTiedRunsWhileItLives) {
  std::optional<Lifeline> line(std::in_place);
  std::string heard;
  absl::AnyInvocable<void(std::string)> tied =
      line->Tie([&heard](const std::string& word) { heard += word; });
  const Lifeline::Sign sign = line->sign();
  tied("a");
  EXPECT_TRUE(sign.alive());
  line.reset();
  tied("b");
  EXPECT_EQ(heard, "a");
  EXPECT_FALSE(sign.alive());
  EXPECT_FALSE(Lifeline::Sign().alive());
}

TEST(Lifeline, IsCutForGood) {
  int runs = 0;
  Lifeline line;
  std::function<void()> before = line.Tie([&runs] { ++runs; });
  line.Cut();
  std::function<void()> after = line.Tie([&runs] { ++runs; });
  before();
  after();
  EXPECT_EQ(runs, 0);
  EXPECT_FALSE(line.sign().alive());
  Lifeline never_tied;
  never_tied.Cut();
  never_tied.Tie([&runs] { ++runs; })();
  EXPECT_EQ(runs, 0);
}

TEST(Lifeline, MovesWithWhatIsTiedToIt) {
  int first = 0, second = 0;
  Lifeline one;
  std::function<void()> to_one = one.Tie([&first] { ++first; });
  Lifeline other;
  std::function<void()> to_other = other.Tie([&second] { ++second; });
  Lifeline moved = std::move(one);
  to_one();
  EXPECT_EQ(first, 1);
  moved = std::move(other);  // gives up what was waited for before
  to_one();
  to_other();
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
}

// The callback may destroy its owner.
TEST(Lifeline, EndsInsideItsOwnCallback) {
  std::optional<Lifeline> line(std::in_place);
  int runs = 0;
  std::function<void()> tied = line->Tie([&] {
    ++runs;
    line.reset();
  });
  tied();
  tied();
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace quoin

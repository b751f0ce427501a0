// The end of a process that cannot go on: who hears of it, and what stands on stderr.

#include "base/check.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "base/last_words.h"

namespace quoin {
namespace {

void Hear(std::string_view what, std::string_view why) {
  std::fprintf(stderr, "heard %s: %s\n", std::string(what).c_str(), std::string(why).c_str());
}

TEST(LastWords, OfAFailedCheckAreHeardAndStandOnStderr) {
  EXPECT_DEATH(
      {
        SetLastWords(Hear);
        CHECK_EQ(1, 2) << "of three";
      },
      "heard a check failed: .*check_test.cc:[0-9]+: CHECK failed: \\(1\\)==\\(2\\): .*of three\n"
      ".*check_test.cc:[0-9]+: CHECK failed");
}

TEST(LastWords, OfADiskErrorAreHeardAndStandLast) {
  EXPECT_EXIT(
      {
        SetLastWords(Hear);
        DieOnDiskError("fsync x: no");
      },
      testing::ExitedWithCode(1),
      "heard disk error: fsync x: no\nquoin: disk error: fsync x: no\n$");
}

// What hears may fail itself: the process ends all the same.
TEST(LastWords, AreSaidOnce) {
  EXPECT_DEATH(
      {
        SetLastWords([](std::string_view, std::string_view) { CHECK(false) << "inner"; });
        CHECK(false) << "outer";
      },
      "CHECK failed: false: inner");
}

}  // namespace
}  // namespace quoin

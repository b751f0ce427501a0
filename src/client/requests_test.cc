#include "client/requests.h"

#include <gtest/gtest.h>

namespace quoin::client {
namespace {

const std::string kZero(1, '\0');

TEST(PrefixEndTest, IsTheNextKeyAfterThePrefix) {
  EXPECT_EQ(PrefixEnd("a"), "b");
  EXPECT_EQ(PrefixEnd("ab/"), "ab0");
  EXPECT_EQ(PrefixEnd("a\xff"), "b");
  EXPECT_EQ(PrefixEnd("a\xff\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff\xff"), kZero);
  EXPECT_EQ(PrefixEnd(""), kZero);
  EXPECT_EQ(PrefixEnd("\x7f"), "\x80");
}

}  // namespace
}  // namespace quoin::client

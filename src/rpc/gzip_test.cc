#include "rpc/gzip.h"

#include <gtest/gtest.h>

namespace quoin::rpc {
namespace {

TEST(Gzip, IsTakenByThoseThatSaySo) {
  for (const char* yes : {"gzip", "deflate, gzip", "deflate,gzip;q=0.5", "gzip;q=1.0, br"})
    EXPECT_TRUE(TakesGzip(yes)) << yes;
  for (const char* no :
       {"", "*", "deflate", "gzip;q=0", "gzip; q=0.000", "xgzip", "br, deflate;q=0.1"})
    EXPECT_FALSE(TakesGzip(no)) << no;
}

TEST(Gzip, MakesPagesSmall) {
  const std::string page(100'000, 'x');
  const std::string packed = Gzip(page);
  EXPECT_EQ(packed.substr(0, 2), "\x1f\x8b");
  EXPECT_LT(packed.size(), 2000u);
}

}  // namespace
}  // namespace quoin::rpc

#include <gtest/gtest.h>

#include <deque>

#include "base/crc32c.h"
#include "base/epoch.h"
#include "base/memory.h"
#include "base/prng.h"
#include "base/shared_bytes.h"
#include "base/version.h"
#include "base/wire.h"

namespace quoin {
namespace {

TEST(Crc32c, KnownAnswersAndChaining) {
  EXPECT_EQ(Crc32c(0, "123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(Crc32c(0, "1234"), "56789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(0, ""), 0u);
}

TEST(Wire, RoundTripsFields) {
  std::string out;
  wire::PutUint(out, 1, 300);
  wire::PutBytes(out, 100, "abc");
  wire::PutUint(out, 2, UINT64_MAX);
  wire::Reader reader(out);
  wire::Field f;
  ASSERT_TRUE(reader.Next(f));
  EXPECT_EQ(f.number, 1u);
  EXPECT_EQ(f.varint, 300u);
  ASSERT_TRUE(reader.Next(f));
  EXPECT_EQ(f.number, 100u);
  EXPECT_EQ(f.bytes, "abc");
  ASSERT_TRUE(reader.Next(f));
  EXPECT_EQ(f.int64(), -1);
  EXPECT_FALSE(reader.Next(f));
  EXPECT_TRUE(reader.ok());
}

TEST(Wire, RefusesMalformedInput) {
  for (std::string_view bad :
       {std::string_view("\x0a\x05"
                         "ab",
                         4),
        std::string_view("\x08", 1), std::string_view("\x00\x01", 2), std::string_view("\x0b", 1),
        std::string_view("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11)}) {
    wire::Reader reader(bad);
    for (wire::Field f; reader.Next(f);) {
    }
    EXPECT_FALSE(reader.ok());
  }
}

TEST(Wire, TellsGroupsAsOneField) {
  // Field 5: a group of a varint, bytes, and a group of a fixed one; then field 1.
  const std::string_view message("\x2b\x08\x01\x12\x01x\x33\x0d____\x34\x2c\x08\x07", 16);
  wire::Reader reader(message);
  wire::Field f;
  ASSERT_TRUE(reader.Next(f));
  EXPECT_EQ(f.number, 5u);
  EXPECT_EQ(f.type, wire::Type::kGroup);
  EXPECT_EQ(f.bytes.size(), 13u);
  ASSERT_TRUE(reader.Next(f));
  EXPECT_EQ(f.varint, 7u);
  EXPECT_FALSE(reader.Next(f));
  EXPECT_TRUE(reader.ok());
}

TEST(Wire, RefusesGroupsThatDoNotEndOrAreTooDeep) {
  for (const std::string& bad :
       {std::string("\x2b"), std::string("\x2b\x34"), std::string("\x2c"), std::string("\x2b\x08"),
        std::string("\x2b\x0f\x2c"), std::string(10'001, '\x2b') + std::string(10'001, '\x2c')}) {
    wire::Reader reader(bad);
    for (wire::Field f; reader.Next(f);) {
    }
    EXPECT_FALSE(reader.ok()) << bad.size();
  }
}

TEST(Wire, VarintSizes) {
  for (uint64_t v : {0ull, 1ull, 127ull, 128ull, 16383ull, 16384ull, 1ull << 63, ~0ull}) {
    std::string s;
    wire::PutVarint(s, v);
    EXPECT_EQ(s.size(), wire::VarintSize(v));
    std::string_view rest = s;
    EXPECT_EQ(wire::TakeVarint(rest), v);
    EXPECT_TRUE(rest.empty());
  }
}

TEST(SharedBytes, SharesOneBuffer) {
  SharedBytes a("hello");
  SharedBytes b = a;
  EXPECT_EQ(a.data(), b.data());
  a = SharedBytes();
  EXPECT_EQ(b.view(), "hello");
  EXPECT_TRUE(a.empty());
}

TEST(Memory, ChargesGoUpThroughTheAccountsAndBackWhenTheyEnd) {
  MemoryBudget budget(1 << 20);
  {
    MemoryAccount loop(budget);
    MemoryAccount connection(loop);
    MemoryCharge first(connection), second(connection);
    first.Set(100);
    second.Set(1 << 20);
    EXPECT_EQ(connection.used(), (1u << 20) + 100);
    EXPECT_EQ(loop.used(), connection.used());
    EXPECT_TRUE(budget.over());
    MemoryCharge taken = std::move(second);
    EXPECT_EQ(second.bytes(), 0u);
    taken.Set(MemoryAccount::kStepBytes);
    EXPECT_FALSE(budget.over());
    EXPECT_EQ(connection.used(), MemoryAccount::kStepBytes + 100u);
    first = std::move(taken);
    EXPECT_EQ(loop.used(), uint64_t{MemoryAccount::kStepBytes});
  }
  EXPECT_EQ(budget.used(), 0);
}

TEST(Memory, ABudgetIsOffByLessThanAStepPerAccount) {
  MemoryBudget budget(1 << 20);
  MemoryAccount account(budget);
  std::deque<MemoryCharge> charges;
  for (int i = 0; i < 10'000; ++i) {
    charges.emplace_back(account).Set(100);
    EXPECT_LT(std::abs(budget.used() - static_cast<int64_t>(account.used())),
              MemoryAccount::kStepBytes);
  }
  charges.clear();
}

TEST(Epoch, ReaderHoldsBackReuse) {
  EpochDomain domain;
  EpochDomain::ReaderSlot slot(domain);
  uint64_t before = domain.Advance();
  EXPECT_LT(before, domain.SafeEpoch());
  {
    EpochDomain::Guard guard(slot);
    uint64_t stamp = domain.Advance();
    EXPECT_GE(stamp, domain.SafeEpoch());
    EXPECT_LT(before, domain.SafeEpoch());
  }
  uint64_t stamp = domain.Advance();
  EXPECT_LT(stamp, domain.SafeEpoch());
}

TEST(Version, ParsesWhatServersSay) {
  EXPECT_EQ(ParseVersion("3.7.1"), (Version{3, 7, 1}));
  EXPECT_EQ(ParseVersion("3.6"), (Version{3, 6, 0}));
  EXPECT_EQ(ParseVersion("3.6.0-rc.1"), (Version{3, 6, 0}));
  EXPECT_LT(ParseVersion("3.9.0"), ParseVersion("3.10.0"));
  for (const char* bad : {"", "3", "3.", "x.y", "3.7.1x", "-3.1.0", "not_decided"})
    EXPECT_EQ(ParseVersion(bad), std::nullopt) << bad;
}

TEST(Prng, SameSeedSameNumbers) {
  Prng a(7), b(7), c(8);
  EXPECT_EQ(a.Next(), b.Next());
  EXPECT_NE(a.Next(), c.Next());
  for (int i = 0; i < 1000; ++i) EXPECT_LT(a.Below(10), 10u);
}

}  // namespace
}  // namespace quoin

// Deadlines and errors that come while a long answer is on its way: a client gets a whole message,
// or no part of one before a status.

#include <gtest/gtest.h>

#include <string>

#include "rpc/testing/raw_world.h"

namespace quoin::rpc {
namespace {

using namespace raw;
using namespace std::chrono_literals;

constexpr uint64_t kAnswerBytes = 800'000;
constexpr size_t kWindowBytes = 65'535;  // what a client takes that gives nothing back

// The payload of a SETTINGS frame with a window of nothing for each stream.
const std::string kNoWindow("\0\4\0\0\0\0", 6);

class LateAnswer : public testing::Test {
 protected:
  // A call whose deadline is 300 ms away, and what came of it half a second later.
  void Ask(RawClient& client, uint64_t announces, size_t appends, Status fails = OkStatus()) {
    world_.orders() = {.answers = true, .announces = announces, .appends = appends, .fails = fails};
    world_.Connect(client);
    world_.Send(client, RawWorld::Request(1, "/s/Unary", Literal("grpc-timeout", "300m")) +
                            Encode(kData, kEndStream, 1, RawWorld::Message()));
    world_.RunFor(500ms);
  }
  static size_t BodyBytes(const RawClient& client) {
    size_t bytes = 0;
    for (const Frame& frame : client.Of(kData)) bytes += frame.payload.size();
    return bytes;
  }
  static bool HasTrailers(const RawClient& client) {
    return std::ranges::any_of(client.Of(kHeaders),
                               [](const Frame& frame) { return (frame.flags & kEndStream) != 0; });
  }

  RawWorld world_;
};

TEST_F(LateAnswer, IsResetWhenAPartOfItHasLeft) {
  RawClient client;
  Ask(client, kAnswerBytes, 300'000);
  EXPECT_EQ(world_.seen().cancelled, 1u);
  EXPECT_EQ(BodyBytes(client), kWindowBytes);
  ASSERT_EQ(client.Of(kRstStream).size(), 1u);
  EXPECT_EQ(ErrorCode(client.Of(kRstStream)[0]), kCancel);
  EXPECT_FALSE(HasTrailers(client));
  // Nothing of it is kept for a window that opens later.
  world_.Send(client, Encode(kWindowUpdate, 0, 0, U32(1 << 20)));
  EXPECT_EQ(BodyBytes(client), kWindowBytes);
  world_.ExpectAnotherIsServed();
}

TEST_F(LateAnswer, IsTakenBackWhenNothingOfItHasLeft) {
  RawClient client(kNoWindow);
  Ask(client, kAnswerBytes, 300'000);
  EXPECT_EQ(world_.seen().cancelled, 1u);
  world_.Send(client, Encode(kWindowUpdate, 0, 1, U32(1 << 20)));
  EXPECT_EQ(BodyBytes(client), 0u);
  EXPECT_TRUE(client.Of(kRstStream).empty());
  EXPECT_TRUE(HasTrailers(client));
}

TEST_F(LateAnswer, IsSentToItsEndWhenItIsComplete) {
  RawClient client;
  Ask(client, kAnswerBytes, kAnswerBytes);
  EXPECT_FALSE(HasTrailers(client));
  world_.Send(client, Encode(kWindowUpdate, 0, 0, U32(1 << 20)) +
                          Encode(kWindowUpdate, 0, 1, U32(1 << 20)));
  EXPECT_EQ(BodyBytes(client), kMessagePrefixBytes + kAnswerBytes);
  EXPECT_TRUE(HasTrailers(client));
  EXPECT_TRUE(client.Of(kRstStream).empty());
}

TEST_F(LateAnswer, AnErrorAmidAMessageResetsToo) {
  RawClient client;
  Ask(client, kAnswerBytes, 300'000, absl::UnavailableError("gone"));
  ASSERT_EQ(client.Of(kRstStream).size(), 1u);
  EXPECT_EQ(ErrorCode(client.Of(kRstStream)[0]), 2u);  // INTERNAL_ERROR
  EXPECT_FALSE(HasTrailers(client));
}

}  // namespace
}  // namespace quoin::rpc

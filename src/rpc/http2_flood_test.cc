// What a client may send to no purpose, in frames that no library would send: it is stopped, its
// calls' work is given up, and others are served.

#include <gtest/gtest.h>

#include <algorithm>

#include "rpc/flood_guard.h"
#include "rpc/grpc_wire.h"
#include "rpc/request_headers.h"
#include "rpc/testing/raw_world.h"

namespace quoin::rpc {
namespace {

using namespace raw;  // the test speaks of frames only
using std::chrono::seconds;

class Http2Flood : public testing::Test {
 protected:
  Http2Flood() { world_.Connect(client_); }
  void Send(std::string bytes) { world_.Send(client_, std::move(bytes)); }
  void ExpectResets(size_t count, uint32_t code) {
    const std::vector<Frame> resets = client_.Of(kRstStream);
    EXPECT_EQ(resets.size(), count);
    for (const Frame& reset : resets) EXPECT_EQ(ErrorCode(reset), code) << reset.stream;
  }
  void ExpectGoAway(std::string_view why) {
    const std::vector<Frame> byes = client_.Of(kGoAway);
    ASSERT_EQ(byes.size(), 1u);
    EXPECT_EQ(ErrorCode(byes[0]), kEnhanceYourCalm);
    EXPECT_EQ(byes[0].payload.substr(8), why);
    EXPECT_TRUE(client_.closed());
    world_.ExpectAnotherIsServed();
  }
  static std::string Request(uint32_t stream, std::string_view path = "/s/Unary",
                             const std::string& more_headers = "") {
    return RawWorld::Request(stream, path, more_headers);
  }
  static std::string Message() { return RawWorld::Message(); }

  RawClient client_;
  RawWorld world_;
  Seen& seen_ = world_.seen();
};

// A field of 4 kB goes into HPACK's table; then every byte stands for it.
std::string Bomb(uint32_t stream, std::string_view value) {
  constexpr size_t kFrameBytes = 16384;
  std::string out = Encode(kHeaders, 0, stream,
                           RequestHead("/s/Unary") + Indexed("read", value) +
                               std::string(kFrameBytes - value.size() - 200, '\xbe'));
  for (int i = 1; i <= 8; ++i) {
    out +=
        Encode(kContinuation, i == 8 ? kEndHeaders : 0, stream, std::string(kFrameBytes, '\xbe'));
  }
  return out;
}

TEST_F(Http2Flood, ABombOfHeadersIsResetAndTheSecondEndsTheConnection) {
  Send(Bomb(1, std::string(4000, 'v')));
  ExpectResets(1, kEnhanceYourCalm);
  EXPECT_TRUE(client_.Of(kGoAway).empty());
  // The table is as the client believes it to be: another call may use it.
  Send(Encode(kHeaders, kEndHeaders, 3, RequestHead("/s/Unary") + "\xbe"));
  EXPECT_EQ(seen_.started, 1u);
  EXPECT_EQ(seen_.last_metadata, std::string(64, 'v'));
  Send(Bomb(5, std::string(4000, 'v')));
  ExpectGoAway("too many headers");
  EXPECT_EQ(seen_.cancelled, 1u);
}

TEST_F(Http2Flood, FieldsWithoutValuesCountToo) {
  Send(Bomb(1, "") + Bomb(3, ""));
  EXPECT_EQ(seen_.started, 0u);
  ExpectGoAway("too many headers");
}

TEST_F(Http2Flood, TrailersOfARequestCountToo) {
  std::string many;
  for (int i = 0; i < 123; ++i) many += Literal("x", "");
  Send(Request(1) + Encode(kData, 0, 1, Message()) +
       Encode(kHeaders, kEndHeaders | kEndStream, 1, many));
  ExpectResets(1, kEnhanceYourCalm);
}

TEST_F(Http2Flood, HeadersThatEtcdResetsAreReset) {
  const std::string bad[] = {Literal("", "v"),          Literal("n", std::string("a\0b", 3)),
                             Literal("n", "a\rb"),      Literal("n", "a\nb"),
                             Literal("n", "a\x7f"),     Literal("N", "v"),
                             Literal("connection", ""), Literal("n m", "v"),
                             Literal(":path", "/")};
  uint32_t stream = 1;
  for (const std::string& field : bad) {
    Send(Request(stream, "/s/Unary", field));
    stream += 2;
  }
  ExpectResets(std::size(bad), kProtocolError);
  EXPECT_EQ(seen_.started, 0u);
  // As etcd, and against what nghttp2 thinks.
  Send(Request(stream, "/s/Unary", Literal("read", " v\xff ")));
  EXPECT_EQ(seen_.started, 1u);
  EXPECT_EQ(seen_.last_metadata, " v\xff ");
}

TEST_F(Http2Flood, ResetsThatTheServerMustSendCountLikeTheClients) {
  const std::string overflow = U32(0x7fffffff);
  for (uint32_t n = 0; n < kResetsBeyondCompletedMax; ++n) {
    const uint32_t stream = 2 * n + 1;
    Send(Request(stream) + Encode(kData, 0, stream, Message()) +
         Encode(kWindowUpdate, 0, stream, overflow));
  }
  ExpectResets(kResetsBeyondCompletedMax, kFlowControlError);
  EXPECT_EQ(seen_.cancelled, kResetsBeyondCompletedMax);
  EXPECT_TRUE(client_.Of(kGoAway).empty());
  const uint32_t last = 2 * kResetsBeyondCompletedMax + 1;
  Send(Request(last) + Encode(kWindowUpdate, 0, last, overflow));
  ExpectGoAway("too many stream resets");
}

TEST_F(Http2Flood, ResetsOfTheClientCount) {
  std::string all;
  for (uint32_t n = 0; n <= kResetsBeyondCompletedMax; ++n)
    all += Request(2 * n + 1) + Encode(kRstStream, 0, 2 * n + 1, U32(kCancel));
  Send(all);
  ExpectGoAway("too many stream resets");
  EXPECT_EQ(seen_.cancelled, seen_.started - 1);  // all but the other client's
}

TEST_F(Http2Flood, CallsThatWereAnsweredMayBeReset) {
  for (uint32_t n = 0; n <= 2 * kResetsBeyondCompletedMax; ++n) {
    world_.orders().answers = true;
    Send(Request(2 * n + 1) + Encode(kData, 0, 2 * n + 1, Message()));
    Send(Encode(kRstStream, 0, 2 * n + 1, U32(kCancel)));
  }
  EXPECT_TRUE(client_.Of(kGoAway).empty());
}

TEST_F(Http2Flood, UselessFramesEndTheConnection) {
  const std::string useless[] = {Encode(kData, 0, 1, ""), Encode(200, 0, 0, "what"),
                                 Encode(kPriority, 0, 1, std::string(5, '\0'))};
  Send(Request(1, "/s/Stream"));
  std::string all;
  for (uint64_t n = 0; n < kUselessFramesMax; ++n) all += useless[n % std::size(useless)];
  Send(all);
  EXPECT_TRUE(client_.Of(kGoAway).empty());
  EXPECT_EQ(seen_.cancelled, 0u);
  Send(useless[0]);
  ExpectGoAway("too many useless frames");
}

TEST_F(Http2Flood, ARequestThatDoesNotComeIsGivenUp) {
  Send(Request(1) + Request(3, "/s/Stream") + Request(5));
  Send(Encode(kData, kEndStream, 5, Message()) + Encode(kData, 0, 3, Message()));
  world_.RunFor(seconds(25));
  ExpectResets(0, 0);
  Send(Encode(kData, 0, 1, Message().substr(0, 2)));  // it does come, slowly
  Send(Request(7, "/s/Stream"));
  world_.RunFor(seconds(25));
  ExpectResets(0, 0);
  world_.RunFor(seconds(30));
  // Not the stream that has sent a request, nor the call that waits for its answer.
  ExpectResets(2, kCancel);
  std::vector<uint32_t> reset;
  for (const Frame& frame : client_.Of(kRstStream)) reset.push_back(frame.stream);
  std::sort(reset.begin(), reset.end());
  EXPECT_EQ(reset, (std::vector<uint32_t>{1, 7}));
  EXPECT_EQ(seen_.cancelled, 2u);
}

TEST_F(Http2Flood, AnAnsweredCallDoesNotWaitForTheClientsEnd) {
  world_.orders().answers = true;
  Send(Request(1) + Encode(kData, 0, 1, Message()));
  Send(Request(3, "/s/None"));
  ExpectResets(2, /*NO_ERROR*/ 0);
}

TEST_F(Http2Flood, PingsEndTheConnection) {
  for (int n = 0; n < kPingStrikesMax + 2; ++n) Send(Encode(kPing, 0, 0, "01234567"));
  ExpectGoAway("too_many_pings");
}

TEST(RequestHeaders, KeepsWhatIsReadAndCountsAll) {
  Seen seen;
  const TwoMethods methods(seen);
  RequestHeaders headers;
  EXPECT_EQ(headers.Add(&methods, "read", "first"), RequestHeaders::Verdict::kTaken);
  EXPECT_EQ(headers.Add(&methods, "read", "second"), RequestHeaders::Verdict::kTaken);
  EXPECT_EQ(headers.metadata("read"), "first");
  const std::string big(kHeaderListBytesMax / 2, 'x');
  EXPECT_EQ(headers.Add(&methods, "other", big), RequestHeaders::Verdict::kTaken);
  EXPECT_EQ(headers.metadata("other"), std::nullopt);
  EXPECT_EQ(headers.bytes(), 5u);
  EXPECT_EQ(headers.Add(&methods, "other", big), RequestHeaders::Verdict::kTooMuch);
}

// One byte of HPACK may stand for 4 kB.
TEST(RequestHeaders, KeepsTheBeginningOfALongOne) {
  Seen seen;
  const TwoMethods methods(seen);
  RequestHeaders headers;
  const std::string path = "/" + std::string(200, 'p'), big(3900, 'x');
  EXPECT_EQ(headers.Add(&methods, "read", big), RequestHeaders::Verdict::kTaken);
  EXPECT_EQ(headers.Add(&methods, "content-type", big), RequestHeaders::Verdict::kTaken);
  EXPECT_EQ(headers.Add(&methods, ":path", path), RequestHeaders::Verdict::kTaken);
  EXPECT_EQ(headers.metadata("read"), std::string(64, 'x'));
  EXPECT_EQ(headers.content_type(), std::string(64, 'x'));
  EXPECT_EQ(headers.path(), path);
  EXPECT_EQ(headers.bytes(), 64u + 64u + path.size());
}

TEST(FrameMeter, CountsFramesHoweverTheyAreCut) {
  std::string bytes = std::string(kPreface) + Encode(kData, 0, 1, "x") + Encode(kData, 0, 1, "") +
                      Encode(kData, kEndStream, 1, "") + Encode(77, 0, 1, std::string(300, 'x')) +
                      Encode(kContinuation, 0, 1, "") + Encode(kPriority, 0, 1, "12345") +
                      Encode(kSettings, 1, 0, "");
  for (size_t step : {size_t{1}, size_t{7}, bytes.size()}) {
    FrameMeter meter;
    uint64_t useless = 0;
    for (size_t at = 0; at < bytes.size(); at += step)
      useless += meter.Take(std::string_view(bytes).substr(at, step));
    EXPECT_EQ(useless, 4u) << step;
  }
}

TEST(MessageReader, KeepsNoMoreThanWhatIsUnfinished) {
  MessageReader reader(1 << 20, "");
  const std::string message = MessagePrefix(1000) + std::string(1000, 'm');
  std::string rest = message.substr(0, 500);  // so that no piece ends with a message
  reader.Append(rest);
  for (int n = 0; n < 1000; ++n) {
    reader.Append(message.substr(500) + message.substr(0, 500));
    StatusOr<std::optional<std::string>> next = reader.Next();
    ASSERT_TRUE(next.ok() && *next && (*next)->size() == 1000);
    EXPECT_LT(reader.buffered_bytes(), 4 * message.size());
  }
}

// A call may wait long for its answer: the memory of its request does not wait with it.
TEST(MessageReader, HandsAMessageOutWithItsMemory) {
  constexpr size_t kBytes = 100'000, kStep = 16'384;
  MessageReader reader(1 << 20, "");
  const std::string message = MessagePrefix(kBytes) + std::string(kBytes, 'm');
  for (size_t at = 0; at < message.size(); at += kStep) {
    reader.Append(std::string_view(message).substr(at, kStep));
    EXPECT_LE(reader.buffered_bytes(), message.size());
  }
  StatusOr<std::optional<std::string>> next = reader.Next();
  ASSERT_TRUE(next.ok() && *next);
  EXPECT_EQ(**next, std::string(kBytes, 'm'));
  EXPECT_EQ(reader.buffered_bytes(), 0u);
  EXPECT_FALSE(reader.HasPartial());
}

TEST(MessageReader, SplitsWhatCameTogether) {
  MessageReader reader(1 << 20, "");
  const std::string big(10'000, 'b');
  reader.Append(MessagePrefix(1) + "a" + MessagePrefix(big.size()) + big + MessagePrefix(0) +
                MessagePrefix(2) + "c");
  for (const std::string& wanted : {std::string("a"), big, std::string()}) {
    StatusOr<std::optional<std::string>> next = reader.Next();
    ASSERT_TRUE(next.ok() && *next);
    EXPECT_EQ(**next, wanted);
  }
  EXPECT_FALSE(reader.Next().value().has_value());
  EXPECT_TRUE(reader.HasPartial());
  reader.Append("d");
  EXPECT_EQ(reader.Next().value(), "cd");
  EXPECT_FALSE(reader.HasPartial());
}

}  // namespace
}  // namespace quoin::rpc

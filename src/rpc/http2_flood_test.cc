// What a client may send to no purpose, in frames that no library would send: it is stopped, its
// calls' work is given up, and others are served.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "env/sim/sim_network.h"
#include "env/sim/sim_world.h"
#include "rpc/flood_guard.h"
#include "rpc/grpc_wire.h"
#include "rpc/request_headers.h"
#include "rpc/server.h"
#include "rpc/testing/raw_http2.h"

namespace quoin::rpc {
namespace {

using raw::Encode;
using raw::Frame;
using raw::Literal;
using raw::RequestHead;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kClient[] = "10.0.0.1", kServer[] = "10.0.0.2";
constexpr char kAddress[] = "10.0.0.2:2379";
constexpr uint32_t kProtocolError = 1, kFlowControlError = 3, kCancel = 8, kEnhanceYourCalm = 11;

// What the server's services saw.
struct Seen {
  size_t started = 0;
  size_t messages = 0;
  size_t cancelled = 0;
  std::string last_metadata;
};

// Waits for ever, or answers the first message when `answers`.
class OneCall final : public CallHandler {
 public:
  OneCall(ServerCall& call, Seen& seen, const bool& answers)
      : call_(call), seen_(seen), answers_(answers) {
    ++seen_.started;
    seen_.last_metadata = call.metadata("read").value_or("none");
  }
  void OnMessage(std::string_view) override {
    ++seen_.messages;
    if (!answers_) return;
    call_.Send("answer");
    call_.Finish(OkStatus());
  }
  void OnCancel(const Status&) override { ++seen_.cancelled; }

 private:
  ServerCall& call_;
  Seen& seen_;
  const bool& answers_;
};

class TwoMethods final : public GrpcDispatcher {
 public:
  explicit TwoMethods(Seen& seen) : seen_(seen) {}
  Method* Find(std::string_view path) override {
    if (path == "/s/Unary") return &unary_;
    return path == "/s/Stream" ? &stream_ : nullptr;
  }
  bool HasService(std::string_view service) const override { return service == "s"; }
  bool ReadsMetadata(std::string_view name) const override { return name == "read"; }
  bool answers = false;

 private:
  std::unique_ptr<CallHandler> Start(ServerCall& call) {
    return std::make_unique<OneCall>(call, seen_, answers);
  }
  Seen& seen_;
  Method unary_{CallKind::kUnary, [this](ServerCall& call) { return Start(call); }};
  Method stream_{CallKind::kBidi, [this](ServerCall& call) { return Start(call); }};
};

// A connection on which the test writes what it wants.
class RawClient final : public env::Connection::Handler {
 public:
  void Begin(std::unique_ptr<env::Connection> connection) {
    connection_ = std::move(connection);
    connection_->Start(*this);
    Write(std::string(raw::kPreface) + Encode(raw::kSettings, 0, 0, ""));
  }
  void Write(std::string bytes) { connection_->Write(std::move(bytes)); }
  // Frames of one type that came, by stream.
  std::vector<Frame> Of(uint8_t type) const {
    std::vector<Frame> out;
    std::copy_if(frames_.begin(), frames_.end(), std::back_inserter(out),
                 [type](const Frame& frame) { return frame.type == type; });
    return out;
  }
  bool closed() const { return closed_; }

 private:
  void OnData(std::string_view data) override {
    for (Frame& frame : reader_.Take(data)) frames_.push_back(std::move(frame));
  }
  void OnClosed(Status) override { closed_ = true; }
  std::unique_ptr<env::Connection> connection_;
  raw::FrameReader reader_;
  std::vector<Frame> frames_;
  bool closed_ = false;
};

class Http2Flood : public testing::Test {
 protected:
  Http2Flood()
      : network_(world_),
        client_disk_(&world_),
        server_disk_(&world_),
        client_env_(world_, client_disk_, network_, kClient),
        server_env_(world_, server_disk_, network_, kServer),
        client_loop_(client_env_.NewExecutor("client")),
        server_loop_(server_env_.NewExecutor("server")),
        methods_(seen_) {
    server_loop_->Post([this] {
      server_ = Server::New(server_env_, {server_loop_.get()}, {}, &methods_, nullptr, log_);
      EXPECT_TRUE(server_->Listen(kAddress, {}).ok());
    });
    world_.RunFor(seconds(1));
    Connect(client_);
  }

  void Connect(RawClient& client) {
    client_loop_->Post([this, &client] {
      network_.Connect(kAddress, seconds(5), *client_loop_,
                       [&client](StatusOr<std::unique_ptr<env::Connection>> made) {
                         ASSERT_TRUE(made.ok()) << made.status();
                         client.Begin(*std::move(made));
                       });
    });
    world_.RunFor(seconds(1));
  }
  // Sends, and gives it time to be read and answered.
  void Send(std::string bytes) {
    client_loop_->Post([this, bytes = std::move(bytes)] { client_.Write(bytes); });
    world_.RunFor(milliseconds(500));
  }
  std::string Request(uint32_t stream, std::string_view path = "/s/Unary",
                      const std::string& more_headers = "") {
    return Encode(raw::kHeaders, raw::kEndHeaders, stream, RequestHead(path) + more_headers);
  }
  static std::string Message() { return MessagePrefix(3) + "abc"; }

  void ExpectResets(size_t count, uint32_t code) {
    const std::vector<Frame> resets = client_.Of(raw::kRstStream);
    EXPECT_EQ(resets.size(), count);
    for (const Frame& reset : resets) EXPECT_EQ(raw::ErrorCode(reset), code) << reset.stream;
  }
  void ExpectGoAway(std::string_view why) {
    const std::vector<Frame> byes = client_.Of(raw::kGoAway);
    ASSERT_EQ(byes.size(), 1u);
    EXPECT_EQ(raw::ErrorCode(byes[0]), kEnhanceYourCalm);
    EXPECT_EQ(byes[0].payload.substr(8), why);
    EXPECT_TRUE(client_.closed());
    ExpectAnotherIsServed();
  }
  void ExpectAnotherIsServed() {
    methods_.answers = true;
    RawClient other;
    Connect(other);
    client_loop_->Post(
        [&] { other.Write(Request(1) + Encode(raw::kData, raw::kEndStream, 1, Message())); });
    world_.RunFor(seconds(1));
    EXPECT_EQ(other.Of(raw::kData).size(), 1u);
    EXPECT_FALSE(other.closed());
  }

  env::SimWorld world_{1};
  env::SimNetwork network_;
  env::SimDisk client_disk_, server_disk_;
  env::SimEnv client_env_, server_env_;
  std::unique_ptr<env::Executor> client_loop_, server_loop_;
  NullLogger log_;
  Seen seen_;
  TwoMethods methods_;
  RawClient client_;
  std::unique_ptr<Server> server_;
};

// A field of 4 kB goes into HPACK's table; then every byte stands for it.
std::string Bomb(uint32_t stream, std::string_view value) {
  constexpr size_t kFrameBytes = 16384;
  std::string out = Encode(raw::kHeaders, 0, stream,
                           RequestHead("/s/Unary") + raw::Indexed("read", value) +
                               std::string(kFrameBytes - value.size() - 200, '\xbe'));
  for (int i = 1; i <= 8; ++i) {
    out += Encode(raw::kContinuation, i == 8 ? raw::kEndHeaders : 0, stream,
                  std::string(kFrameBytes, '\xbe'));
  }
  return out;
}

TEST_F(Http2Flood, ABombOfHeadersIsResetAndTheSecondEndsTheConnection) {
  Send(Bomb(1, std::string(4000, 'v')));
  ExpectResets(1, kEnhanceYourCalm);
  EXPECT_TRUE(client_.Of(raw::kGoAway).empty());
  // The table is as the client believes it to be: another call may use it.
  Send(Encode(raw::kHeaders, raw::kEndHeaders, 3, RequestHead("/s/Unary") + "\xbe"));
  EXPECT_EQ(seen_.started, 1u);
  EXPECT_EQ(seen_.last_metadata, std::string(4000, 'v'));
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
  Send(Request(1) + Encode(raw::kData, 0, 1, Message()) +
       Encode(raw::kHeaders, raw::kEndHeaders | raw::kEndStream, 1, many));
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
  const std::string overflow = raw::U32(0x7fffffff);
  for (uint32_t n = 0; n < kResetsBeyondCompletedMax; ++n) {
    const uint32_t stream = 2 * n + 1;
    Send(Request(stream) + Encode(raw::kData, 0, stream, Message()) +
         Encode(raw::kWindowUpdate, 0, stream, overflow));
  }
  ExpectResets(kResetsBeyondCompletedMax, kFlowControlError);
  EXPECT_EQ(seen_.cancelled, kResetsBeyondCompletedMax);
  EXPECT_TRUE(client_.Of(raw::kGoAway).empty());
  const uint32_t last = 2 * kResetsBeyondCompletedMax + 1;
  Send(Request(last) + Encode(raw::kWindowUpdate, 0, last, overflow));
  ExpectGoAway("too many stream resets");
}

TEST_F(Http2Flood, ResetsOfTheClientCount) {
  std::string all;
  for (uint32_t n = 0; n <= kResetsBeyondCompletedMax; ++n)
    all += Request(2 * n + 1) + Encode(raw::kRstStream, 0, 2 * n + 1, raw::U32(kCancel));
  Send(all);
  ExpectGoAway("too many stream resets");
  EXPECT_EQ(seen_.cancelled, seen_.started - 1);  // all but the other client's
}

TEST_F(Http2Flood, CallsThatWereAnsweredMayBeReset) {
  for (uint32_t n = 0; n <= 2 * kResetsBeyondCompletedMax; ++n) {
    methods_.answers = true;
    Send(Request(2 * n + 1) + Encode(raw::kData, 0, 2 * n + 1, Message()));
    Send(Encode(raw::kRstStream, 0, 2 * n + 1, raw::U32(kCancel)));
  }
  EXPECT_TRUE(client_.Of(raw::kGoAway).empty());
}

TEST_F(Http2Flood, UselessFramesEndTheConnection) {
  const std::string useless[] = {Encode(raw::kData, 0, 1, ""), Encode(200, 0, 0, "what"),
                                 Encode(raw::kPriority, 0, 1, std::string(5, '\0'))};
  Send(Request(1, "/s/Stream"));
  std::string all;
  for (uint64_t n = 0; n < kUselessFramesMax; ++n) all += useless[n % std::size(useless)];
  Send(all);
  EXPECT_TRUE(client_.Of(raw::kGoAway).empty());
  EXPECT_EQ(seen_.cancelled, 0u);
  Send(useless[0]);
  ExpectGoAway("too many useless frames");
}

TEST_F(Http2Flood, ARequestThatDoesNotComeIsGivenUp) {
  Send(Request(1) + Request(3, "/s/Stream") + Request(5));
  Send(Encode(raw::kData, raw::kEndStream, 5, Message()));
  world_.RunFor(seconds(25));
  ExpectResets(0, 0);
  Send(Encode(raw::kData, 0, 1, Message().substr(0, 2)));  // it does come, slowly
  world_.RunFor(seconds(25));
  ExpectResets(0, 0);
  world_.RunFor(seconds(30));
  // Not the stream of requests, nor the one that waits for its answer.
  ExpectResets(1, kCancel);
  EXPECT_EQ(client_.Of(raw::kRstStream)[0].stream, 1u);
  EXPECT_EQ(seen_.cancelled, 1u);
}

TEST_F(Http2Flood, AnAnsweredCallDoesNotWaitForTheClientsEnd) {
  methods_.answers = true;
  Send(Request(1) + Encode(raw::kData, 0, 1, Message()));
  Send(Request(3, "/s/None"));
  ExpectResets(2, /*NO_ERROR*/ 0);
}

TEST_F(Http2Flood, PingsEndTheConnection) {
  for (int n = 0; n < kPingStrikesMax + 2; ++n) Send(Encode(raw::kPing, 0, 0, "01234567"));
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

TEST(FrameMeter, CountsFramesHoweverTheyAreCut) {
  std::string bytes = std::string(raw::kPreface) + Encode(raw::kData, 0, 1, "x") +
                      Encode(raw::kData, 0, 1, "") + Encode(raw::kData, raw::kEndStream, 1, "") +
                      Encode(77, 0, 1, std::string(300, 'x')) +
                      Encode(raw::kContinuation, 0, 1, "") + Encode(raw::kPriority, 0, 1, "12345") +
                      Encode(raw::kSettings, 1, 0, "");
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

}  // namespace
}  // namespace quoin::rpc

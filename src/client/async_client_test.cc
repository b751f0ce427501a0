#include "client/async_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "base/errors.h"
#include "client/testing/manual_loop.h"

namespace quoin::client {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing_support::ManualLoop;

// What the endpoints do with calls: a script of answers, and a record of what was asked.
struct Servers {
  struct Answer {
    StatusOr<std::string> result;
    env::Duration delay{};
  };
  std::map<std::string, std::deque<Answer>> answers;  // by address; the last one repeats
  std::map<std::string, Answer> dials;                // by address; ready from the start without
  std::vector<std::string> dialed, probed;
  std::vector<std::string> seen;  // "address method token"
};

class FakeChannel : public rpc::Channel {
 public:
  FakeChannel(ManualLoop& loop, Servers& servers, std::string address)
      : loop_(loop), servers_(servers), address_(std::move(address)) {}

  bool ready() const override { return ready_ || !servers_.dials.contains(address_); }
  void Connect(absl::AnyInvocable<void(Status)> done) override {
    if (ready()) return done(OkStatus());
    servers_.dialed.push_back(address_);
    const Servers::Answer& answer = servers_.dials.at(address_);
    loop_.RunAfter(answer.delay,
                   [this, done = std::move(done), status = answer.result.status()]() mutable {
                     ready_ = status.ok();
                     done(status);
                   });
  }
  void Probe(env::Duration) override { servers_.probed.push_back(address_); }
  void Unary(std::string method, std::string, const rpc::CallOptions& options,
             absl::AnyInvocable<void(StatusOr<std::string>)> done) override {
    std::string token = "-";
    for (const auto& [name, value] : options.metadata) {
      if (name == "token") token = value;
    }
    servers_.seen.push_back(address_ + " " + method.substr(method.rfind('/') + 1) + " " + token);
    auto& script = servers_.answers[address_];
    ASSERT_FALSE(script.empty()) << address_;
    Servers::Answer answer = script.front();
    if (script.size() > 1) script.pop_front();
    // The channel keeps the call's deadline, as its contract says.
    if (options.timeout && answer.delay >= *options.timeout) {
      answer = {absl::DeadlineExceededError("too late"), *options.timeout};
    }
    loop_.RunAfter(answer.delay,
                   [done = std::move(done), result = answer.result]() mutable { done(result); });
  }

  std::unique_ptr<rpc::ClientStream> Stream(std::string, const rpc::CallOptions&,
                                            rpc::ClientStream::Handler&) override {
    return nullptr;
  }

 private:
  ManualLoop& loop_;
  Servers& servers_;
  const std::string address_;
  bool ready_ = false;
};

const Status kDown = absl::UnavailableError("connection error: refused");
const Status kBroken = absl::UnavailableError("stream reset");

class AsyncClientTest : public testing::Test {
 protected:
  std::unique_ptr<AsyncClient> NewClient(std::vector<std::string> addresses,
                                         std::string user = "") {
    ClientOptions options;
    for (const std::string& address : addresses)
      options.endpoints.push_back(*ParseEndpoint(address));
    options.user = user;
    return std::make_unique<AsyncClient>(loop_, options, [&](const Endpoint& endpoint) {
      return std::make_unique<FakeChannel>(loop_, servers_, endpoint.address);
    });
  }

  // Calls and returns "value", or "Code: message"; "waiting" when there is no answer after
  // `patience`.
  std::string Call(AsyncClient& client, const MethodInfo& method, AsyncClient::Timeout timeout,
                   env::Duration patience = 1min) {
    std::string outcome = "waiting";
    client.Unary(method, "request", timeout, [&](StatusOr<std::string> answer) {
      outcome = answer.ok() ? *answer : answer.status().ToString();
    });
    loop_.Advance(patience);
    return outcome;
  }

  static std::string Token(std::string_view token) {
    pb::AuthenticateResponse response;
    response.set_token(std::string(token));
    return response.SerializeAsString();
  }

  ManualLoop loop_;
  Servers servers_;
};

TEST_F(AsyncClientTest, ReadsGoToTheNextEndpoint) {
  servers_.answers = {{"a:1", {{kBroken}}}, {"b:1", {{kDown}}}, {"c:1", {{"value"}}}};
  const auto client = NewClient({"a:1", "b:1", "c:1"});
  EXPECT_EQ(Call(*client, kRange, 5s), "value");
  EXPECT_THAT(servers_.seen, ElementsAre("a:1 Range -", "b:1 Range -", "c:1 Range -"));
  // The endpoint that answered stays in use.
  EXPECT_EQ(Call(*client, kRange, 5s), "value");
  EXPECT_EQ(servers_.seen.back(), "c:1 Range -");
  EXPECT_EQ(servers_.seen.size(), 4u);
}

TEST_F(AsyncClientTest, WritesAreSentOnce) {
  servers_.answers = {{"a:1", {{kBroken}}}, {"b:1", {{"value"}}}};
  const auto client = NewClient({"a:1", "b:1"});
  EXPECT_EQ(Call(*client, kPut, 5s), kBroken.ToString());
  EXPECT_THAT(servers_.seen, ElementsAre("a:1 Put -"));
}

TEST_F(AsyncClientTest, WritesThatNeverLeftAreSentElsewhere) {
  servers_.answers = {{"a:1", {{kDown}}}, {"b:1", {{"value"}}}};
  const auto client = NewClient({"a:1", "b:1"});
  EXPECT_EQ(Call(*client, kPut, 5s), "value");
}

TEST_F(AsyncClientTest, WaitsForAServerThatIsStarting) {
  servers_.answers = {{"a:1", {{kDown}, {kDown}, {kDown}, {"value"}}}};
  const auto client = NewClient({"a:1"});
  EXPECT_EQ(Call(*client, kPut, 5s), "value");
  EXPECT_EQ(servers_.seen.size(), 4u);
}

TEST_F(AsyncClientTest, TheTimeoutBoundsAllAttempts) {
  servers_.answers = {{"a:1", {{kDown, 1ms}}}};
  const auto client = NewClient({"a:1"});
  EXPECT_EQ(Call(*client, kRange, 5s, 5001ms),
            "DEADLINE_EXCEEDED: context deadline exceeded; last error: connection error: refused");
  EXPECT_LT(servers_.seen.size(), 30u);  // and no hammering
  EXPECT_GT(servers_.seen.size(), 5u);
  EXPECT_EQ(loop_.timers(), 0u);
}

TEST_F(AsyncClientTest, ASlowServerMeetsTheDeadline) {
  servers_.answers = {{"a:1", {{"value", 1h}}}};
  const auto client = NewClient({"a:1"});
  EXPECT_EQ(Call(*client, kPut, 5s, 6s), "DEADLINE_EXCEEDED: context deadline exceeded");
}

TEST_F(AsyncClientTest, WithoutTimeoutItGivesUpReachingInTheEnd) {
  servers_.answers = {{"a:1", {{kDown}}}};
  const auto client = NewClient({"a:1"});
  std::optional<Status> outcome;
  client->Unary(kRange, "", std::nullopt,
                [&](StatusOr<std::string> answer) { outcome = answer.status(); });
  loop_.Advance(4s);
  EXPECT_EQ(outcome, std::nullopt);
  loop_.Advance(2s);
  EXPECT_EQ(outcome, kDown);
  EXPECT_EQ(loop_.timers(), 0u);
}

// The kernel of a stopped process takes connections, and nobody ever speaks on them.
const Servers::Answer kSilent{absl::UnavailableError("connection error: silent"), 2s};

TEST_F(AsyncClientTest, AnEndpointThatDoesNotGetReadyIsPassedOverByWritesToo) {
  servers_.dials = {{"a:1", kSilent}, {"b:1", {"", 10ms}}, {"c:1", {"", 10ms}}};
  servers_.answers = {{"b:1", {{"value"}}}};
  const auto client = NewClient({"a:1", "b:1", "c:1"});
  EXPECT_EQ(Call(*client, kPut, 5s, 70ms), "value");
  EXPECT_THAT(servers_.dialed, ElementsAre("a:1", "b:1"));
  EXPECT_THAT(servers_.seen, ElementsAre("b:1 Put -"));
  EXPECT_EQ(Call(*client, kPut, 5s, 1ms), "value");
  EXPECT_THAT(servers_.dialed, ElementsAre("a:1", "b:1"));
}

TEST_F(AsyncClientTest, ARefusedDialIsFollowedByTheNextAtOnce) {
  servers_.dials = {{"a:1", {kDown, 1ms}}, {"b:1", {kDown, 1ms}}, {"c:1", {"", 1ms}}};
  servers_.answers = {{"c:1", {{"value"}}}};
  const auto client = NewClient({"a:1", "b:1", "c:1"});
  EXPECT_EQ(Call(*client, kPut, 5s, 3ms), "value");
}

TEST_F(AsyncClientTest, WithNobodyReadyTheDeadlineEndsTheWait) {
  servers_.dials = {{"a:1", kSilent}};
  const auto client = NewClient({"a:1"});
  EXPECT_EQ(Call(*client, kPut, 1s, 1s), "DEADLINE_EXCEEDED: context deadline exceeded");
  EXPECT_EQ(Call(*client, kPut, 5s, 5s),
            "DEADLINE_EXCEEDED: context deadline exceeded; last error: connection error: silent");
  EXPECT_TRUE(servers_.seen.empty());
  loop_.Advance(3s);
  EXPECT_EQ(loop_.timers(), 0u);
}

TEST_F(AsyncClientTest, AReadWaitsForAHungEndpointForItsShareOnly) {
  servers_.answers = {{"a:1", {{"late", 1h}}}, {"b:1", {{"value"}}}, {"c:1", {{"value"}}}};
  const auto client = NewClient({"a:1", "b:1", "c:1"});
  EXPECT_EQ(Call(*client, kRange, 4s, 999ms), "waiting");
  loop_.Advance(1ms);
  EXPECT_THAT(servers_.seen, ElementsAre("a:1 Range -", "b:1 Range -"));
  EXPECT_THAT(servers_.probed, ElementsAre("a:1"));
  // Whatever comes next asks the one that answers.
  EXPECT_EQ(Call(*client, kPut, 4s, 0s), "value");
  EXPECT_EQ(servers_.seen.back(), "b:1 Put -");
}

TEST_F(AsyncClientTest, ASlowEndpointKeepsTheReadThatWentElsewhereToo) {
  servers_.answers = {{"a:1", {{"slow", 3s}}}, {"b:1", {{"slower", 1h}}}};
  const auto client = NewClient({"a:1", "b:1"});
  EXPECT_EQ(Call(*client, kRange, 5s, 3s), "slow");
  EXPECT_THAT(servers_.seen, ElementsAre("a:1 Range -", "b:1 Range -"));
  loop_.Advance(1h);  // b's answer comes to nobody
}

TEST_F(AsyncClientTest, AHungSingleEndpointIsTestedAndAskedAgainWhenItsConnectionEnds) {
  servers_.answers = {{"a:1", {{kBroken, 3s}, {"value"}}}};
  const auto client = NewClient({"a:1"});
  EXPECT_EQ(Call(*client, kRange, 5s, 2500ms), "waiting");
  EXPECT_THAT(servers_.probed, ElementsAre("a:1"));
  EXPECT_EQ(Call(*client, kStatus, 5s, 1s), "value");
  EXPECT_EQ(servers_.seen.size(), 3u);
}

TEST_F(AsyncClientTest, AWriteToAHungEndpointIsSentOnceAndTheNextOneElsewhere) {
  servers_.answers = {{"a:1", {{"late", 1h}}}, {"b:1", {{"value"}}}};
  const auto client = NewClient({"a:1", "b:1"});
  EXPECT_EQ(Call(*client, kPut, 5s, 5s), "DEADLINE_EXCEEDED: context deadline exceeded");
  EXPECT_THAT(servers_.seen, ElementsAre("a:1 Put -"));
  EXPECT_EQ(Call(*client, kPut, 5s, 0s), "value");
  EXPECT_THAT(servers_.seen, ElementsAre("a:1 Put -", "b:1 Put -"));
}

TEST_F(AsyncClientTest, CallsThatFailTogetherMoveOnByOneEndpoint) {
  servers_.answers = {{"a:1", {{kBroken, 1s}}}, {"b:1", {{"value"}}}, {"c:1", {{kDown}}}};
  const auto client = NewClient({"a:1", "b:1", "c:1"});
  int answers = 0;
  for (int i = 0; i < 3; ++i) {
    client->Unary(kRange, "", 20s,
                  [&](StatusOr<std::string> answer) { answers += answer.ok() ? 1 : 0; });
  }
  loop_.Advance(1s);
  EXPECT_EQ(answers, 3);
  EXPECT_EQ(servers_.seen.size(), 6u);
}

TEST_F(AsyncClientTest, OtherErrorsAreFinal) {
  for (const Status& error :
       {errors::KeyNotProvided(), errors::Compacted(), absl::UnknownError("x")}) {
    servers_.answers = {{"a:1", {{error}, {"value"}}}};
    const auto client = NewClient({"a:1"});
    EXPECT_EQ(Call(*client, kRange, 5s), error.ToString());
  }
}

TEST_F(AsyncClientTest, LogsInBeforeTheFirstCall) {
  servers_.answers = {{"a:1", {{Token("t1")}, {"value"}}}};
  const auto client = NewClient({"a:1"}, "root");
  EXPECT_EQ(Call(*client, kPut, 5s), "value");
  EXPECT_THAT(servers_.seen, ElementsAre("a:1 Authenticate -", "a:1 Put t1"));
}

TEST_F(AsyncClientTest, CallsShareOneLogin) {
  servers_.answers = {{"a:1", {{Token("t1"), 1s}, {"value"}}}};
  const auto client = NewClient({"a:1"}, "root");
  int answers = 0;
  for (int i = 0; i < 3; ++i) {
    client->Unary(kRange, "", 5s,
                  [&](StatusOr<std::string> answer) { answers += answer.ok() ? 1 : 0; });
  }
  loop_.Advance(2s);
  EXPECT_EQ(answers, 3);
  EXPECT_EQ(servers_.seen.size(), 4u);
}

TEST_F(AsyncClientTest, LogsInAgainOnceWhenTheTokenIsRefused) {
  servers_.answers = {
      {"a:1", {{Token("t1")}, {errors::InvalidAuthToken()}, {Token("t2")}, {"value"}}}};
  const auto client = NewClient({"a:1"}, "root");
  EXPECT_EQ(Call(*client, kPut, 5s), "value");
  EXPECT_THAT(servers_.seen,
              ElementsAre("a:1 Authenticate -", "a:1 Put t1", "a:1 Authenticate -", "a:1 Put t2"));
  servers_.answers = {
      {"a:1", {{errors::InvalidAuthToken()}, {Token("t3")}, {errors::InvalidAuthToken()}}}};
  EXPECT_EQ(Call(*client, kPut, 5s), errors::InvalidAuthToken().ToString());
}

TEST_F(AsyncClientTest, AFailedLoginFailsTheCall) {
  servers_.answers = {{"a:1", {{errors::AuthFailed()}}}};
  const auto client = NewClient({"a:1"}, "root");
  Status status;
  client->Unary(kPut, "", 5s, [&](StatusOr<std::string> answer) { status = answer.status(); });
  loop_.Advance(1s);
  EXPECT_EQ(status.message(), errors::AuthFailed().message());
  EXPECT_TRUE(IsLoginFailure(status));
  EXPECT_FALSE(IsLoginFailure(errors::AuthFailed()));
}

TEST_F(AsyncClientTest, NeedsNoLoginWhereNobodyAsksForOne) {
  servers_.answers = {{"a:1", {{errors::AuthNotEnabled()}, {"value"}}}};
  const auto client = NewClient({"a:1"}, "root");
  EXPECT_EQ(Call(*client, kPut, 5s), "value");
  EXPECT_EQ(Call(*client, kPut, 5s), "value");
  EXPECT_THAT(servers_.seen, ElementsAre("a:1 Authenticate -", "a:1 Put -", "a:1 Put -"));
}

TEST_F(AsyncClientTest, RefusesToSendTooMuch) {
  ClientOptions options;
  options.endpoints.push_back(*ParseEndpoint("a:1"));
  options.send_message_bytes_max = 3;
  AsyncClient client(loop_, options, [&](const Endpoint& endpoint) {
    return std::make_unique<FakeChannel>(loop_, servers_, endpoint.address);
  });
  EXPECT_EQ(Call(client, kPut, 5s),
            "RESOURCE_EXHAUSTED: trying to send message larger than max (7 vs. 3)");
  EXPECT_TRUE(servers_.seen.empty());
}

TEST_F(AsyncClientTest, DestructionDropsWhatIsUnderWay) {
  servers_.answers = {{"a:1", {{kDown}}}};
  bool called = false;
  {
    const auto client = NewClient({"a:1"});
    client->Unary(kRange, "", 5s, [&](StatusOr<std::string>) { called = true; });
    loop_.Advance(10ms);
    EXPECT_GT(loop_.timers(), 0u);
  }
  loop_.Advance(10s);
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace quoin::client

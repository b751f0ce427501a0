// A channel and servers that do not behave, over a simulated network.

#include "rpc/client.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "env/sim/sim_world.h"

namespace quoin::rpc {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kSettings("\0\0\0\4\0\0\0\0\0", 9);
constexpr std::string_view kLeave("\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\0", 17);
constexpr char kHeaders = 1, kPing = 6;

// Takes connections, greets when it is told to, and answers nothing else.
class Mute final : public env::Connection::Handler {
 public:
  Mute(env::SimNetwork& network, env::Executor& loop) {
    auto listener = network.Listen("10.0.0.2:80", {&loop}, {}, [this](auto connection, auto&) {
      ++connections_;
      received_.clear();
      connection_ = std::move(connection);
      connection_->Start(*this);
    });
    EXPECT_TRUE(listener.ok());
    listener_ = *std::move(listener);
  }
  void OnData(std::string_view data) override {
    if (received_.empty() && !greeting_.empty()) connection_->Write(greeting_);
    received_ += data;
  }
  void OnClosed(Status) override {}

  void Greet(std::string_view with) { greeting_ = with; }
  void Say(std::string_view bytes) { connection_->Write(std::string(bytes)); }
  int connections() const { return connections_; }
  // How many frames of a type came on the last connection.
  int Frames(char type) const {
    int count = 0;
    for (size_t at = 24; at + 9 <= received_.size();) {
      const auto byte = [&](size_t i) { return static_cast<uint8_t>(received_[at + i]); };
      if (received_[at + 3] == type) ++count;
      at += 9 + (byte(0) << 16 | byte(1) << 8 | byte(2));
    }
    return count;
  }

 private:
  std::string greeting_, received_;
  int connections_ = 0;
  std::unique_ptr<env::Listener> listener_;
  std::unique_ptr<env::Connection> connection_;
};

class ChannelTest : public testing::Test {
 protected:
  ChannelTest() {
    loop_->Post([this] { channel_ = Channel::New(env_, *loop_, "10.0.0.2:80", {}); });
    Run(0s);
  }
  ~ChannelTest() override {
    loop_->Post([this] { channel_.reset(); });
    Run(1s);
  }
  void Run(env::Duration time) { world_.RunFor(time); }
  void Call(std::optional<env::Duration> timeout = std::nullopt) {
    loop_->Post([this, timeout] {
      channel_->Unary("/s/Put", "request", {timeout, {}},
                      [this](auto answer) { ended_.push_back(answer.status()); });
    });
  }
  void Probe(env::Duration patience) {
    loop_->Post([this, patience] { channel_->Probe(patience); });
  }
  // The only end of a call so far; OK when there is none.
  Status End() const { return ended_.empty() ? OkStatus() : ended_.front(); }

  env::SimWorld world_{1};
  env::SimNetwork network_{world_};
  env::SimDisk disk_{&world_};
  env::SimEnv env_{world_, disk_, network_, "10.0.0.1"};
  env::SimEnv other_{world_, disk_, network_, "10.0.0.2"};
  std::unique_ptr<env::Executor> loop_ = env_.NewExecutor("client");
  std::unique_ptr<env::Executor> server_ = other_.NewExecutor("server");
  Mute mute_{network_, *server_};
  std::unique_ptr<Channel> channel_;
  std::vector<Status> ended_;
};

// A stopped process: its kernel takes connections, and nobody speaks.
TEST_F(ChannelTest, WithoutAGreetingNothingIsSentAndTheDialTimeoutHolds) {
  Call();
  Run(1900ms);
  EXPECT_EQ(mute_.connections(), 1);
  EXPECT_EQ(End(), OkStatus());
  Run(200ms);
  EXPECT_EQ(End(), absl::UnavailableError("connection error: desc = \"transport: Error while "
                                          "dialing: the server does not answer\""));
  EXPECT_EQ(mute_.Frames(kHeaders), 0);
  // The next call dials anew.
  mute_.Greet(kSettings);
  Call();
  Run(1s);
  EXPECT_EQ(mute_.connections(), 2);
  EXPECT_EQ(mute_.Frames(kHeaders), 1);
}

TEST_F(ChannelTest, ACallMayEndBeforeTheGreeting) {
  Call(1s);
  Run(5s);
  EXPECT_EQ(End(), absl::DeadlineExceededError("context deadline exceeded"));
  EXPECT_EQ(ended_.size(), 1u);
}

TEST_F(ChannelTest, ConnectTellsWhenTheServerHasGreeted) {
  mute_.Greet(kSettings);
  std::optional<Status> told;
  loop_->Post([&] { channel_->Connect([&](const Status& status) { told = status; }); });
  Run(1s);
  EXPECT_EQ(told, OkStatus());
  EXPECT_TRUE(channel_->ready());
}

TEST_F(ChannelTest, ASilentConnectionWithCallsIsPingedAndGivenUp) {
  mute_.Greet(kSettings);
  Call();
  Run(2900ms);
  EXPECT_EQ(mute_.Frames(kPing), 0);
  Run(200ms);
  EXPECT_EQ(mute_.Frames(kPing), 1);
  EXPECT_EQ(End(), OkStatus());
  Run(2500ms);
  EXPECT_EQ(End(), absl::UnavailableError("keepalive ping not acknowledged"));
}

TEST_F(ChannelTest, AnIdleConnectionIsLeftAlone) {
  mute_.Greet(kSettings);
  Call(1s);
  Run(1min);
  EXPECT_EQ(mute_.Frames(kPing), 0);
  EXPECT_TRUE(channel_->ready());
}

TEST_F(ChannelTest, AProbeDoesNotWaitForTheSilenceToLast) {
  mute_.Greet(kSettings);
  Call();
  Run(100ms);
  Probe(1s);
  Run(900ms);
  EXPECT_EQ(End(), OkStatus());
  Run(200ms);
  EXPECT_EQ(End(), absl::UnavailableError("keepalive ping not acknowledged"));
}

// etcd's servers end a connection whose pings come too often.
TEST_F(ChannelTest, ProbesOfALivingConnectionAreRare) {
  mute_.Greet(kSettings);
  Call();
  for (int i = 0; i < 100; ++i) {
    Run(100ms);
    mute_.Say(kSettings);
    Probe(1s);
  }
  EXPECT_EQ(End(), OkStatus());
  EXPECT_EQ(mute_.Frames(kPing), 3);
}

TEST_F(ChannelTest, AConnectionThatIsToldToLeaveTakesNoFurtherCalls) {
  mute_.Greet(kSettings);
  Call();
  Run(100ms);
  mute_.Say(std::string(kLeave));
  Run(100ms);
  EXPECT_FALSE(channel_->ready());
}

}  // namespace
}  // namespace quoin::rpc

// The end of a call, over a simulated network: it lives as long as its handler, takes nothing after
// its end, and both are gone soon after.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "base/lifeline.h"
#include "env/sim/sim_network.h"
#include "env/sim/sim_world.h"
#include "rpc/client.h"
#include "rpc/server.h"

namespace quoin::rpc {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kClient[] = "10.0.0.1", kServer[] = "10.0.0.2";
constexpr char kAddress[] = "10.0.0.2:2379";

struct Counts {
  int handlers = 0;  // alive
  int answers = 0;
  int answers_after_end = 0;
  int ends = 0;
};

// Answers from tasks of the loop without end, also after the call was cancelled: as long as it is
// there itself.
class Talker final : public CallHandler {
 public:
  Talker(ServerCall& call, Counts& counts) : call_(call), counts_(counts) { ++counts_.handlers; }
  ~Talker() override { --counts_.handlers; }
  void OnMessage(std::string_view) override { TalkOn(); }
  void OnCancel(const Status&) override {
    ++counts_.ends;
    ended_ = true;
  }

 private:
  void TalkOn() {
    // Several at once: some of them share a turn of the loop with the end of the call.
    for (int i = 0; i < 4; ++i) call_.executor().Post(lifeline_.Tie([this] { Talk(); }));
    call_.executor().RunAfter(microseconds(3), lifeline_.Tie([this] { TalkOn(); }));
  }
  void Talk() {
    ++(ended_ ? counts_.answers_after_end : counts_.answers);
    EXPECT_EQ(call_.method(), "/s/M");
    EXPECT_EQ(call_.metadata("nothing"), std::nullopt);
    EXPECT_FALSE(call_.remote_address().empty());
    call_.PauseRequests();
    call_.Send("whole");
    call_.StartMessage(8);
    call_.AppendMessage(std::string("half"));
    call_.AppendMessage(SharedBytes("half"));
    call_.ResumeRequests();
    if (!ended_) return;
    EXPECT_EQ(call_.unsent_bytes(), unsent_.value_or(call_.unsent_bytes()));
    unsent_ = call_.unsent_bytes();
    call_.Finish(OkStatus());
  }

  ServerCall& call_;
  Counts& counts_;
  bool ended_ = false;
  std::optional<size_t> unsent_;
  Lifeline lifeline_;
};

class OneMethod final : public GrpcDispatcher {
 public:
  explicit OneMethod(Counts& counts)
      : method_{CallKind::kServerStream,
                [&counts](ServerCall& call) { return std::make_unique<Talker>(call, counts); }} {}
  Method* Find(std::string_view path) override { return path == "/s/M" ? &method_ : nullptr; }
  bool HasService(std::string_view service) const override { return service == "s"; }

 private:
  Method method_;
};

class Listener final : public ClientStream::Handler {
 public:
  void OnMessage(std::string_view) override {}
  void OnEnd(const Status& status) override { end = status; }
  std::optional<Status> end;
};

enum class Way : uint8_t { kReset, kLoss, kDeadline, kDrain };

class CallEnd : public testing::TestWithParam<Way> {};

TEST_P(CallEnd, TakesCallAndHandlerTogether) {
  Counts counts;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    env::SimWorld world(seed);
    env::SimNetwork network(world);
    env::SimDisk client_disk(&world), server_disk(&world);
    env::SimEnv client_env(world, client_disk, network, kClient);
    env::SimEnv server_env(world, server_disk, network, kServer);
    auto client_loop = client_env.NewExecutor("client");
    auto server_loop = server_env.NewExecutor("server");
    OneMethod methods(counts);
    NullLogger log;
    auto server = Server::New(server_env, {server_loop.get()}, {}, &methods, nullptr, log);
    ASSERT_TRUE(server->Listen(kAddress, {}).ok());
    auto channel = Channel::New(client_env, *client_loop, kAddress, {});
    Listener listener;
    CallOptions options;
    if (GetParam() == Way::kDeadline)
      options.metadata = {{"grpc-timeout", std::to_string(20 + seed) + "u"}};
    std::unique_ptr<ClientStream> stream;
    client_loop->Post([&] {
      stream = channel->Stream("/s/M", options, listener);
      stream->Send("go");
      stream->HalfClose();
    });
    const int ends = counts.ends;
    ASSERT_TRUE(world.RunUntil([&] { return counts.handlers == 1; }, 10'000));
    world.RunFor(microseconds(20) + env::Duration(seed * 37));
    switch (GetParam()) {
      case Way::kReset:
        client_loop->Post([&] { stream->Cancel(); });
        break;
      case Way::kLoss:
        network.Reset(kClient, kServer);
        break;
      case Way::kDeadline:
        break;
      case Way::kDrain:
        server->Drain(microseconds(10), [] {});
        break;
    }
    ASSERT_TRUE(world.RunUntil([&] { return counts.handlers == 0; }, 100'000)) << "seed " << seed;
    EXPECT_EQ(counts.ends, ends + 1);
    world.RunFor(milliseconds(10));
    client_loop->Stop();
    server_loop->Stop();
  }
  EXPECT_GT(counts.answers, 0);
  EXPECT_GT(counts.answers_after_end, 0) << "no task came between the end and its turn's";
}

INSTANTIATE_TEST_SUITE_P(Ways, CallEnd,
                         testing::Values(Way::kReset, Way::kLoss, Way::kDeadline, Way::kDrain));

}  // namespace
}  // namespace quoin::rpc

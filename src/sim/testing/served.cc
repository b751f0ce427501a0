#include "sim/testing/served.h"

#include <gtest/gtest.h>

#include <utility>

#include "api/services.h"
#include "base/check.h"

namespace quoin::sim::testing {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr char kClientHost[] = "10.0.9.1";
constexpr char kPort[] = ":2379";

}  // namespace

// Counts what comes.
class Served::Answers final : public rpc::ClientStream::Handler {
 public:
  void OnMessage(std::string_view message) override {
    ++count;
    last = message;
  }
  void OnEnd(const Status& status) override { end = status; }

  size_t count = 0;
  std::string last;
  std::optional<Status> end;
};

Served::Served(Cluster& cluster, Machine& machine)
    : cluster_(cluster),
      machine_(machine),
      client_disk_(&cluster.world()),
      client_env_(cluster.world(), client_disk_, cluster.network(), kClientHost),
      client_loop_(client_env_.NewExecutor("client")),
      context_(std::make_unique<api::Context>(machine.node(),
                                              std::vector<env::Executor*>{&machine.io()},
                                              [] { return api::ProcessStats{}; })),
      dispatcher_(api::NewDispatcher(*context_)) {
  // Short and always the same: a reset arrives a few events after it was sent.
  cluster_.network().set_delay(kClientHost, machine_.host(), microseconds(1), microseconds(1));
  cluster_.network().set_delay(machine_.host(), kClientHost, microseconds(1), microseconds(1));
  Serve();
}

Served::~Served() {
  StopServing(env::Duration(0));
  machine_.io().Stop();
}

void Served::Serve() {
  server_ = rpc::Server::New(machine_.node().env(), {&machine_.io()}, {}, dispatcher_.get(),
                             nullptr, machine_.log());
  CHECK(server_->Listen(machine_.host() + kPort, {}).ok());
}

void Served::StopServing(env::Duration grace) {
  bool drained = false;
  server_->Drain(grace, [&] { drained = true; });
  EXPECT_TRUE(cluster_.Until([&] { return drained; }));
  // Connections go in a turn of their own.
  cluster_.LetFrontendsHear();
  cluster_.LetFrontendsHear();
  server_.reset();
}

void Served::OnClient(const std::function<void()>& work) {
  bool done = false;
  client_loop_->Post([&] {
    work();
    done = true;
  });
  CHECK(cluster_.Until([&] { return done; }));
}

Served::Outcome Served::Run(const ServedCall& call, Ending ending, size_t at,
                            env::Duration deadline, size_t events_max) {
  env::SimWorld& world = cluster_.world();
  auto channel = rpc::Channel::New(client_env_, *client_loop_, machine_.host() + kPort, {});
  std::optional<Status> connected;
  OnClient([&] {
    channel->Unary("/grpc.health.v1.Health/Check", "", {},
                   [&](const StatusOr<std::string>& answer) { connected = answer.status(); });
  });
  CHECK(cluster_.Until([&] { return connected.has_value(); }));
  CHECK(connected->ok()) << connected->message();

  rpc::CallOptions options;
  if (ending == Ending::kDeadline)  // the server's alone: the client waits for what that says
    options.metadata = {{"grpc-timeout", std::to_string(deadline.count()) + "n"}};
  Answers answers;
  std::unique_ptr<rpc::ClientStream> stream;
  const size_t began = world.events();
  const env::Duration began_at = world.Now();
  OnClient([&] {
    stream = channel->Stream(std::string(call.path), options, answers);
    for (const std::string& request : call.requests) stream->Send(request);
    if (call.half_close) stream->HalfClose();
  });
  auto run = [&](size_t events) {
    for (size_t i = 0; i < events && !answers.end; ++i) CHECK(world.Step());
  };
  const bool cuts = ending != Ending::kNone && ending != Ending::kDeadline;
  run(cuts ? at : events_max);
  Outcome outcome{answers.end, world.events() - began, world.Now() - began_at, answers.count};
  if (ending == Ending::kLoss) cluster_.network().Reset(kClientHost, machine_.host());
  if (ending == Ending::kDrain) {
    StopServing(milliseconds(1));
    Serve();
  }
  // Not answered by now: the client gives it up, whatever the test is about.
  OnClient([&] { stream.reset(); });
  world.RunFor(milliseconds(2));
  OnClient([&] { channel.reset(); });
  world.RunFor(milliseconds(1));
  return outcome;
}

StatusOr<std::string> Served::Ask(std::string_view path, std::string request) {
  auto channel = rpc::Channel::New(client_env_, *client_loop_, machine_.host() + kPort, {});
  std::optional<StatusOr<std::string>> answer;
  OnClient([&] {
    channel->Unary(std::string(path), std::move(request), {},
                   [&](StatusOr<std::string> got) { answer = std::move(got); });
  });
  EXPECT_TRUE(cluster_.Until([&] { return answer.has_value(); })) << path;
  OnClient([&] { channel.reset(); });
  cluster_.world().RunFor(milliseconds(1));
  return answer ? *std::move(answer) : absl::DeadlineExceededError("no answer");
}

}  // namespace quoin::sim::testing

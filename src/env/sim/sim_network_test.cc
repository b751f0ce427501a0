// Streams between simulated machines: what arrives, what does not, and when.

#include "env/sim/sim_network.h"

#include <gtest/gtest.h>

#include <deque>

#include "env/sim/sim_world.h"

namespace quoin::env {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kA[] = "10.0.0.1", kB[] = "10.0.0.2";
constexpr char kAddress[] = "10.0.0.2:2380";

// One end: keeps what came.
struct Peer : Connection::Handler {
  void OnData(std::string_view data) override {
    EXPECT_FALSE(closed);
    EXPECT_TRUE(loop->IsCurrent());
    received += data;
    ++pieces;
    if (echoes) connection->Write(std::string(data));
  }
  void OnClosed(Status status) override {
    EXPECT_FALSE(closed);
    closed = true;
    why = status;
  }
  void OnDrained() override { ++drained; }
  void Take(std::unique_ptr<Connection> made) {
    connection = std::move(made);
    closed = false;
    why = OkStatus();
    connection->Start(*this);
  }

  std::unique_ptr<Connection> connection;
  Executor* loop = nullptr;
  std::string received;
  int pieces = 0, drained = 0;
  bool closed = false, echoes = false;
  Status why;
};

// A client on machine A and a server on machine B.
struct Pair {
  explicit Pair(uint64_t seed = 1) : world(seed), network(world), disk_a(&world), disk_b(&world) {
    env_a = std::make_unique<SimEnv>(world, disk_a, network, kA);
    env_b = std::make_unique<SimEnv>(world, disk_b, network, kB);
    loop_a = env_a->NewExecutor("a");
    loop_b = env_b->NewExecutor("b");
    client.loop = loop_a.get();
    server.loop = loop_b.get();
  }
  void Listen(const std::string& address = kAddress) {
    auto made = env_b->network().Listen(address, {loop_b.get()}, {},
                                        [this](std::unique_ptr<Connection> c, Executor& loop) {
                                          EXPECT_EQ(&loop, loop_b.get());
                                          EXPECT_TRUE(loop.IsCurrent());
                                          server.Take(std::move(c));
                                        });
    ASSERT_TRUE(made.ok()) << made.status();
    listener = *std::move(made);
  }
  void Dial(Duration timeout = seconds(5), const std::string& address = kAddress) {
    loop_a->Post([this, timeout, address] {
      network.Connect(address, timeout, *loop_a,
                      [this](StatusOr<std::unique_ptr<Connection>> made) {
                        EXPECT_TRUE(loop_a->IsCurrent());
                        dialled = made.status();
                        answered = true;
                        if (made.ok()) client.Take(*std::move(made));
                      });
    });
  }
  void Connect() {
    Listen();
    Dial();
    world.RunFor(milliseconds(10));
    ASSERT_TRUE(dialled.ok()) << dialled;
    ASSERT_NE(server.connection, nullptr);
  }
  void Send(Peer& from, std::string bytes) {
    from.loop->Post([&from, bytes] { from.connection->Write(bytes); });
  }

  SimWorld world;
  SimNetwork network;
  SimDisk disk_a, disk_b;
  std::unique_ptr<SimEnv> env_a, env_b;
  std::unique_ptr<Executor> loop_a, loop_b;
  std::unique_ptr<Listener> listener;
  Status dialled = absl::UnknownError("not yet");
  bool answered = false;
  Peer client, server;
};

std::string Numbers(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += std::to_string(i) + " ";
  return out;
}

TEST(SimNetwork, EchoesMegabytesInOrderAndInPieces) {
  Pair pair;
  pair.Connect();
  pair.server.echoes = true;
  const std::string sent = Numbers(400'000);
  pair.Send(pair.client, sent);
  EXPECT_TRUE(
      pair.world.RunUntil([&] { return pair.client.received.size() == sent.size(); }, 1'000'000));
  EXPECT_EQ(pair.client.received, sent);
  EXPECT_GT(pair.server.pieces, 5);
  pair.world.RunFor(seconds(1));
  EXPECT_EQ(pair.client.connection->unsent_bytes(), 0u);
  EXPECT_GE(pair.client.drained, 1);
}

TEST(SimNetwork, AReaderThatPausesHoldsUpTheWriter) {
  Pair pair;
  pair.Connect();
  pair.server.connection->PauseReading();
  pair.Send(pair.client, std::string(3 << 20, 'x'));
  pair.world.RunFor(seconds(10));
  EXPECT_EQ(pair.server.received, "");
  EXPECT_GT(pair.client.connection->unsent_bytes(), size_t{2} << 20);
  EXPECT_EQ(pair.client.drained, 0);
  pair.loop_b->Post([&] { pair.server.connection->ResumeReading(); });
  pair.world.RunFor(seconds(10));
  EXPECT_EQ(pair.server.received.size(), size_t{3} << 20);
  EXPECT_EQ(pair.client.connection->unsent_bytes(), 0u);
  EXPECT_EQ(pair.client.drained, 1);
}

TEST(SimNetwork, AMachineThatTakesLittleAtATimeReadsOn) {
  Pair pair;
  pair.Connect();
  pair.network.SetAppetite(kB, 100, milliseconds(10));
  const std::string sent = Numbers(1000);
  pair.Send(pair.client, sent);
  pair.world.RunFor(milliseconds(95));
  EXPECT_LE(pair.server.received.size(), 1000u);
  pair.world.RunFor(seconds(10));
  EXPECT_EQ(pair.server.received, sent);
}

TEST(SimNetwork, CloseAfterFlushDeliversEverythingAndThenTheEnd) {
  Pair pair;
  pair.Connect();
  pair.loop_a->Post([&] {
    pair.client.connection->Write(std::string(1 << 20, 'x'));
    pair.client.connection->CloseAfterFlush();
  });
  pair.world.RunFor(seconds(1));
  EXPECT_EQ(pair.server.received.size(), size_t{1} << 20);
  EXPECT_TRUE(pair.server.closed && pair.server.why.ok());
  EXPECT_FALSE(pair.client.closed) << "the peer has not closed yet";
  pair.loop_b->Post([&] { pair.server.connection.reset(); });
  pair.world.RunFor(seconds(1));
  EXPECT_TRUE(pair.client.closed && pair.client.why.ok());
}

TEST(SimNetwork, CloseAfterFlushWaitsOnlySoLongForThePeer) {
  Pair pair;
  pair.Connect();
  pair.loop_a->Post([&] { pair.client.connection->CloseAfterFlush(); });
  pair.world.RunFor(seconds(4));
  EXPECT_FALSE(pair.client.closed);
  pair.world.RunFor(seconds(2));
  EXPECT_TRUE(absl::IsDeadlineExceeded(pair.client.why));
}

TEST(SimNetwork, DestructionEndsTheStreamWithoutCallbacksHere) {
  Pair pair;
  pair.Connect();
  pair.Send(pair.client, "last words");
  pair.world.RunFor(std::chrono::microseconds(60));
  pair.loop_a->Post([&] { pair.client.connection.reset(); });
  pair.world.RunFor(seconds(1));
  EXPECT_EQ(pair.server.received, "last words");
  EXPECT_TRUE(pair.server.closed && pair.server.why.ok());
  EXPECT_FALSE(pair.client.closed);
}

TEST(SimNetwork, WritingToOneThatIsGoneIsAnsweredWithAReset) {
  Pair pair;
  pair.Connect();
  pair.server.connection->PauseReading();  // does not see the end
  pair.loop_a->Post([&] { pair.client.connection.reset(); });
  pair.world.RunFor(seconds(1));
  pair.Send(pair.server, "anyone?");
  pair.world.RunFor(seconds(1));
  EXPECT_TRUE(absl::IsUnavailable(pair.server.why)) << pair.server.why;
}

TEST(SimNetwork, NobodyListens) {
  Pair pair;
  pair.Dial();
  pair.world.RunFor(seconds(1));
  EXPECT_EQ(pair.dialled,
            absl::UnavailableError("dial tcp 10.0.0.2:2380: connect: connection refused"));
  pair.Listen();
  EXPECT_EQ(pair.network.Listen(kAddress, {pair.loop_b.get()}, {}, [](auto, auto&) {}).status(),
            absl::UnavailableError("listen tcp 10.0.0.2:2380: bind: address already in use"));
  pair.listener.reset();
  pair.Listen();
}

TEST(SimNetwork, AddressesBelongToMachinesOrToTheWorld) {
  Pair pair;
  pair.Listen("0.0.0.0:2380");  // reached by the machine's name
  pair.Dial();
  pair.world.RunFor(seconds(1));
  EXPECT_TRUE(pair.dialled.ok()) << pair.dialled;
  // The same loopback address on two machines, and on one of them by number 0.
  auto accept = [](auto, auto&) {};
  auto one = pair.network.Listen("127.0.0.1:79", {pair.loop_a.get()}, {}, accept);
  auto two = pair.network.Listen("localhost:79", {pair.loop_b.get()}, {}, accept);
  auto three = pair.network.Listen("127.0.0.1:0", {pair.loop_b.get()}, {}, accept);
  auto four = pair.network.Listen("unix:/run/x", {pair.loop_b.get()}, {}, accept);
  auto same = pair.network.Listen("127.0.0.1:79", {pair.loop_b.get()}, {}, accept);
  EXPECT_TRUE(one.ok() && two.ok() && three.ok() && four.ok());
  EXPECT_FALSE(same.ok());
  EXPECT_NE((*three)->address(), "127.0.0.1:0");
  pair.Dial(seconds(1), "unix:/run/x");
  pair.world.RunFor(seconds(2));
  EXPECT_EQ(pair.dialled, absl::UnavailableError("dial unix /run/x: connect: connection refused"));
}

TEST(SimNetwork, AcceptsOnLoopsInTurn) {
  Pair pair;
  auto second = pair.env_b->NewExecutor("b2");
  std::vector<Executor*> on;
  auto listener = pair.network.Listen(kAddress, {pair.loop_b.get(), second.get()}, {},
                                      [&](auto, Executor& loop) {
                                        EXPECT_TRUE(loop.IsCurrent());
                                        on.push_back(&loop);
                                      });
  for (int i = 0; i < 4; ++i) {
    pair.Dial();
    pair.world.RunFor(milliseconds(10));
    pair.loop_a->Post([&] { pair.client.connection.reset(); });
    pair.world.RunFor(milliseconds(10));
  }
  EXPECT_EQ(on, (std::vector<Executor*>{pair.loop_b.get(), second.get(), pair.loop_b.get(),
                                        second.get()}));
}

TEST(SimNetwork, ACutLinkHoldsOneDirectionUntilItHeals) {
  Pair pair;
  pair.Connect();
  pair.network.Cut(kA, kB);
  for (int i = 0; i < 50; ++i) {
    pair.Send(pair.client, Numbers(20));
    pair.world.RunFor(milliseconds(1));
  }
  pair.Send(pair.server, "hello");
  pair.world.RunFor(seconds(60));
  EXPECT_EQ(pair.client.received, "hello");
  EXPECT_EQ(pair.server.received, "");
  pair.network.Heal(kA, kB);
  pair.Send(pair.client, "end");
  pair.world.RunFor(milliseconds(10));
  std::string expected;
  for (int i = 0; i < 50; ++i) expected += Numbers(20);
  EXPECT_EQ(pair.server.received, expected + "end");
}

TEST(SimNetwork, ConnectingThroughACutTimesOutOrWaits) {
  for (const bool there : {true, false}) {  // which direction is cut
    Pair pair;
    pair.Listen();
    pair.network.Cut(there ? kA : kB, there ? kB : kA);
    pair.Dial(seconds(2));
    pair.world.RunFor(milliseconds(1900));
    EXPECT_FALSE(pair.answered);
    pair.world.RunFor(milliseconds(200));
    EXPECT_EQ(pair.dialled, absl::UnavailableError("dial tcp 10.0.0.2:2380: i/o timeout"));
    pair.Dial(seconds(2));
    pair.world.RunFor(seconds(1));
    pair.network.HealAll();
    pair.world.RunFor(milliseconds(10));
    EXPECT_TRUE(pair.dialled.ok()) << pair.dialled;
    EXPECT_NE(pair.client.connection, nullptr);
  }
}

TEST(SimNetwork, AResetEndsBothSidesAtOnce) {
  Pair pair;
  pair.Connect();
  pair.Send(pair.client, std::string(1 << 20, 'x'));
  pair.world.RunFor(std::chrono::microseconds(300));
  pair.network.Reset(kB, kA);
  pair.world.RunFor(seconds(1));
  EXPECT_EQ(pair.client.why,
            absl::UnavailableError("read 10.0.0.2:2380: connection reset by peer"));
  EXPECT_TRUE(absl::IsUnavailable(pair.server.why));
  EXPECT_LT(pair.server.received.size(), size_t{1} << 20);
  EXPECT_EQ(pair.client.connection->unsent_bytes(), 0u);
}

TEST(SimNetwork, ACrashedMachineIsSilentAndItsPeersFindOut) {
  Pair pair;
  pair.Connect();
  pair.Send(pair.client, "x");
  pair.world.RunFor(std::chrono::microseconds(100));
  pair.env_b->Crash();
  const std::string received = pair.server.received;
  pair.world.RunFor(seconds(2));
  EXPECT_EQ(pair.client.why,
            absl::UnavailableError("read 10.0.0.2:2380: connection reset by peer"));
  EXPECT_FALSE(pair.server.closed);
  EXPECT_EQ(pair.server.received, received);
  pair.Dial();
  pair.world.RunFor(seconds(1));
  EXPECT_FALSE(pair.dialled.ok()) << "its listener is gone";
  // The next life listens again; what is left of the first one does no harm.
  pair.env_b = std::make_unique<SimEnv>(pair.world, pair.disk_b, pair.network, kB);
  auto loop = pair.env_b->NewExecutor("b");
  int accepted = 0;
  auto listener =
      pair.env_b->network().Listen(kAddress, {loop.get()}, {}, [&](auto, auto&) { ++accepted; });
  ASSERT_TRUE(listener.ok()) << listener.status();
  pair.listener.reset();
  pair.server.connection.reset();
  pair.Dial();
  pair.world.RunFor(seconds(1));
  EXPECT_TRUE(pair.dialled.ok()) << pair.dialled;
  EXPECT_EQ(accepted, 1);
}

TEST(SimNetwork, BeyondABoundConnectionsWaitForTheirTurn) {
  Pair pair;
  std::deque<std::unique_ptr<Connection>> accepted;
  auto made = pair.env_b->network().Listen(
      kAddress, {pair.loop_b.get()}, {.limit = std::make_shared<ConnectionLimit>(*pair.loop_b, 2)},
      [&](std::unique_ptr<Connection> c, Executor&) { accepted.push_back(std::move(c)); });
  ASSERT_TRUE(made.ok()) << made.status();
  std::vector<std::unique_ptr<Connection>> clients;
  pair.loop_a->Post([&] {
    for (int i = 0; i < 4; ++i) {
      pair.network.Connect(kAddress, seconds(5), *pair.loop_a, [&](auto connection) {
        ASSERT_TRUE(connection.ok()) << connection.status();
        clients.push_back(*std::move(connection));
      });
    }
  });
  pair.world.RunFor(seconds(1));
  EXPECT_EQ(clients.size(), 4u) << "they are in the backlog";
  EXPECT_EQ(accepted.size(), 2u);
  pair.loop_b->Post([&] { accepted.pop_front(); });
  pair.world.RunFor(seconds(1));
  EXPECT_EQ(accepted.size(), 2u);
  pair.loop_b->Post([&] { accepted.clear(); });
  pair.world.RunFor(seconds(1));
  EXPECT_EQ(accepted.size(), 1u);
  made->reset();
  pair.loop_a->Post([&] { clients.clear(); });
  pair.loop_b->Post([&] { accepted.clear(); });
  pair.world.RunFor(seconds(1));
}

TEST(SimNetwork, LinksHaveTheirOwnDelays) {
  Pair pair;
  pair.network.set_delay(kB, kA, milliseconds(100), milliseconds(100));
  pair.Listen();
  pair.Dial();
  pair.world.RunFor(milliseconds(90));
  EXPECT_FALSE(pair.answered);
  pair.world.RunFor(milliseconds(20));
  EXPECT_TRUE(pair.dialled.ok()) << pair.dialled;
}

// --- names ---

constexpr char kName[] = "b.test:2380";

TEST(SimNetwork, ANameIsLookedUpForEachConnection) {
  Pair pair;
  pair.Listen();
  pair.Dial(seconds(5), kName);
  pair.world.RunFor(seconds(1));
  EXPECT_EQ(pair.dialled, absl::UnavailableError("dial tcp: lookup b.test: no such host"));
  pair.network.SetName("b.test", std::vector<std::string>{kB}, milliseconds(700));
  pair.Dial(seconds(5), kName);
  pair.world.RunFor(milliseconds(600));
  EXPECT_FALSE(pair.dialled.ok());
  pair.world.RunFor(milliseconds(200));
  EXPECT_TRUE(pair.dialled.ok()) << pair.dialled;
}

TEST(SimNetwork, ALookUpIsPartOfTheTimeout) {
  Pair pair;
  pair.Listen();
  pair.network.SetName("b.test", std::vector<std::string>{kB}, seconds(5));
  pair.Dial(seconds(2), kName);
  pair.world.RunFor(milliseconds(2100));
  EXPECT_EQ(pair.dialled, absl::UnavailableError("dial tcp: lookup b.test: i/o timeout"));
  pair.world.RunFor(seconds(10));  // the answer finds nobody who waits
}

// On a loop that must not wait, as a member's are.
TEST(SimNetwork, ALookUpTakesNoTimeOfTheLoopButByMistake) {
  for (const bool mistake : {false, true}) {
    Pair pair;
    pair.Listen();
    pair.loop_a = pair.env_a->NewExecutor("peer");
    pair.network.SetName("b.test", std::vector<std::string>{kB}, milliseconds(700));
    if (mistake) pair.network.set_names_on_the_loop();
    pair.Dial(seconds(5), kName);
    bool heartbeat = false;
    pair.loop_a->RunAfter(milliseconds(100), [&] { heartbeat = true; });
    pair.world.RunFor(milliseconds(600));
    EXPECT_EQ(heartbeat, !mistake);
    pair.world.RunFor(milliseconds(200));
    EXPECT_TRUE(heartbeat);
    const SimWorld::Waiting& wait = pair.world.first_wait();
    EXPECT_EQ(wait.time, milliseconds(mistake ? 700 : 0));
    EXPECT_EQ(wait.loop, mistake ? "peer" : "");
    EXPECT_EQ(wait.for_what, mistake ? "b.test" : "");
  }
}

// Listen is bound when it returns.
TEST(SimNetwork, WhoListensAtANameWaitsForIt) {
  Pair pair;
  pair.network.SetName("b.test", std::vector<std::string>{kB}, milliseconds(700));
  pair.loop_b = pair.env_b->NewExecutor("raft");
  pair.loop_b->Post([&] { pair.Listen(kName); });
  pair.world.RunFor(milliseconds(10));
  EXPECT_EQ(pair.world.first_wait().loop, "raft");
}

TEST(SimNetwork, GoodAddressesServeWhileANameFailsOrIsSlow) {
  Pair pair;
  pair.Listen();
  pair.network.SetName("b.test", std::vector<std::string>{kB});
  pair.Dial(seconds(5), kName);
  pair.world.RunFor(seconds(1));
  ASSERT_TRUE(pair.dialled.ok()) << pair.dialled;
  // Slow, unknown, and wrong for a while: an address is good only when somebody answered there.
  pair.network.SetName("b.test", std::vector<std::string>{kB}, seconds(30));
  pair.answered = false;
  pair.Dial(seconds(5), kName);
  pair.world.RunFor(milliseconds(400));
  EXPECT_TRUE(pair.answered && pair.dialled.ok()) << pair.dialled;
  pair.world.RunFor(seconds(30));
  pair.network.SetName("b.test", std::vector<std::string>{"10.0.0.9"});
  pair.Dial(seconds(5), kName);
  pair.world.RunFor(seconds(1));
  EXPECT_TRUE(IsConnectionRefused(pair.dialled)) << pair.dialled;
  pair.network.SetName("b.test", absl::UnavailableError("lookup b.test: server misbehaving"));
  pair.Dial(seconds(5), kName);
  pair.world.RunFor(seconds(1));
  EXPECT_TRUE(pair.dialled.ok()) << pair.dialled;
}

TEST(SimNetwork, AnAnswerThatComesLateStillLeadsToTheNewAddress) {
  Pair pair;
  pair.Listen();
  pair.network.SetName("b.test", std::vector<std::string>{kB});
  pair.Dial(seconds(5), kName);
  pair.world.RunFor(seconds(1));
  // The machine has moved; its old address refuses.
  pair.listener.reset();
  pair.Listen("10.0.0.7:2380");
  pair.network.SetName("b.test", std::vector<std::string>{"10.0.0.7"}, seconds(2));
  pair.Dial(seconds(5), kName);
  pair.world.RunFor(milliseconds(1500));
  pair.answered = false;
  pair.world.RunFor(seconds(1));
  EXPECT_TRUE(pair.answered && pair.dialled.ok()) << pair.dialled;
}

TEST(SimNetwork, EveryAddressOfANameIsTried) {
  for (const bool silent : {false, true}) {  // how the first two fail
    Pair pair;
    pair.Listen();
    if (silent) {
      pair.network.Cut(kA, "10.0.0.8");
      pair.network.Cut(kA, "10.0.0.9");
    }
    pair.network.SetName("b.test", std::vector<std::string>{"10.0.0.8", "10.0.0.9", kB});
    pair.Dial(seconds(5), kName);
    pair.world.RunFor(milliseconds(silent ? 590 : 20));
    EXPECT_EQ(pair.answered, !silent) << "each address has 300 ms for itself";
    pair.world.RunFor(milliseconds(50));
    EXPECT_TRUE(pair.dialled.ok()) << pair.dialled;
  }
}

// One address that refuses does not say that the process has ended when another is silent.
TEST(SimNetwork, ARefusalCountsOnlyWhenEveryAddressRefuses) {
  Pair pair;
  pair.network.SetName("b.test", std::vector<std::string>{"10.0.0.8", kB});
  pair.Dial(seconds(5), kName);
  pair.world.RunFor(seconds(1));
  EXPECT_TRUE(IsConnectionRefused(pair.dialled)) << pair.dialled;
  pair.network.Cut(kA, kB);
  pair.Dial(seconds(5), kName);
  pair.world.RunFor(seconds(6));
  EXPECT_EQ(pair.dialled, absl::UnavailableError("dial tcp 10.0.0.2:2380: i/o timeout"));
}

TEST(SimNetwork, ALoopEndsWhileItsNamesAreLookedUp) {
  Pair pair;
  pair.network.SetName("b.test", std::vector<std::string>{kB}, seconds(1));
  pair.Dial(seconds(5), kName);
  pair.Dial(seconds(5), "127.0.0.1:1");
  pair.world.RunFor(milliseconds(100));
  pair.loop_a.reset();
  pair.answered = false;
  pair.world.RunFor(seconds(10));
  EXPECT_FALSE(pair.answered);
}

// Everything is destroyed while bytes, attempts and closings are under way.
TEST(SimNetwork, EndsAtAnyMoment) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Pair pair(seed);
    pair.Listen();
    pair.Dial();
    pair.server.echoes = true;
    const size_t events = pair.world.random().Below(200);
    for (size_t i = 0; i < events && pair.world.Step(); ++i) {
      const uint64_t die = pair.world.random().Below(60);
      if (pair.client.connection != nullptr && !pair.client.closed && die < 6)
        pair.Send(pair.client, Numbers(static_cast<int>(die) * 3000));
      if (die == 6) pair.network.Cut(kA, kB);
      if (die == 7) pair.network.HealAll();
      if (die == 8) pair.Dial();
      if (die == 9) pair.network.Reset(kA, kB);
    }
  }
}

}  // namespace
}  // namespace quoin::env

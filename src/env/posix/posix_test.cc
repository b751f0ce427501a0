#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>

#include "absl/strings/match.h"
#include "env/posix/posix_env.h"
#include "env/posix/posix_network.h"

namespace quoin::env {
namespace {

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "quoin-posix-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Runs `task` on the executor and waits for its result.
template <typename F>
auto On(Executor& executor, F task) {
  std::promise<decltype(task())> promise;
  auto future = promise.get_future();
  // The promise goes with the task: set_value may touch it after the one who waits has gone on.
  executor.Post([&task, promise = std::move(promise)]() mutable {
    if constexpr (std::is_void_v<decltype(task())>) {
      task();
      promise.set_value();
    } else {
      promise.set_value(task());
    }
  });
  return future.get();
}

TEST(PosixExecutor, RunsTasksInTheOrderOfPosting) {
  auto env = NewPosixEnv();
  auto executor = env->NewExecutor("test");
  std::vector<int> seen;
  for (int i = 0; i < 1000; ++i) executor->Post([&seen, i] { seen.push_back(i); });
  On(*executor, [] {});
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[i], i);
}

TEST(PosixExecutor, EndOfTurnComesAfterWhatIsReady) {
  auto env = NewPosixEnv();
  auto executor = env->NewExecutor("test");
  std::vector<std::string> seen;
  std::promise<void> done;
  executor->Post([&] {
    executor->AtEndOfTurn([&] {
      seen.push_back("end");
      done.set_value();
    });
    seen.push_back("task");
    EXPECT_TRUE(executor->IsCurrent());
  });
  done.get_future().get();
  EXPECT_EQ(seen, (std::vector<std::string>{"task", "end"}));
  EXPECT_FALSE(executor->IsCurrent());
}

TEST(PosixExecutor, TimersRunInOrderUnlessCancelled) {
  auto env = NewPosixEnv();
  auto executor = env->NewExecutor("test");
  std::vector<int> seen;
  std::promise<void> done;
  executor->Post([&] {
    executor->RunAfter(std::chrono::milliseconds(20), [&] { seen.push_back(2); });
    TimerId cancelled =
        executor->RunAfter(std::chrono::milliseconds(5), [&] { seen.push_back(99); });
    executor->RunAfter(std::chrono::milliseconds(1), [&, cancelled] {
      seen.push_back(1);
      EXPECT_TRUE(executor->Cancel(cancelled));
      EXPECT_FALSE(executor->Cancel(cancelled));
    });
    executor->RunAfter(std::chrono::milliseconds(30), [&] { done.set_value(); });
  });
  done.get_future().get();
  EXPECT_EQ(seen, (std::vector<int>{1, 2}));
}

TEST(PosixExecutor, DestroysTasksThatNeverRan) {
  auto env = NewPosixEnv();
  auto token = std::make_shared<int>(1);
  {
    auto executor = env->NewExecutor("test");
    On(*executor, [&] { executor->RunAfter(std::chrono::hours(1), [token] {}); });
    EXPECT_EQ(token.use_count(), 2);
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(PosixFiles, WritesReadsAndReportsWhere) {
  TempDir dir;
  auto env = NewPosixEnv();
  BlockingFileSystem& files = env->files().blocking();
  auto file = files.Open(dir / "f", OpenMode::kCreate);
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(files.Open(dir / "f", OpenMode::kCreate).ok());
  auto executor = env->NewExecutor("disk");
  std::promise<Status> written;
  (*file)->Write(3, {"ab", "", "cde"}, *executor, [&](Status s) { written.set_value(s); });
  EXPECT_TRUE(written.get_future().get().ok());
  std::promise<Status> synced;
  (*file)->Sync(*executor, [&](Status s) { synced.set_value(s); });
  EXPECT_TRUE(synced.get_future().get().ok());
  char buffer[8] = {};
  std::promise<Status> read;
  (*file)->Read(0, buffer, *executor, [&](Status s) { read.set_value(s); });
  EXPECT_TRUE(read.get_future().get().ok());
  EXPECT_EQ(std::string_view(buffer + 3, 5), "abcde");
  std::promise<Status> beyond;
  (*file)->Read(4, buffer, *executor, [&](Status s) { beyond.set_value(s); });
  Status status = beyond.get_future().get();
  EXPECT_TRUE(absl::IsOutOfRange(status));
  EXPECT_NE(std::string(status.message()).find("offset 4"), std::string::npos);
}

TEST(PosixFiles, DirectoriesAndLocks) {
  TempDir dir;
  auto fs = NewPosixFileSystem();
  BlockingFileSystem& files = fs->blocking();
  ASSERT_TRUE(files.MakeDirectory(dir / "a/b/c").ok());
  ASSERT_TRUE(files.MakeDirectory(dir / "a/b/c").ok());
  ASSERT_TRUE(files.Open(dir / "a/b/z", OpenMode::kCreateTrunc).ok());
  ASSERT_TRUE(files.Rename(dir / "a/b/z", dir / "a/b/y").ok());
  EXPECT_EQ(*files.List(dir / "a/b"), (std::vector<std::string>{"c", "y"}));
  EXPECT_TRUE(files.Stat(dir / "a")->is_directory);
  EXPECT_TRUE(absl::IsNotFound(files.Stat(dir / "nope").status()));
  auto lock = files.Lock(dir / "a/b/y", true);
  ASSERT_TRUE(lock.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(files.Lock(dir / "a/b/y", true).status()));
  lock->reset();
  EXPECT_TRUE(files.Lock(dir / "a/b/y", false).ok());
  EXPECT_TRUE(files.RemoveAll(dir / "a").ok());
  EXPECT_FALSE(files.Exists(dir / "a"));
}

// Sends everything back; closes when the peer has.
class Echo : public Connection::Handler {
 public:
  explicit Echo(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {
    connection_->Start(*this);
  }
  void OnData(std::string_view data) override {
    connection_->Write(std::string(data));
    if (connection_->unsent_bytes() > 1 << 20) connection_->PauseReading();
  }
  void OnDrained() override { connection_->ResumeReading(); }
  void OnClosed(Status) override { connection_.reset(); }

 private:
  std::unique_ptr<Connection> connection_;
};

class Collector : public Connection::Handler {
 public:
  Collector(size_t wanted, std::promise<std::string>& result) : wanted_(wanted), result_(result) {}
  void OnData(std::string_view data) override {
    got_ += data;
    if (got_.size() == wanted_) result_.set_value(got_);
  }
  void OnClosed(Status) override {}

 private:
  size_t wanted_;
  std::string got_;
  std::promise<std::string>& result_;
};

TEST(PosixNetwork, EchoesMegabytesUnderBackPressure) {
  auto env = NewPosixEnv();
  auto server_loop = env->NewExecutor("server");
  auto second_loop = env->NewExecutor("server2");
  auto client_loop = env->NewExecutor("client");
  std::mutex mutex;
  std::map<Executor*, std::vector<std::unique_ptr<Echo>>> echoes;  // by the loop that owns them
  auto listener = env->network().Listen(
      "127.0.0.1:0", {server_loop.get(), second_loop.get()}, {},
      [&](std::unique_ptr<Connection> connection, Executor& loop) {
        EXPECT_TRUE(loop.IsCurrent());
        std::lock_guard lock(mutex);
        echoes[&loop].push_back(std::make_unique<Echo>(std::move(connection)));
      });
  ASSERT_TRUE(listener.ok()) << listener.status();
  std::string sent;
  for (int i = 0; i < 1 << 20; ++i) sent += std::to_string(i);
  for (int round = 0; round < 4; ++round) {  // both loops take connections
    std::promise<std::string> echoed;
    Collector collector(sent.size(), echoed);
    std::unique_ptr<Connection> connection;
    client_loop->Post([&] {
      env->network().Connect((*listener)->address(), std::chrono::seconds(5), *client_loop,
                             [&](StatusOr<std::unique_ptr<Connection>> made) {
                               ASSERT_TRUE(made.ok()) << made.status();
                               connection = *std::move(made);
                               connection->Start(collector);
                               connection->Write(sent.substr(0, 10));
                               connection->Write(SharedBytes(std::string_view(sent).substr(10)));
                             });
    });
    EXPECT_EQ(echoed.get_future().get(), sent);
    On(*client_loop, [&] { connection.reset(); });
  }
  listener->reset();
  for (Executor* loop : {server_loop.get(), second_loop.get()})
    On(*loop, [&] { echoes[loop].clear(); });
}

// Keeps what is accepted, and asks its limit each time how many there are.
class Crowd {
 public:
  Crowd(Executor& loop, uint64_t most)
      : loop_(loop), limit_(std::make_shared<ConnectionLimit>(loop, most)), most_(most) {}

  std::unique_ptr<Listener> Listen(Env& env, std::vector<Executor*> loops) {
    auto made = env.network().Listen("127.0.0.1:0", std::move(loops), {.limit = limit_},
                                     [this](std::unique_ptr<Connection> c, Executor& loop) {
                                       std::lock_guard lock(mutex_);
                                       here_.emplace_back(std::move(c), &loop);
                                       EXPECT_LE(here_.size(), most_);
                                       ++accepted_;
                                       changed_.notify_all();
                                     });
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  void AwaitAccepted(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return accepted_ >= count; });
  }
  void CloseOne() {
    std::unique_lock lock(mutex_);
    auto [connection, loop] = std::move(here_.front());
    here_.pop_front();
    lock.unlock();
    On(*loop, [&] { connection.reset(); });
  }
  uint64_t taken() {
    return On(loop_, [this] { return limit_->taken(); });
  }

 private:
  Executor& loop_;
  const std::shared_ptr<ConnectionLimit> limit_;
  const uint64_t most_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<std::unique_ptr<Connection>, Executor*>> here_;
  int accepted_ = 0;
};

std::vector<std::unique_ptr<Connection>> ConnectTo(Env& env, Executor& loop,
                                                   const std::vector<std::string>& addresses) {
  std::vector<std::unique_ptr<Connection>> out;
  for (const std::string& address : addresses) {
    std::promise<StatusOr<std::unique_ptr<Connection>>> made;
    loop.Post([&] {
      env.network().Connect(address, std::chrono::seconds(5), loop,
                            [&](auto result) { made.set_value(std::move(result)); });
    });
    auto result = made.get_future().get();
    EXPECT_TRUE(result.ok()) << result.status();
    out.push_back(*std::move(result));
  }
  return out;
}

TEST(PosixNetwork, ListenersShareABoundAndTheRestWaitsForItsTurn) {
  auto env = NewPosixEnv();
  auto one = env->NewExecutor("one");
  auto two = env->NewExecutor("two");
  auto client = env->NewExecutor("client");
  Crowd crowd(*one, 2);
  auto first = crowd.Listen(*env, {one.get(), two.get()});
  auto second = crowd.Listen(*env, {one.get()});
  // All six are established in the kernel before anybody makes room.
  auto connections = ConnectTo(*env, *client,
                               {first->address(), first->address(), first->address(),
                                second->address(), second->address(), first->address()});
  for (int i = 2; i < 6; ++i) {
    crowd.AwaitAccepted(i);
    crowd.CloseOne();
  }
  crowd.AwaitAccepted(6);
  crowd.CloseOne();
  crowd.CloseOne();
  EXPECT_EQ(crowd.taken(), 0u);
  // Both still take what comes.
  auto more = ConnectTo(*env, *client, {first->address(), second->address()});
  crowd.AwaitAccepted(8);
  crowd.CloseOne();
  crowd.CloseOne();
  On(*client, [&] {
    connections.clear();
    more.clear();
  });
}

TEST(PosixNetwork, AListenerMayGoWhileItWaitsForAPlace) {
  auto env = NewPosixEnv();
  auto one = env->NewExecutor("one");
  auto client = env->NewExecutor("client");
  Crowd crowd(*one, 1);
  auto listener = crowd.Listen(*env, {one.get()});
  auto connections = ConnectTo(*env, *client, {listener->address(), listener->address()});
  crowd.AwaitAccepted(1);
  listener.reset();
  crowd.CloseOne();
  On(*one, [] {});
  EXPECT_EQ(crowd.taken(), 0u);
  On(*client, [&] { connections.clear(); });
}

TEST(PosixNetwork, SaysWhyItCannotListenOrConnect) {
  auto env = NewPosixEnv();
  auto loop = env->NewExecutor("loop");
  auto first = env->network().Listen("127.0.0.1:0", {loop.get()}, {}, [](auto, auto&) {});
  ASSERT_TRUE(first.ok());
  const std::string address = (*first)->address();
  auto second = env->network().Listen(address, {loop.get()}, {}, [](auto, auto&) {});
  EXPECT_EQ(second.status().message(), "listen tcp " + address + ": bind: address already in use");
  std::promise<Status> refused;
  loop->Post([&] {
    env->network().Connect("127.0.0.1:1", std::chrono::seconds(1), *loop,
                           [&](auto made) { refused.set_value(made.status()); });
  });
  EXPECT_EQ(refused.get_future().get().message(),
            "dial tcp 127.0.0.1:1: connect: connection refused");
}

TEST(PosixNetwork, CloseAfterFlushDeliversEverything) {
  auto env = NewPosixEnv();
  auto loop = env->NewExecutor("loop");
  std::unique_ptr<Connection> accepted;
  class Ignore : public Connection::Handler {
    void OnData(std::string_view) override {}
    void OnClosed(Status) override {}
  } ignore;
  auto listener = env->network().Listen("127.0.0.1:0", {loop.get()}, {},
                                        [&](std::unique_ptr<Connection> c, Executor&) {
                                          accepted = std::move(c);
                                          accepted->Start(ignore);
                                          accepted->Write(std::string(3 << 20, 'x'));
                                          accepted->CloseAfterFlush();
                                        });
  class UntilClosed : public Connection::Handler {
   public:
    void OnData(std::string_view data) override { bytes += data.size(); }
    void OnClosed(Status why) override { closed.set_value(why); }
    size_t bytes = 0;
    std::promise<Status> closed;
  } reader;
  std::unique_ptr<Connection> client;
  loop->Post([&] {
    env->network().Connect((*listener)->address(), std::chrono::seconds(5), *loop, [&](auto made) {
      client = *std::move(made);
      client->Start(reader);
    });
  });
  EXPECT_TRUE(reader.closed.get_future().get().ok());
  EXPECT_EQ(reader.bytes, size_t{3} << 20);
  On(*loop, [&] {
    client.reset();
    accepted.reset();
  });
}

// What the system knows of names, as a test has it; a look-up may be held up.
struct Names {
  std::mutex mutex;
  std::map<std::string, std::vector<std::string>> known;
  std::map<std::string, std::shared_future<void>> held;  // by name
  std::atomic<int> asked = 0;

  PosixResolver::System System() {
    return [this](const std::string& host) -> StatusOr<std::vector<std::string>> {
      ++asked;
      std::shared_future<void> wait;
      {
        std::lock_guard lock(mutex);
        if (auto found = held.find(host); found != held.end()) wait = found->second;
      }
      if (wait.valid()) wait.wait();
      std::lock_guard lock(mutex);
      auto found = known.find(host);
      if (found == known.end()) return absl::UnavailableError("lookup " + host + ": no such host");
      return found->second;
    };
  }
};

// Connects on `loop` and waits for the outcome; the connection is closed again.
Status Dial(Network& network, Executor& loop, const std::string& address,
            Duration timeout = std::chrono::seconds(60)) {
  std::promise<Status> dialled;
  loop.Post([&] {
    network.Connect(address, timeout, loop, [&](auto made) { dialled.set_value(made.status()); });
  });
  return dialled.get_future().get();
}

std::string PortOf(const Listener& listener) { return SplitHostPort(listener.address()).second; }

// A name that takes for ever holds up neither the loop nor other names; its loop may end meanwhile.
TEST(PosixNetwork, ANameThatIsSlowHoldsUpNothing) {
  Names names;
  std::promise<void> release;
  names.known["good.test"] = {"127.0.0.1"};
  names.held["slow.test"] = release.get_future().share();
  PosixNetwork network(names.System());
  auto env = NewPosixEnv();
  auto loop = env->NewExecutor("loop");
  auto other_loop = env->NewExecutor("other");
  auto listener = network.Listen("127.0.0.1:0", {loop.get()}, {}, [](auto, auto&) {});
  ASSERT_TRUE(listener.ok()) << listener.status();
  std::promise<Status> slow, twin;
  loop->Post([&] {
    const Duration long_time = std::chrono::minutes(5);
    network.Connect("slow.test:1", long_time, *loop, [&](auto m) { slow.set_value(m.status()); });
    network.Connect("slow.test:1", long_time, *loop, [&](auto m) { twin.set_value(m.status()); });
  });
  other_loop->Post([&] {
    network.Connect("slow.test:1", std::chrono::minutes(5), *other_loop, [](auto) { FAIL(); });
  });
  EXPECT_TRUE(Dial(network, *loop, "good.test:" + PortOf(**listener)).ok());
  On(*other_loop, [] {});
  other_loop.reset();
  release.set_value();
  EXPECT_EQ(slow.get_future().get().message(), "dial tcp: lookup slow.test: no such host");
  EXPECT_EQ(twin.get_future().get().message(), "dial tcp: lookup slow.test: no such host");
  EXPECT_LE(names.asked, 3) << "one look-up for those that wait for the same name";
}

TEST(PosixNetwork, ALookUpCountsTowardsTheTimeout) {
  Names names;
  std::promise<void> release;
  names.held["slow.test"] = release.get_future().share();
  PosixNetwork network(names.System());
  auto env = NewPosixEnv();
  auto loop = env->NewExecutor("loop");
  EXPECT_EQ(Dial(network, *loop, "slow.test:1", std::chrono::milliseconds(20)).message(),
            "dial tcp: lookup slow.test: i/o timeout");
  release.set_value();
  EXPECT_EQ(Dial(network, *loop, "slow.test").message(),
            "dial tcp: address slow.test: missing port in address");
}

TEST(PosixNetwork, APortThatThereIsNotIsNoOtherOne) {
  auto env = NewPosixEnv();
  auto loop = env->NewExecutor("loop");
  for (const std::string port : {"65536", "99999", "-1", "1x", "18446744073709551617"}) {
    for (const std::string host : {"127.0.0.1:", "0.0.0.0:", "localhost:"}) {
      const auto listener =
          env->network().Listen(host + port, {loop.get()}, {}, [](auto, auto&) {});
      EXPECT_EQ(listener.status().message(), "listen tcp: address " + port + ": invalid port");
      const Status dialled = Dial(env->network(), *loop, host + port);
      EXPECT_TRUE(absl::EndsWith(dialled.message(), ": address " + port + ": invalid port"))
          << dialled;
    }
  }
}

TEST(PosixNetwork, TriesEveryAddressOfANameAndKeepsThoseThatWereGood) {
  Names names;
  names.known["many.test"] = {"127.0.0.3", "127.0.0.2", "127.0.0.1"};
  PosixNetwork network(names.System());
  auto env = NewPosixEnv();
  auto loop = env->NewExecutor("loop");
  auto listener = network.Listen("127.0.0.1:0", {loop.get()}, {}, [](auto, auto&) {});
  ASSERT_TRUE(listener.ok()) << listener.status();
  const std::string address = "many.test:" + PortOf(**listener);
  EXPECT_TRUE(Dial(network, *loop, address).ok());
  {
    std::lock_guard lock(names.mutex);
    names.known.clear();
  }
  EXPECT_TRUE(Dial(network, *loop, address).ok()) << "the name is gone, its address is not";
  listener->reset();
  On(*loop, [] {});
  EXPECT_TRUE(IsConnectionRefused(Dial(network, *loop, address)));
}

bool HasIpv6() {
  auto env = NewPosixEnv();
  auto loop = env->NewExecutor("loop");
  return env->network().Listen("[::1]:0", {loop.get()}, {}, [](auto, auto&) {}).ok();
}

TEST(PosixNetwork, AWildcardListensOnBothFamilies) {
  auto env = NewPosixEnv();
  auto loop = env->NewExecutor("loop");
  const bool has_ipv6 = HasIpv6();
  for (const std::string host : {"0.0.0.0", "", "[::]"}) {
    if (host == "[::]" && !has_ipv6) continue;
    std::promise<std::string> remote;
    auto listener = env->network().Listen(host + ":0", {loop.get()}, {},
                                          [&, first = true](auto connection, auto&) mutable {
                                            if (std::exchange(first, false))
                                              remote.set_value(connection->remote_address());
                                          });
    ASSERT_TRUE(listener.ok()) << listener.status();
    const std::string port = PortOf(**listener);
    EXPECT_TRUE(Dial(env->network(), *loop, "127.0.0.1:" + port).ok()) << host;
    EXPECT_TRUE(remote.get_future().get().starts_with("127.0.0.1:")) << "not ::ffff:127.0.0.1";
    if (has_ipv6) EXPECT_TRUE(Dial(env->network(), *loop, "[::1]:" + port).ok()) << host;
  }
}

TEST(PosixNetwork, ListensOnEveryAddressOfANameThatTheMachineHas) {
  Names names;
  names.known["me.test"] = {"127.0.0.1", "192.0.2.1", "127.0.0.2"};
  names.known["away.test"] = {"192.0.2.1"};
  PosixNetwork network(names.System());
  auto env = NewPosixEnv();
  auto loop = env->NewExecutor("loop");
  auto listener = network.Listen("me.test:0", {loop.get()}, {}, [](auto, auto&) {});
  ASSERT_TRUE(listener.ok()) << listener.status();
  const std::string port = PortOf(**listener);
  EXPECT_TRUE(Dial(network, *loop, "127.0.0.1:" + port).ok());
  EXPECT_TRUE(Dial(network, *loop, "127.0.0.2:" + port).ok());
  EXPECT_TRUE(IsConnectionRefused(Dial(network, *loop, "127.0.0.3:" + port)));
  auto taken = network.Listen("me.test:" + port, {loop.get()}, {}, [](auto, auto&) {});
  EXPECT_EQ(taken.status().message(),
            "listen tcp 127.0.0.1:" + port + ": bind: address already in use");
  auto away = network.Listen("away.test:0", {loop.get()}, {}, [](auto, auto&) {});
  EXPECT_EQ(away.status().message(),
            "listen tcp 192.0.2.1:0: bind: cannot assign requested address");
}

TEST(PosixNetwork, ASocketsFileGoesWithItsListener) {
  TempDir dir;
  auto env = NewPosixEnv();
  auto loop = env->NewExecutor("loop");
  auto listener = env->network().Listen("unix:" + dir / "s", {loop.get()}, {}, [](auto, auto&) {});
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_TRUE(Dial(env->network(), *loop, "unix:" + dir / "s").ok());
  listener->reset();
  EXPECT_FALSE(std::filesystem::exists(dir / "s"));
}

}  // namespace
}  // namespace quoin::env

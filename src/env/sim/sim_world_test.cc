// Executors in virtual time, machines that go down, and runs that repeat.

#include "env/sim/sim_world.h"

#include <gtest/gtest.h>

#include <set>

namespace quoin::env {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(SimExecutor, RunsTasksInTheOrderOfPostingAndTimePasses) {
  SimWorld world(1);
  SimExecutor one(world), two(world);
  std::vector<int> seen;
  for (int i = 0; i < 100; ++i) {
    one.Post([&, i] {
      EXPECT_TRUE(one.IsCurrent());
      EXPECT_FALSE(two.IsCurrent());
      seen.push_back(i);
    });
  }
  EXPECT_TRUE(seen.empty()) << "never inside the call";
  world.RunFor(seconds(1));
  ASSERT_EQ(seen.size(), 100u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_FALSE(one.IsCurrent());
  EXPECT_EQ(world.Now(), seconds(1));
}

TEST(SimExecutor, TimersKeepTheirTimesAndOrder) {
  SimWorld world(2);
  SimExecutor loop(world);
  std::vector<int> seen;
  loop.Post([&] {
    loop.RunAfter(milliseconds(20), [&] { seen.push_back(3); });
    loop.RunAfter(milliseconds(10), [&] { seen.push_back(1); });
    loop.RunAfter(milliseconds(10), [&] { seen.push_back(2); });
    loop.RunAfter(milliseconds(-5), [&] { seen.push_back(0); });
  });
  world.RunFor(milliseconds(9));
  EXPECT_EQ(seen, (std::vector<int>{0}));
  world.RunFor(milliseconds(2));
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2}));
  world.RunFor(milliseconds(10));
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3}));
}

TEST(SimExecutor, ACancelledTimerDoesNotRunEvenWhenItIsDue) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SimWorld world(seed);
    SimExecutor loop(world);
    auto token = std::make_shared<int>(0);
    bool ran = false;
    loop.Post([&] {
      TimerId first, second;
      // Due together: whichever runs first cancels the other.
      second = loop.RunAfter(milliseconds(1), [&, token] { ran = true; });
      first = loop.RunAfter(milliseconds(0), [] {});
      EXPECT_TRUE(loop.Cancel(second));
      EXPECT_FALSE(loop.Cancel(second));
      EXPECT_FALSE(loop.Cancel({}));
      const TimerId later = loop.RunAfter(milliseconds(2), [&, token] { ran = true; });
      loop.RunAfter(milliseconds(2) - std::chrono::nanoseconds(1),
                    [&, later] { EXPECT_TRUE(loop.Cancel(later)); });
      (void)first;
    });
    world.RunFor(seconds(1));
    EXPECT_FALSE(ran) << "seed " << seed;
    EXPECT_EQ(token.use_count(), 1) << "a cancelled task is destroyed";
  }
}

TEST(SimExecutor, TheEndOfATurnComesAfterItsTasks) {
  std::set<size_t> turn_sizes;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SimWorld world(seed);
    SimExecutor loop(world);
    size_t in_turn = 0, ended = 0;
    bool asked = false;
    for (int i = 0; i < 8; ++i) {
      loop.Post([&] {
        ++in_turn;
        if (std::exchange(asked, true)) return;
        loop.AtEndOfTurn([&] {
          EXPECT_TRUE(loop.IsCurrent());
          loop.AtEndOfTurn([&] {
            turn_sizes.insert(in_turn);
            ended += std::exchange(in_turn, 0);
            asked = false;
          });
        });
      });
    }
    world.RunFor(seconds(1));
    EXPECT_EQ(ended, 8u) << "seed " << seed;
  }
  EXPECT_TRUE(turn_sizes.contains(1));
  EXPECT_TRUE(turn_sizes.contains(8));
  EXPECT_GT(turn_sizes.size(), 4u);
}

TEST(SimExecutor, DestructionDestroysTasksUnrun) {
  SimWorld world(1);
  auto token = std::make_shared<int>(0);
  // A task whose own end posts again: that must be dropped.
  struct Poster {
    SimExecutor* loop;
    std::shared_ptr<int> token;
    ~Poster() {
      if (loop != nullptr) loop->Post([token = token] {});
    }
  };
  {
    SimExecutor loop(world);
    loop.Post([token, &loop] { loop.RunAfter(seconds(9), [token] { ADD_FAILURE(); }); });
    world.RunFor(seconds(1));
    loop.Post([poster = std::make_unique<Poster>(&loop, token)] { ADD_FAILURE(); });
    loop.PostAt(world.Now() + seconds(5), [token] { ADD_FAILURE(); });
    EXPECT_GE(token.use_count(), 4);
  }
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(world.Step()) << "nothing of it is left";
}

TEST(SimWorld, RunsUntilAndUnschedules) {
  SimWorld world(1);
  int ran = 0;
  world.Schedule(seconds(1), [&] { ++ran; });
  const uint64_t event = world.Schedule(seconds(2), [&] { ran += 100; });
  world.Schedule(seconds(3), [&] { ++ran; });
  EXPECT_TRUE(world.RunUntil([&] { return ran == 1; }, 10));
  EXPECT_EQ(world.Now(), seconds(1));
  EXPECT_TRUE(world.Unschedule(event));
  EXPECT_FALSE(world.Unschedule(event));
  EXPECT_FALSE(world.RunUntil([&] { return ran == 9; }, 10));
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(world.events(), 2u);
}

// One life of a machine that appends to a log, syncs, and acknowledges; and its crashes.
class Machine {
 public:
  Machine(SimWorld& world, SimNetwork& network, std::string host)
      : world_(world), network_(network), host_(std::move(host)), disk_(&world) {}

  void Start() {
    env_ = std::make_unique<SimEnv>(world_, disk_, network_, host_);
    loop_ = env_->NewExecutor("log");
    auto file = disk_.Open("log", OpenMode::kCreate);
    if (!file.ok()) file = disk_.Open("log", OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok()) << file.status();
    file_ = *std::move(file);
    ASSERT_TRUE(disk_.SyncDirectory("").ok());
    const uint64_t size = file_->blocking().Size().value();
    ASSERT_GE(size, durable_) << "acknowledged bytes are gone";
    std::string content(size, '\0');
    ASSERT_TRUE(file_->blocking().Read(0, content).ok());
    ASSERT_EQ(content.substr(0, durable_), std::string(durable_, 'x'));
    offset_ = durable_;
    loop_->Post([this] { Append(); });
  }
  // What ran is told nothing; it is destroyed afterwards, as a test would.
  void Crash() {
    env_->Crash();
    const uint64_t before = durable_;
    world_.RunFor(milliseconds(50));
    EXPECT_EQ(durable_, before) << "it ran on after the crash";
    EXPECT_TRUE(absl::IsAborted(file_->blocking().Write(0, "late")));
    EXPECT_TRUE(absl::IsAborted(disk_.Remove("log"))) << "no power";
    file_.reset();
    loop_.reset();
    env_.reset();
  }
  uint64_t durable() const { return durable_; }

 private:
  void Append() {
    const uint64_t bytes = 1 + env_->Random() % 900;
    auto data = std::make_shared<std::string>(bytes, 'x');
    file_->Write(offset_, {*data}, *loop_, [this, data](Status status) {
      ASSERT_TRUE(status.ok());
      offset_ += data->size();
      file_->Sync(*loop_, [this, end = offset_](Status synced) {
        ASSERT_TRUE(synced.ok());
        durable_ = end;
        loop_->RunAfter(milliseconds(1), [this] { Append(); });
      });
    });
  }

  SimWorld& world_;
  SimNetwork& network_;
  const std::string host_;
  SimDisk disk_;
  uint64_t offset_ = 0, durable_ = 0;
  std::unique_ptr<SimEnv> env_;
  std::unique_ptr<Executor> loop_;
  std::unique_ptr<File> file_;
};

// Several machines, crashes at drawn times. Returns the trace.
uint64_t Crashes(uint64_t seed) {
  SimWorld world(seed);
  SimNetwork network(world);
  std::vector<std::unique_ptr<Machine>> machines;
  for (int i = 0; i < 3; ++i) {
    machines.push_back(std::make_unique<Machine>(world, network, "10.0.0." + std::to_string(i)));
    machines.back()->Start();
  }
  for (int round = 0; round < 20 && !testing::Test::HasFatalFailure(); ++round) {
    const size_t events = 1 + world.random().Below(300);
    for (size_t i = 0; i < events; ++i) world.Step();
    Machine& unlucky = *machines[world.random().Below(machines.size())];
    unlucky.Crash();
    unlucky.Start();
  }
  uint64_t durable = 0;
  for (const auto& machine : machines) {
    durable += machine->durable();
    machine->Crash();
  }
  EXPECT_GT(durable, 0u);
  return world.trace();
}

TEST(SimWorld, TheSameSeedGivesTheSameRunAndAnotherSeedAnother) {
  std::set<uint64_t> traces;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const uint64_t trace = Crashes(seed);
    EXPECT_EQ(trace, Crashes(seed)) << "seed " << seed;
    traces.insert(trace);
  }
  EXPECT_EQ(traces.size(), 20u);
}

TEST(SimWorld, WhatIsWrittenShowsInTheTrace) {
  std::set<uint64_t> traces;
  for (const char* text : {"a", "b"}) {
    SimWorld world(1);
    SimDisk disk(&world);
    SimExecutor loop(world);
    auto file = disk.Open("f", OpenMode::kCreate);
    (*file)->Write(0, {text}, loop, [](Status) {});
    world.RunFor(seconds(1));
    traces.insert(world.trace());
  }
  EXPECT_EQ(traces.size(), 2u);
}

// A named loop that waits for the disk ends the run, in every test of a whole member.
TEST(SimExecutorDeathTest, LoopsThatMustNotWaitMayNotTouchTheDisk) {
  auto touch = [](const char* name) {
    SimWorld world(1);
    SimNetwork network(world);
    SimDisk disk(&world);
    SimEnv env(world, disk, network, "10.0.0.1");
    auto loop = env.NewExecutor(name);
    loop->Post([&disk] { (void)disk.Stat("x"); });
    world.RunFor(std::chrono::seconds(1));
  };
  for (const char* name : {"wal", "apply", "storage", "main"}) touch(name);
  for (const char* name : {"raft", "peer", "lease", "io0"})
    EXPECT_DEATH(touch(name), "would wait for the disk: .*x");
}

}  // namespace
}  // namespace quoin::env

// A whole member on a simulated disk and virtual time: what it acknowledged survives every crash.

#include "server/node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "env/sim/sim_world.h"
#include "proto/rpc.pb.h"

namespace quoin::sim {
namespace {

constexpr size_t kStepsMax = 2'000'000;

// One machine: a disk that stays, and a member that comes and goes on it.
class Machine {
 public:
  explicit Machine(uint64_t seed) : world_(seed), disk_(&world_), network_(world_) {
    config_.name = "m0";
    config_.data_dir = "data";
    config_.advertise_peer_urls = {"http://10.0.0.1:2380"};
    config_.advertise_client_urls = {"http://10.0.0.1:2379"};
    config_.initial_cluster = {{"m0", config_.advertise_peer_urls}};
    config_.snapshot_count = 50;
    config_.wal_segment_bytes = 64 * 1024;
    config_.checkpoint_interval = std::chrono::milliseconds(300);
  }
  ~Machine() { Down(); }

  Status Start() {
    env_ = std::make_unique<env::SimEnv>(world_, disk_, network_);
    io_ = env_->NewExecutor("io");
    owner_ = env_->NewExecutor("owner");
    ready_ = false;
    ASSIGN_OR_RETURN(node_, server::Node::Start(*env_, config_, {io_.get()}, *owner_,
                                                {[this] { ready_ = true; }, nullptr}, log_));
    return world_.RunUntil([this] { return ready_; }, kStepsMax)
               ? OkStatus()
               : absl::DeadlineExceededError("never ready");
  }

  // The process is gone and the disk loses what was not synced.
  void Crash() {
    Down();
    disk_.Crash(world_.random());
  }

  // Proposes a put; `acknowledged` runs when the member says that it is done.
  void Put(const std::string& key, const std::string& value,
           std::function<void(int64_t)> acknowledged) {
    io_->Post([this, key, value, acknowledged] {
      etcdserverpb::PutRequest put;
      put.set_key(key);
      put.set_value(value);
      auto done = [acknowledged](const state::ApplyResult& result) {
        if (result.status.ok()) acknowledged(result.revision);
      };
      auto wait = node_->frontend(0).Propose(state::Operation::kPut, put.SerializeAsString(), done);
      ASSERT_TRUE(wait.ok());
      std::move(*wait).Detach();
    });
  }

  // Proposes a put that may be refused at once.
  void Offer(const std::string& key, const std::string& value, std::function<void(bool)> accepted,
             std::function<void()> answered) {
    io_->Post([this, key, value, accepted, answered] {
      etcdserverpb::PutRequest put;
      put.set_key(key);
      put.set_value(value);
      auto wait = node_->frontend(0).Propose(state::Operation::kPut, put.SerializeAsString(),
                                             [answered](const state::ApplyResult&) { answered(); });
      accepted(wait.ok());
      if (wait.ok()) kept_.push_back(std::make_shared<decltype(wait)>(std::move(wait)));
    });
  }

  // `physical`: answered when its effect is on disk.
  void Compact(int64_t revision, std::function<void()> durable) {
    io_->Post([this, revision, durable] {
      etcdserverpb::CompactionRequest request;
      request.set_revision(revision);
      request.set_physical(true);
      auto wait =
          node_->frontend(0).Propose(state::Operation::kCompaction, request.SerializeAsString(),
                                     [durable](const state::ApplyResult&) { durable(); });
      ASSERT_TRUE(wait.ok());
      std::move(*wait).Detach();
    });
  }

  // All keys, as a linearizable read sees them.
  std::map<std::string, std::string> Read(int64_t& revision) {
    bool readable = false;
    io_->Post([&] {
      server::Frontend& frontend = node_->frontend(0);
      if (frontend.ReadableNow())
        readable = true;
      else
        frontend.WaitReadable([&](Status status) { readable = status.ok(); }).Detach();
    });
    EXPECT_TRUE(world_.RunUntil([&] { return readable; }, kStepsMax));
    std::map<std::string, std::string> found;
    server::Frontend& frontend = node_->frontend(0);
    EpochDomain::Guard guard(frontend.slot());
    const mvcc::View view = frontend.store().Current(btree::OnMiss::kLoad);
    mvcc::RangeQuery query;
    query.key = std::string_view("\0", 1);
    query.range_end = std::string_view("\0", 1);
    StatusOr<mvcc::RangeResult> range = view.Range(query);
    EXPECT_TRUE(range.ok()) << range.status();
    for (const mvcc::KeyValue& kv : range->kvs) found.emplace(kv.key, kv.value);
    revision = view.revision();
    return found;
  }

  env::SimWorld& world() { return world_; }
  server::NodeConfig& config() { return config_; }
  server::Node& node() { return *node_; }
  env::SimDisk& disk() { return disk_; }

 private:
  void Down() {
    kept_.clear();
    node_.reset();
    io_.reset();
    owner_.reset();
    env_.reset();
  }

  NullLogger log_;
  env::SimWorld world_;
  env::SimDisk disk_;
  env::SimNetwork network_;
  server::NodeConfig config_;
  std::unique_ptr<env::SimEnv> env_;
  std::unique_ptr<env::Executor> io_, owner_;
  std::unique_ptr<server::Node> node_;
  bool ready_ = false;
  std::vector<std::shared_ptr<void>> kept_;  // waits for proposals
};

TEST(SimulatedMember, PutCrashGet) {
  Machine machine(1);
  ASSERT_EQ(machine.Start(), OkStatus());
  int64_t acknowledged = 0;
  machine.Put("k", "v", [&](int64_t revision) { acknowledged = revision; });
  ASSERT_TRUE(machine.world().RunUntil([&] { return acknowledged != 0; }, kStepsMax));
  EXPECT_EQ(acknowledged, 2);
  machine.Crash();
  ASSERT_EQ(machine.Start(), OkStatus());
  int64_t revision = 0;
  EXPECT_EQ(machine.Read(revision), (std::map<std::string, std::string>{{"k", "v"}}));
  EXPECT_EQ(revision, 2);
}

// However much is written: what waits for the disk, and what is kept of the log, has a bound.
TEST(SimulatedMember, DirtyPagesAndTheLogInMemoryAreBounded) {
  Machine machine(7);
  machine.config().checkpoint_dirty_bytes = 256 * 1024;
  machine.config().checkpoint_interval = std::chrono::hours(1);  // bytes alone bring checkpoints
  machine.config().log_tail_bytes = 64 * 1024;
  ASSERT_EQ(machine.Start(), OkStatus());
  constexpr int kPuts = 3000, kAtOnce = 8;
  constexpr size_t kValueBytes = 4000;
  // A batch copies its pages before anybody looks, and the disk needs a moment.
  constexpr uint64_t kBatchBytes = kAtOnce * 8 * 4096;
  int sent = 0, answered = 0;
  uint64_t dirty_most = 0, log_most = 0;
  while (answered < kPuts) {
    while (sent < kPuts && sent < answered + kAtOnce) {
      machine.Put("k" + std::to_string(sent++ % 100), std::string(kValueBytes, 'x'),
                  [&](int64_t) { ++answered; });
    }
    ASSERT_TRUE(machine.world().Step());
    const btree::Stats stats = machine.node().frontend(0).tree().stats();
    dirty_most = std::max(dirty_most, stats.dirty_bytes + stats.writing_bytes);
    log_most = std::max(log_most, machine.node().info().raft_log_bytes.load());
  }
  EXPECT_LE(dirty_most, 2 * (256 * 1024 + kBatchBytes));
  EXPECT_LE(log_most, 64 * 1024 + 2 * kAtOnce * kValueBytes);
  EXPECT_GT(dirty_most, 128 * 1024u);
  EXPECT_GT(log_most, 32 * 1024u);
}

// Proposals that come while the log's disk stalls: as many as there is room for are taken, and all
// of those are carried out; the others are refused at once.
TEST(SimulatedMember, ProposalsBehindAStalledDiskAreBounded) {
  constexpr uint64_t kUnappliedMax = 4 << 20;
  constexpr int kPuts = 4000, kAtOnce = 50;
  Machine machine(11);
  machine.config().unapplied_bytes_max = kUnappliedMax;
  ASSERT_EQ(machine.Start(), OkStatus());
  env::SimDiskTimes stalled;
  stalled.sync = {std::chrono::seconds(60), std::chrono::seconds(60)};
  machine.disk().set_times(stalled);

  int taken = 0, refused = 0, answered = 0;
  int64_t most = 0;
  const std::string value(4000, 'x');
  for (int sent = 0; sent < kPuts; sent += kAtOnce) {
    for (int i = 0; i < kAtOnce; ++i) {
      machine.Offer(
          "k" + std::to_string(i), value, [&](bool accepted) { ++(accepted ? taken : refused); },
          [&] { ++answered; });
    }
    ASSERT_TRUE(
        machine.world().RunUntil([&] { return taken + refused == sent + kAtOnce; }, kStepsMax));
    machine.world().RunFor(std::chrono::milliseconds(1));
    most = std::max(most, machine.node().info().unapplied.used());
  }
  // One round of proposals is under way when the limit is reached.
  EXPECT_LE(most, static_cast<int64_t>(kUnappliedMax + kAtOnce * (value.size() + 4096)));
  EXPECT_GT(taken, kPuts / 10);
  EXPECT_GT(refused, kPuts / 2);
  EXPECT_LT(machine.node().info().raft_log_bytes.load(), 2 * kUnappliedMax);

  // Those that are taken have timed out by now, and are done nevertheless.
  machine.disk().set_times({});
  const uint64_t applied = machine.node().info().commit_index.load() + static_cast<uint64_t>(taken);
  EXPECT_TRUE(machine.world().RunUntil(
      [&] { return machine.node().info().applied_index.load() >= applied; }, kStepsMax));
  const int before = answered;
  machine.Put("k", "v", [&](int64_t) { ++answered; });
  EXPECT_TRUE(machine.world().RunUntil([&] { return answered > before; }, kStepsMax));
}

// A flood that the disk cannot take: what is applied waits for checkpoints, as nothing else does.
TEST(SimulatedMember, AFloodWaitsForTheDiskAndIsAnswered) {
  Machine machine(8);
  machine.config().checkpoint_dirty_bytes = 256 * 1024;
  machine.config().checkpoint_interval = std::chrono::hours(1);
  ASSERT_EQ(machine.Start(), OkStatus());
  machine.disk().set_sync_time(std::chrono::milliseconds(20), std::chrono::milliseconds(20));
  constexpr int kPuts = 3000;
  constexpr uint64_t kEntryBytes = 16 * 4096;  // the pages that one put may copy
  int answered = 0;
  for (int i = 0; i < kPuts; ++i)
    machine.Put("k" + std::to_string(i), std::string(4000, 'x'), [&](int64_t) { ++answered; });
  uint64_t dirty_most = 0;
  while (answered < kPuts) {
    ASSERT_TRUE(machine.world().Step());
    const btree::Stats stats = machine.node().frontend(0).tree().stats();
    dirty_most = std::max(dirty_most, stats.dirty_bytes + stats.writing_bytes);
  }
  EXPECT_LE(dirty_most, 2 * 256 * 1024 + kEntryBytes);
  EXPECT_GT(dirty_most, 256 * 1024u);
}

TEST(SimulatedMember, ACompactionWaitsForTheDisk) {
  Machine machine(9);
  machine.config().checkpoint_dirty_bytes = 256 * 1024;
  machine.config().compaction_batch_revisions = 50;
  ASSERT_EQ(machine.Start(), OkStatus());
  constexpr int kPuts = 3000;
  int answered = 0;
  for (int i = 0; i < kPuts; ++i)
    machine.Put(i % 2 == 0 ? "one" : "k" + std::to_string(i),
                std::string(1000, 'x'),  // in each page some stay
                [&](int64_t) { ++answered; });
  ASSERT_TRUE(machine.world().RunUntil([&] { return answered == kPuts; }, kStepsMax));
  machine.world().RunFor(std::chrono::seconds(10));  // all of it is on disk
  machine.disk().set_sync_time(std::chrono::milliseconds(50), std::chrono::milliseconds(50));
  bool durable = false;
  machine.Compact(kPuts, [&] { durable = true; });
  uint64_t dirty_most = 0;
  while (!durable) {
    ASSERT_TRUE(machine.world().Step());
    const btree::Stats stats = machine.node().frontend(0).tree().stats();
    dirty_most = std::max(dirty_most, stats.dirty_bytes + stats.writing_bytes);
  }
  constexpr uint64_t kSliceBytes = 50 * 4 * 4096;  // the pages that one slice may copy
  EXPECT_LE(dirty_most, 2 * 256 * 1024 + kSliceBytes);
  EXPECT_GT(dirty_most, 256 * 1024u);
}

// Load, a crash after a drawn number of events, recovery, again and again. Returns the trace of the
// run.
uint64_t CrashRounds(uint64_t seed, int rounds) {
  Machine machine(seed);
  std::map<std::string, std::string> acknowledged;
  std::map<std::string, std::vector<std::string>> unknown;  // sent since, without an answer
  int64_t highest = 0;
  int sent = 0, answered = 0;
  for (int round = 0; round < rounds; ++round) {
    Status started = machine.Start();
    EXPECT_TRUE(started.ok()) << "seed " << seed << " round " << round << ": " << started;
    if (!started.ok()) return 0;
    int64_t revision = 0;
    std::map<std::string, std::string> found = machine.Read(revision);
    EXPECT_GE(revision, highest) << "seed " << seed << " round " << round;
    highest = revision;
    for (const auto& [key, value] : acknowledged) {
      std::vector<std::string>& maybe = unknown[key];
      const bool legal =
          found.contains(key) &&
          (found[key] == value || std::count(maybe.begin(), maybe.end(), found[key]) > 0);
      EXPECT_TRUE(legal) << "seed " << seed << " round " << round << ": " << key << " = "
                         << found[key] << ", acknowledged was " << value;
    }
    for (const auto& [key, value] : found) acknowledged[key] = value;
    unknown.clear();
    const size_t crash_after = machine.world().events() + machine.world().random().Below(4000) + 1;
    while (machine.world().events() < crash_after) {
      const std::string key = "k" + std::to_string(machine.world().random().Below(20));
      const std::string value =
          "v" + std::to_string(++sent) + std::string(machine.world().random().Below(2000), 'x');
      unknown[key].push_back(value);
      machine.Put(key, value, [&, key, value](int64_t at) {
        acknowledged[key] = value;
        // What was sent before it is overwritten; later ones of the same key may still be on their
        // way.
        std::vector<std::string>& maybe = unknown[key];
        maybe.erase(maybe.begin(), std::find(maybe.begin(), maybe.end(), value) + 1);
        highest = std::max(highest, at);
        ++answered;
      });
      for (int step = 0; step < 40 && machine.world().events() < crash_after; ++step)
        machine.world().Step();
    }
    machine.Crash();
  }
  EXPECT_GT(answered, rounds);
  return machine.world().trace();
}

class SimulatedCrashes : public testing::TestWithParam<uint64_t> {};

TEST_P(SimulatedCrashes, LoseNothingAcknowledged) {
  const uint64_t trace = CrashRounds(GetParam(), 12);
  if (HasFailure()) return;
  EXPECT_EQ(CrashRounds(GetParam(), 12), trace) << "the same seed gave another run";
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimulatedCrashes, testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace quoin::sim

#include "sim/run.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sim/convergence.h"
#include "sim/faults.h"
#include "sim/workload.h"

namespace quoin::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr size_t kStepsMax = 4'000'000;  // events that anything may take
// A call's unsent bytes may reach 1 MiB, and a part of an answer is a quarter of that.
constexpr size_t kTaskBytesMax = 4 << 20;

// What a run may have, and how often it has it. They settle in this order: nothing is written
// before the members are there and have space.
struct Kind {
  std::string_view name;
  double chance;
  bool serves;  // needs members that do
  std::unique_ptr<Workload> (*make)(const Stage&);
};
constexpr Kind kKinds[] = {
    {"membership", 0.4, false, NewMembershipLoad},
    {"grpc", 0.4, true, NewGrpcLoad},
    {"kv", 1, false, NewKvLoad},
    {"compaction", 0.7, false, NewCompactionLoad},
    {"leases", 0.4, true, NewLeaseLoad},
    {"watches", 0.4, true, NewWatchLoad},
    {"locks", 0.25, true, NewLockLoad},
};
constexpr std::string_view kSlowLoops = "slow-loops";
constexpr std::string_view kNames = "names";
constexpr std::string_view kEtcdRepairs = "etcd-repairs";

class Run {
 public:
  explicit Run(const RunOptions& options)
      : fleet_(options, result_),
        observer_(fleet_),
        clients_(fleet_),
        faults_(fleet_, [this](Host& host) { Load(host); }) {}

  RunResult Go();

 private:
  Prng& random() { return fleet_.random(); }
  // In every run the same numbers are drawn, whether it is told what it has or not.
  bool Has(std::string_view name, double chance);
  server::NodeConfig DrawShape();
  void Setup();

  // --- time ---
  void Step();
  void Pass(env::Duration time);
  void PassFor(env::Duration time);
  bool PassUntil(const std::function<bool()>& done, env::Duration end);
  void TellOfChanges();
  void OnElected(Host& host, uint64_t term);
  void Load(Host& host);

  // --- the end ---
  void Finish();
  bool Settle();
  void CheckTurns();
  void Fill();

  RunResult result_;
  Fleet fleet_;
  Observer observer_;
  Clients clients_;
  Faults faults_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::map<uint64_t, size_t> leaders_;  // term → number of the host that led it
  Host* elected_ = nullptr;             // since somebody looked
  Host* snapshot_at_ = nullptr;         // likewise, a leader's snapshot
  bool changes_are_heard_ = false;
};

bool Run::Has(std::string_view name, double chance) {
  const bool drawn = random().Chance(chance);
  const std::string& asked = fleet_.options().workloads;
  if (asked.empty()) return drawn;
  return ("," + asked + ",").find("," + std::string(name) + ",") != std::string::npos;
}

server::NodeConfig Run::DrawShape() {
  const bool restless = faults_.restless();
  server::NodeConfig config;
  config.snapshot_count = 10 + random().Below(150);
  config.catch_up_entries = 1 + random().Below(60);
  config.wal_segment_bytes = 16'384 << random().Below(4);
  config.checkpoint_interval = milliseconds(20 + random().Below(1000));
  config.compaction_batch_revisions = 1 + random().Below(60);
  config.pre_vote = random().Chance(0.8);
  config.strict_reconfig_check = random().Chance(0.5);
  config.learners_max = 2;
  config.lease_checkpoint = random().Chance(0.3);
  if (restless || random().Chance(0.3)) {
    config.heartbeat_interval = milliseconds(20);
    config.election_timeout = milliseconds(200);
  }
  if (restless || random().Chance(0.3))
    config.message_bytes_max = restless ? 1 : 1 + random().Below(2000);
  if (restless || random().Chance(0.3))
    config.inflight_messages_max = restless ? 1 : 1 + random().Below(4);
  return config;
}

void Run::Setup() {
  const RunOptions& options = fleet_.options();
  const Stage stage{fleet_, observer_, clients_};
  bool serves = false, changes = false;
  for (const Kind& kind : kKinds) {
    if (!Has(kind.name, kind.chance)) continue;
    fleet_.Say("with " + std::string(kind.name));
    workloads_.push_back(kind.make(stage));
    serves = serves || kind.serves;
    changes = changes || kind.name == "membership";
  }
  const bool slow = Has(kSlowLoops, 0.4);
  if (slow) fleet_.Say("with slow loops");
  fleet_.set_slow_loops(slow);
  fleet_.set_named(Has(kNames, 0.3));
  fleet_.set_etcd_repairs(Has(kEtcdRepairs, 0.2));
  int members = options.members;
  if (changes && random().Chance(0.7))
    members = 1 + static_cast<int>(random().Below(static_cast<uint64_t>(members)));
  PrepareNetwork(options.mutant, fleet_.network());
  fleet_.Make(members, changes ? options.members + 1 - members : 0, DrawShape());
  fleet_.set_before_crash([this](Host& host) { observer_.Learn(host); });
  fleet_.set_on_elected([this](Host& host, uint64_t term) { OnElected(host, term); });
  fleet_.set_on_snapshot([this](Host& host) { snapshot_at_ = &host; });
  for (auto& host : fleet_.hosts()) {
    host->machine->set_serves(serves);
    PrepareDisk(options.mutant, *host->machine);
  }
  for (auto& workload : workloads_) {
    workload->Setup();
    changes_are_heard_ = changes_are_heard_ || workload->hears_of_changes();
  }
}

bool Run::PassUntil(const std::function<bool()>& done, env::Duration end) {
  auto over = [&] {
    if (fleet_.options().mutant != Mutant::kNone) {
      for (auto& host : fleet_.hosts())
        if (host->machine->up()) Misbehave(fleet_.options().mutant, *host->machine);
    }
    if (changes_are_heard_) TellOfChanges();
    return done() || fleet_.world().Now() >= end;
  };
  fleet_.world().RunUntil(over, kStepsMax);
  return done();
}

void Run::TellOfChanges() {
  for (auto& host : fleet_.hosts()) {
    if (!host->machine->up() || host->applied == host->machine->applied()) continue;
    host->applied = host->machine->applied();
    for (auto& workload : workloads_)
      if (workload->hears_of_changes()) workload->OnChange(*host);
  }
}

// Lets time pass. An election is when a fault does most harm: some come right then.
void Run::Pass(env::Duration time) {
  env::SimWorld& world = fleet_.world();
  const env::Duration end = world.Now() + time;
  auto look = [this] { return elected_ != nullptr || snapshot_at_ != nullptr || fleet_.failed(); };
  while (world.Now() < end && !fleet_.failed() && PassUntil(look, end)) {
    if (Host* host = std::exchange(snapshot_at_, nullptr);
        host != nullptr && random().Chance(0.4)) {
      PassFor(microseconds(random().Below(20'000)));
      faults_.StrikeAtSnapshot(*host);
    }
    if (elected_ == nullptr) continue;
    Host& elected = *std::exchange(elected_, nullptr);
    if (!random().Chance(faults_.strike_chance())) continue;
    PassFor(microseconds(random().Below(random().Chance(0.3) ? 1'000 : 60'000)));
    faults_.StrikeAtElection(elected);
  }
  if (world.Now() < end && !fleet_.failed()) PassFor(end - world.Now());
  if (world.Now() < end) world.RunFor(end - world.Now());  // nothing happens any more
}

void Run::PassFor(env::Duration time) {
  PassUntil([this] { return fleet_.failed(); }, fleet_.world().Now() + time);
}

void Run::OnElected(Host& host, uint64_t term) {
  fleet_.Say(host.machine->host() + " leads term " + std::to_string(term));
  if (leaders_.try_emplace(term, host.number).first->second != host.number)
    fleet_.Fail("two leaders in term " + std::to_string(term));
  elected_ = &host;
}

void Run::Load(Host& host) {
  for (auto& workload : workloads_) {
    if (host.machine->up()) workload->Start(host);  // a change of members may take it down
  }
}

void Run::Step() {
  const bool restless = faults_.restless();
  Host& host = fleet_.Any();
  if (!host.machine->up()) {
    if (!restless || random().Chance(0.1)) fleet_.Start(host);
  } else if (random().Chance(restless ? 0.02 : 0.25)) {
    faults_.Draw();
  } else if (!host.stopping) {
    Load(host);
    observer_.Learn(host);
  }
  Pass(milliseconds(random().Below(random().Chance(0.8) ? 200 : 2000)));
  fleet_.Tend();
}

// All go on, and reach the same index.
bool Run::Settle() {
  for (auto& workload : workloads_) {
    if (!fleet_.failed() && fleet_.result().stranded == 0) workload->Settle();
  }
  if (fleet_.result().stranded > 0) return false;
  return !fleet_.failed() && Converge(fleet_, observer_);
}

void Run::Finish() {
  fleet_.Heal();
  if (!fleet_.failed() && Settle()) CompareHashes(fleet_);
  if (fleet_.result().stranded > 0) return;
  for (auto& host : fleet_.hosts())
    if (!fleet_.failed()) fleet_.Crash(*host);
  for (auto& host : fleet_.hosts())
    if (!fleet_.failed()) fleet_.Start(*host);
  if (!fleet_.failed() && Settle()) CompareHashes(fleet_);
  if (fleet_.result().stranded > 0) return;
  for (auto& workload : workloads_)
    if (!fleet_.failed()) workload->Check();
  CheckTurns();
  for (auto& host : fleet_.hosts())
    result_.snapshots += host->machine->log().count("installed snapshot from leader");
  if (!fleet_.failed()) StopAll(fleet_);
  if (!fleet_.failed()) CheckTrees(fleet_);
}

// No task has held up the others of its loop.
void Run::CheckTurns() {
  const env::SimWorld::Writing& most = fleet_.world().most_written();
  if (most.bytes > kTaskBytesMax) {
    fleet_.Fail("one task of " + most.host + "'s " + most.loop + " loop wrote " +
                std::to_string(most.bytes) + " bytes while others waited");
  }
  const env::SimWorld::Waiting& wait = fleet_.world().first_wait();
  if (wait.time > env::Duration(0)) {
    fleet_.Fail(wait.host + "'s " + wait.loop + " loop waited " +
                std::to_string(std::chrono::duration_cast<milliseconds>(wait.time).count()) +
                " ms for a name: " + wait.for_what);
  }
}

void Run::Fill() {
  result_.trace = fleet_.world().trace() ^ random().Next();
  result_.virtual_time = fleet_.world().Now();
  result_.events = fleet_.world().events();
  const History& history = observer_.history();
  result_.answered = history.answered();
  result_.reads = history.reads();
  result_.revisions = history.known();
}

RunResult Run::Go() {
  Setup();
  for (auto& host : fleet_.hosts()) fleet_.Start(*host);
  for (int step = 0; step < fleet_.options().steps && !fleet_.failed(); ++step) Step();
  if (!fleet_.failed()) Finish();
  Fill();
  return result_;
}

}  // namespace

RunResult RunSeed(const RunOptions& options) { return Run(options).Go(); }

}  // namespace quoin::sim

#include "sim/run.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "btree/tree.h"
#include "mvcc/store.h"
#include "proto/rpc.pb.h"
#include "server/paths.h"
#include "sim/history.h"
#include "sim/machine.h"

namespace quoin::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kStepsMax = 4'000'000;  // events that anything may take
constexpr size_t kCallsMax = 40;         // of one member without an answer

Content Copy(const mvcc::RangeResult& range) {
  Content content;
  for (const mvcc::KeyValue& kv : range.kvs)
    content.emplace(kv.key, Held{std::string(kv.value), kv.mod_revision});
  return content;
}

class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options), world_(options.seed), network_(world_) {}
  ~Run() {
    for (Host& host : hosts_) host.machine->Crash();
  }

  RunResult Go();

 private:
  struct Host {
    std::unique_ptr<Machine> machine;
    int64_t revision = 0;  // the highest seen of this life
    size_t calls = 0;      // without an answer
    bool lived = false;    // before
  };

  Prng& random() { return world_.random(); }
  void Fail(std::string why) {
    if (!result_.failure) result_.failure = std::move(why);
  }
  void Say(const std::string& what) {
    if (!options_.prints) return;
    std::fprintf(stderr, "%10.3f ms  %s\n",
                 std::chrono::duration<double, std::milli>(world_.Now()).count(), what.c_str());
  }
  bool Until(const std::function<bool()>& done, const std::string& what) {
    if (world_.RunUntil(done, kStepsMax)) return true;
    Fail("never: " + what);
    return false;
  }

  void MakeHosts();
  void Configure(server::NodeConfig& config);
  void SetTimes(Host& host);
  void Start(Host& host);
  void Crash(Host& host);
  Host& Any() { return hosts_[random().Below(hosts_.size())]; }

  // --- time ---
  void Pass(env::Duration time);
  bool PassUntil(const std::function<bool()>& done, env::Duration end);
  void OnElected(size_t host, uint64_t term);

  // --- faults ---
  void Fault();
  void StrikeAtElection(Host& elected);
  void ChangeGuard(Host& elected);
  void CutOff(const Host& host, bool in, bool out);
  Host& LeaderOrAny();

  // --- clients ---
  void Load(Host& host);
  void Send(Host& host);
  void Write(Host& host, Call call);
  void OnWritten(size_t number, const state::ApplyResult& result);
  void Read(Host& host, bool stale);
  void Compact(Host& host);
  std::string RandomKey() { return "k" + std::to_string(random().Below(keys_)); }

  // --- what members hold ---
  std::optional<Content> Look(Host& host, int64_t* revision);
  void Harvest(Host& host);

  // --- the end ---
  void Heal();
  bool Converge();
  void CompareHashes();
  void CheckTrees();
  void LoseAllPower();
  void StopAll();

  const RunOptions options_;
  RunResult result_;
  env::SimWorld world_;
  env::SimNetwork network_;
  History history_;
  std::vector<Host> hosts_;
  std::map<uint64_t, size_t> leaders_;  // term → number of the host that led it
  std::optional<size_t> elected_;       // since somebody looked
  double strike_chance_ = 0;            // of a fault soon after an election
  bool restless_ = false;               // one election follows the other
  uint64_t keys_ = 8;
  int next_value_ = 1;
};

void Run::MakeHosts() {
  keys_ = 1 + random().Below(12);
  restless_ = random().Chance(0.3) || options_.restless;
  strike_chance_ = restless_ ? 0.9 : 0.1 * static_cast<double>(random().Below(8));
  const server::NodeConfig* first = nullptr;
  for (int i = 0; i < options_.members; ++i) {
    hosts_.push_back({std::make_unique<Machine>(world_, network_, i)});
    server::NodeConfig& config = hosts_.back().machine->config();
    if (first == nullptr) {
      Configure(config);
      first = &config;
    } else {
      config.snapshot_count = first->snapshot_count;
      config.catch_up_entries = first->catch_up_entries;
      config.wal_segment_bytes = first->wal_segment_bytes;
      config.checkpoint_interval = first->checkpoint_interval;
      config.compaction_batch_revisions = first->compaction_batch_revisions;
      config.pre_vote = first->pre_vote;
      config.heartbeat_interval = first->heartbeat_interval;
      config.election_timeout = first->election_timeout;
      config.message_bytes_max = first->message_bytes_max;
      config.inflight_messages_max = first->inflight_messages_max;
    }
    hosts_.back().machine->log().set_on_elected(
        [this, i](uint64_t term) { OnElected(static_cast<size_t>(i), term); });
    if (options_.mutant == Mutant::kAnswersBeforeSync)
      hosts_.back().machine->disk().set_lying_syncs("/wal/");
  }
  for (Host& host : hosts_) {
    for (Host& other : hosts_) {
      host.machine->config().initial_cluster[other.machine->config().name] = {
          other.machine->peer_url()};
    }
  }
}

void Run::Configure(server::NodeConfig& config) {
  config.snapshot_count = 10 + random().Below(150);
  config.catch_up_entries = 1 + random().Below(60);
  config.wal_segment_bytes = 16'384 << random().Below(4);
  config.checkpoint_interval = milliseconds(20 + random().Below(1000));
  config.compaction_batch_revisions = 1 + random().Below(60);
  config.pre_vote = random().Chance(0.8);
  if (restless_ || random().Chance(0.3)) {
    config.heartbeat_interval = milliseconds(20);
    config.election_timeout = milliseconds(200);
  }
  if (restless_ || random().Chance(0.3))
    config.message_bytes_max = restless_ ? 1 : 1 + random().Below(2000);
  if (restless_ || random().Chance(0.3))
    config.inflight_messages_max = restless_ ? 1 : 1 + random().Below(4);
}

// A disk that is as fast as any, or slow, or stops for a while now and then.
void Run::SetTimes(Host& host) {
  env::SimDiskTimes times;
  if (random().Chance(0.3)) times.sync = {milliseconds(1), milliseconds(60)};
  if (random().Chance(0.2)) times.stall_chance = 0.003;
  host.machine->disk().set_times(times);
}

void Run::Start(Host& host) {
  Say("start " + host.machine->host());
  SetTimes(host);
  host.revision = 0;
  host.calls = 0;
  if (options_.mutant == Mutant::kForgetsItsVote && host.lived) host.machine->ForgetVote();
  host.lived = true;
  const Status status = host.machine->Start();
  if (!status.ok())
    Fail(host.machine->host() + " does not start: " + std::string(status.message()));
}

void Run::Crash(Host& host) {
  if (!host.machine->up()) return;
  Say("crash " + host.machine->host());
  Harvest(host);
  host.machine->Crash();
  ++result_.crashes;
}

bool Run::PassUntil(const std::function<bool()>& done, env::Duration end) {
  auto over = [&] {
    if (options_.mutant == Mutant::kCommitsByCountingAnyTerm) {
      for (Host& host : hosts_)
        if (host.machine->up()) CommitByCountingAnyTerm(host.machine->node().raft_loop());
    }
    return done() || world_.Now() >= end;
  };
  world_.RunUntil(over, kStepsMax);
  return done();
}

// Lets time pass. An election is when a fault does most harm: some come right then.
void Run::Pass(env::Duration time) {
  const env::Duration end = world_.Now() + time;
  auto look = [this] { return elected_.has_value() || result_.failure.has_value(); };
  while (world_.Now() < end && !result_.failure && PassUntil(look, end)) {
    if (!elected_) continue;
    Host& elected = hosts_[*std::exchange(elected_, std::nullopt)];
    if (!random().Chance(strike_chance_)) continue;
    const int64_t most = random().Chance(0.3) ? 1'000 : 60'000;
    PassUntil([] { return false; }, world_.Now() + microseconds(random().Below(most)));
    StrikeAtElection(elected);
  }
  if (world_.Now() < end) world_.RunFor(end - world_.Now());
}

void Run::OnElected(size_t host, uint64_t term) {
  Say(hosts_[host].machine->host() + " leads term " + std::to_string(term));
  if (leaders_.try_emplace(term, host).first->second != host)
    Fail("two leaders in term " + std::to_string(term));
  elected_ = host;
}

void Run::StrikeAtElection(Host& elected) {
  if (random().Chance(restless_ ? 0.95 : 0.3)) return ChangeGuard(elected);
  switch (random().Below(4)) {
    case 0:
      return Crash(elected);
    case 1:
      return CutOff(elected, random().Chance(0.5), true);
    default: {  // those who made it may forget it, and it may, too
      const bool keeps_the_lead = random().Chance(0.5);
      for (Host& host : hosts_)
        if (&host != &elected || !keeps_the_lead) Crash(host);
      return;
    }
  }
}

// The new leader goes before what it has written is anywhere else, and who was away comes back.
void Run::ChangeGuard(Host& elected) {
  std::vector<Host*> away;
  for (Host& host : hosts_)
    if (!host.machine->up()) away.push_back(&host);
  network_.HealAll();
  if (restless_) network_.set_delay(microseconds(20), milliseconds(10));
  Crash(elected);
  if (random().Chance(0.3)) {  // and those who made it may have forgotten it
    for (Host& host : hosts_) {
      if (!host.machine->up()) continue;
      Crash(host);
      away.push_back(&host);
    }
  }
  for (Host* host : away) Start(*host);
  for (Host& host : hosts_)
    if (host.machine->up()) Load(host);
}

Run::Host& Run::LeaderOrAny() {
  for (Host& host : hosts_) {
    if (host.machine->leads()) return host;
  }
  return Any();
}

void Run::CutOff(const Host& host, bool in, bool out) {
  Say("cut off " + host.machine->host() + (in ? " in" : "") + (out ? " out" : ""));
  ++result_.cuts;
  for (const Host& other : hosts_) {
    if (&other == &host) continue;
    if (in) network_.Cut(other.machine->host(), host.machine->host());
    if (out) network_.Cut(host.machine->host(), other.machine->host());
  }
}

void Run::Fault() {
  switch (random().Below(9)) {
    case 0:
      return Crash(Any());
    case 1:
      return Crash(LeaderOrAny());
    case 2:
      return CutOff(LeaderOrAny(), true, true);
    case 3:
      return random().Chance(0.5) ? CutOff(Any(), true, false) : CutOff(Any(), false, true);
    case 4: {
      const std::string from = Any().machine->host(), to = Any().machine->host();
      if (from != to) network_.Cut(from, to);
      return;
    }
    case 5:
      return network_.Reset(Any().machine->host(), Any().machine->host());
    case 6:
      return SetTimes(Any());
    case 7: {
      const int64_t most = random().Chance(0.5) ? 400 : 40'000;
      return network_.set_delay(microseconds(20), microseconds(most));
    }
    default:  // all at once
      if (!random().Chance(0.2)) return network_.HealAll();
      for (Host& host : hosts_) Crash(host);
      return;
  }
}

void Run::Load(Host& host) {
  const uint64_t count = random().Below(12);
  for (uint64_t i = 0; i < count && host.calls < kCallsMax; ++i) Send(host);
}

void Run::Send(Host& host) {
  const uint64_t what = random().Below(20);
  if (what < 3) return Read(host, false);
  if (what < 5) return Read(host, true);
  if (what == 5) return Compact(host);
  Call call;
  call.key = RandomKey();
  if (what < 9) {
    call.kind = Call::Kind::kDelete;
  } else {
    call.value = "v" + std::to_string(next_value_++) + "." +
                 std::string(random().Chance(0.1) ? random().Below(3000) : 3, 'x');
    call.kind = what < 13 ? Call::Kind::kPutIf : Call::Kind::kPut;
  }
  if (call.kind == Call::Kind::kPutIf) {
    const Content& latest = history_.state(history_.known());
    const auto found = latest.find(call.key);
    call.compare = found == latest.end() ? 0 : found->second.mod_revision;
  }
  Write(host, std::move(call));
}

void Run::Write(Host& host, Call call) {
  state::Operation operation = state::Operation::kPut;
  std::string payload;
  etcdserverpb::PutRequest put;
  put.set_key(call.key);
  put.set_value(call.value);
  if (call.kind == Call::Kind::kDelete) {
    operation = state::Operation::kDeleteRange;
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(call.key);
    payload = request.SerializeAsString();
  } else if (call.kind == Call::Kind::kPut) {
    payload = put.SerializeAsString();
  } else {
    operation = state::Operation::kTxn;
    etcdserverpb::TxnRequest request;
    etcdserverpb::Compare& compare = *request.add_compare();
    compare.set_result(etcdserverpb::Compare::EQUAL);
    compare.set_target(etcdserverpb::Compare::MOD);
    compare.set_key(call.key);
    compare.set_mod_revision(call.compare);
    *request.add_success()->mutable_request_put() = put;
    request.add_failure()->mutable_request_range()->set_key(call.key);
    payload = request.SerializeAsString();
  }
  const size_t number = history_.Begin(std::move(call));
  ++host.calls;
  host.machine->Propose(operation, payload, [this, &host, number](const auto& result) {
    --host.calls;
    if (result.status.ok()) OnWritten(number, result);
  });
}

void Run::OnWritten(size_t number, const state::ApplyResult& result) {
  switch (history_.call(number).kind) {
    case Call::Kind::kDelete: {
      etcdserverpb::DeleteRangeResponse response;
      if (!response.ParseFromString(result.body)) return Fail("a response that does not parse");
      return history_.Answer(number, result.revision, response.deleted() > 0);
    }
    case Call::Kind::kPutIf: {
      etcdserverpb::TxnResponse response;
      if (!response.ParseFromString(result.body)) return Fail("a response that does not parse");
      Content seen;
      for (const auto& one : response.responses()) {
        for (const auto& kv : one.response_range().kvs())
          seen[kv.key()] = Held{kv.value(), kv.mod_revision()};
      }
      return history_.Answer(number, result.revision, response.succeeded(), std::move(seen));
    }
    default:
      return history_.Answer(number, result.revision, true);
  }
}

void Run::Read(Host& host, bool stale) {
  Call call;
  call.kind = stale ? Call::Kind::kStale : Call::Kind::kRead;
  const size_t number = history_.Begin(std::move(call));
  auto look = [this, &host, number] {
    int64_t revision = 0;
    std::optional<Content> content = Look(host, &revision);
    if (content) history_.Answer(number, revision, false, *std::move(content));
  };
  if (stale) return host.machine->io().Post(look);
  ++host.calls;
  host.machine->WaitReadable([&host, look](const Status& status) {
    --host.calls;
    if (status.ok()) look();
  });
}

// Only what has been learned: the checks need every revision once.
void Run::Compact(Host& host) {
  Harvest(host);
  if (history_.known() < 3) return;
  etcdserverpb::CompactionRequest request;
  request.set_revision(1 + static_cast<int64_t>(random().Below(history_.known() - 1)));
  host.machine->Propose(state::Operation::kCompaction, request.SerializeAsString(),
                        [](const state::ApplyResult&) {});
}

// Everything that the member holds at `*revision` (0: at its newest, which is then told).
std::optional<Content> Run::Look(Host& host, int64_t* revision) {
  server::Frontend& frontend = host.machine->node().frontend(0);
  EpochDomain::Guard guard(frontend.slot());
  const mvcc::View view = frontend.store().Current(btree::OnMiss::kLoad);
  mvcc::RangeQuery query;
  query.key = query.range_end = std::string_view("\0", 1);
  query.revision = *revision;
  StatusOr<mvcc::RangeResult> range = view.Range(query);
  if (!range.ok()) {
    Fail(host.machine->host() + " cannot read revision " + std::to_string(*revision) + ": " +
         std::string(range.status().message()));
    return std::nullopt;
  }
  if (*revision == 0) {
    *revision = view.revision();
    if (*revision < host.revision) Fail("a revision went back on " + host.machine->host());
    host.revision = std::max(host.revision, *revision);
  }
  return Copy(*range);
}

// Learns what the member knows and nobody before; and whether what it holds now is what others
// held.
void Run::Harvest(Host& host) {
  if (!host.machine->up()) return;
  int64_t newest = 0;
  std::optional<Content> content = Look(host, &newest);
  for (int64_t revision = history_.known() + 1; content && revision < newest; ++revision) {
    int64_t at = revision;
    std::optional<Content> step = Look(host, &at);
    if (!step) return;
    history_.Learn(revision, *std::move(step));
  }
  if (!content) return;
  if (auto wrong = history_.Learn(newest, *std::move(content)))
    Fail(*wrong + " (" + host.machine->host() + ")");
}

void Run::Heal() {
  Say("heal");
  network_.HealAll();
  network_.set_delay(microseconds(20), microseconds(400));
  for (Host& host : hosts_) {
    if (!host.machine->up()) Start(host);
    host.machine->disk().set_times({});
  }
}

// All go on, and reach the same index.
bool Run::Converge() {
  for (Host& host : hosts_) {
    if (!Until([&] { return host.machine->ready(); }, host.machine->host() + " becomes ready"))
      return false;
  }
  // A put that is answered: what was cut off before may still refuse some.
  std::optional<Status> answer;
  for (int attempt = 0; attempt < 20 && !(answer && answer->ok()); ++attempt) {
    answer.reset();
    Call call;
    call.key = "end";
    call.value = "e" + std::to_string(next_value_++);
    const size_t number = history_.Begin(call);
    hosts_[0].machine->Put(call.key, call.value, [&, number](const state::ApplyResult& result) {
      answer = result.status;
      if (result.status.ok()) OnWritten(number, result);
    });
    if (!Until([&] { return answer.has_value(); }, "an answer after healing")) return false;
  }
  if (!answer->ok()) {
    Fail("no progress after healing: " + std::string(answer->message()));
    return false;
  }
  auto equal = [&] {
    return std::all_of(hosts_.begin(), hosts_.end(), [&](Host& host) {
      return host.machine->applied() == hosts_[0].machine->applied();
    });
  };
  for (int quiet = 0; quiet < 3; ++quiet) {  // late calls of clients still come
    if (!Until(equal, "all members reach the same index")) return false;
    world_.RunFor(seconds(5));
  }
  if (!Until(equal, "all members reach the same index")) return false;
  for (Host& host : hosts_) Harvest(host);
  return !result_.failure;
}

void Run::CompareHashes() {
  std::optional<std::pair<uint32_t, uint32_t>> first;
  for (Host& host : hosts_) {
    std::optional<StatusOr<mvcc::HashResult>> keys;
    std::optional<StatusOr<uint32_t>> whole;
    server::Node& node = host.machine->node();
    node.storage_loop().Post([&] { keys = node.store().HashByRevision(0, node.storage_slot()); });
    node.WithFrozenImage([&](std::shared_ptr<server::FrozenImage> frozen) {
      node.storage_loop().Post([&whole, frozen = std::move(frozen)] {
        EpochDomain::ReaderSlot slot(frozen->data->tree->epochs());
        whole = mvcc::HashWholeTree(*frozen->data->tree, *frozen->image, slot, true);
      });
    });
    if (!Until([&] { return keys && whole; }, "hashes")) return;
    if (!keys->ok() || !whole->ok()) return Fail("hashing failed");
    const std::pair<uint32_t, uint32_t> hash{(*keys)->hash, **whole};
    if (!first) first = hash;
    if (hash.first != first->first) Fail(host.machine->host() + ": another HashKV");
    if (hash.second != first->second) Fail(host.machine->host() + ": another hash of all buckets");
  }
}

void Run::CheckTrees() {
  for (Host& host : hosts_) {
    const server::Paths paths(host.machine->config());
    env::BlockingFileSystem& files = host.machine->disk();
    const btree::CheckReport report = btree::CheckFile(files, paths.db);
    if (!report.problems.empty()) Fail(host.machine->host() + ": " + report.problems.front());
  }
}

void Run::LoseAllPower() {
  for (Host& host : hosts_) Crash(host);
  for (Host& host : hosts_) Start(host);
}

void Run::StopAll() {
  for (Host& host : hosts_) host.machine->Stop();
  for (Host& host : hosts_) {
    if (!Until([&] { return host.machine->stopped(); }, "an orderly stop")) return;
  }
  for (Host& host : hosts_) host.machine->Down();
}

RunResult Run::Go() {
  MakeHosts();
  for (Host& host : hosts_) Start(host);
  for (int step = 0; step < options_.steps && !result_.failure; ++step) {
    Host& host = Any();
    if (!host.machine->up()) {
      if (!restless_ || random().Chance(0.1)) Start(host);
    } else if (random().Chance(restless_ ? 0.02 : 0.25)) {
      Fault();
    } else {
      Load(host);
      Harvest(host);
    }
    Pass(milliseconds(random().Below(random().Chance(0.8) ? 200 : 2000)));
  }
  if (!result_.failure) Heal();
  if (!result_.failure && Converge()) CompareHashes();
  if (!result_.failure) LoseAllPower();
  if (!result_.failure && Converge()) CompareHashes();
  if (!result_.failure) {
    if (auto wrong = history_.Verify()) Fail(*wrong);
  }
  for (Host& host : hosts_)
    result_.snapshots += host.machine->log().count("installed snapshot from leader");
  if (!result_.failure) StopAll();
  if (!result_.failure) CheckTrees();
  result_.trace = world_.trace() ^ random().Next();
  result_.virtual_time = world_.Now();
  result_.events = world_.events();
  result_.answered = history_.answered();
  result_.reads = history_.reads();
  result_.revisions = history_.known();
  return result_;
}

}  // namespace

RunResult RunSeed(const RunOptions& options) { return Run(options).Go(); }

}  // namespace quoin::sim

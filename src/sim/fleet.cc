#include "sim/fleet.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "cluster/membership.h"

namespace quoin::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

constexpr size_t kStepsMax = 4'000'000;  // events that anything may take
constexpr const char* kLoops[] = {"apply", "storage", "checkpoint", "bulk", "io",
                                  "lease", "raft",    "peer",       "wal"};

}  // namespace

Fleet::Fleet(const RunOptions& options, RunResult& result)
    : options_(options), result_(result), world_(options.seed), network_(world_) {}

Fleet::~Fleet() {
  for (auto& host : hosts_) host->machine->Crash();
}

void Fleet::Make(int members, int spares, const server::NodeConfig& shape) {
  std::map<std::string, std::vector<std::string>> initial;
  std::vector<uint64_t> ids;
  for (int i = 0; i < members + spares; ++i) {
    auto host = std::make_unique<Host>();
    host->machine = std::make_unique<Machine>(world_, network_, i);
    host->number = static_cast<size_t>(i);
    Configure(*host, shape);
    hosts_.push_back(std::move(host));
  }
  for (int i = 0; i < members; ++i) {
    const server::NodeConfig& config = hosts_[i]->machine->config();
    initial[config.name] = config.advertise_peer_urls;
    hosts_[i]->id = cluster::MemberId(config.advertise_peer_urls, config.initial_cluster_token);
    ids.push_back(hosts_[i]->id);
  }
  std::sort(ids.begin(), ids.end());
  cluster_id_ = cluster::ClusterId(ids);
  for (int i = 0; i < members; ++i) hosts_[i]->machine->config().initial_cluster = initial;
}

void Fleet::Configure(Host& host, const server::NodeConfig& shape) {
  if (named_) {
    host.machine->UseName();
    SetRightName(host);
  }
  server::NodeConfig& config = host.machine->config();
  server::NodeConfig own = shape;
  own.name = config.name;
  own.data_dir = config.data_dir;
  own.advertise_peer_urls = config.advertise_peer_urls;
  own.advertise_client_urls = config.advertise_client_urls;
  own.listen_peer_addresses = config.listen_peer_addresses;
  config = std::move(own);
  host.machine->log().set_on_elected([this, &host](uint64_t term) {
    if (on_elected_) on_elected_(host, term);
  });
  host.machine->log().set_on_snapshot([this, &host] {
    if (on_snapshot_) on_snapshot_(host);
  });
}

void Fleet::SetRightName(const Host& host) {
  const std::vector<std::string> right = {host.machine->host()};
  network_.SetName(host.machine->peer_host(), right);
}

void Fleet::DrawName(const Host& host) {
  if (!named_) return;
  const std::string& name = host.machine->peer_host();
  Say("a bad name: " + name);
  std::vector<std::string> addresses = {host.machine->host()};
  if (random().Chance(0.3)) addresses.insert(addresses.begin(), "10.9.9.9");
  const env::Duration takes = milliseconds(random().Below(8000));
  if (random().Chance(0.3))
    network_.SetName(name, absl::UnavailableError("lookup " + name + ": no such host"), takes);
  else
    network_.SetName(name, std::move(addresses), takes);
}

void Fleet::Fail(std::string why) {
  Say("FAILED: " + why);
  if (!result_.failure) result_.failure = std::move(why);
}

void Fleet::Say(const std::string& what) const {
  if (!options_.prints) return;
  std::fprintf(stderr, "%10.3f ms  %s\n",
               std::chrono::duration<double, std::milli>(world_.Now()).count(), what.c_str());
}

bool Fleet::Until(const std::function<bool()>& done, const std::string& what) {
  if (world_.RunUntil(done, kStepsMax)) return true;
  Fail("never: " + what);
  return false;
}

Host& Fleet::Any() {
  std::vector<Host*> able;
  for (auto& host : hosts_) {
    if (host->machine->up() || MayStart(*host)) able.push_back(host.get());
  }
  CHECK(!able.empty());
  return *able[random().Below(able.size())];
}

Host* Fleet::AnyUp() {
  std::vector<Host*> up;
  for (auto& host : hosts_) {
    if (host->machine->up()) up.push_back(host.get());
  }
  return up.empty() ? nullptr : up[random().Below(up.size())];
}

Host* Fleet::AnyMemberUp() {
  std::vector<Host*> up;
  for (auto& host : hosts_) {
    if (host->machine->up() && !host->stopping && !host->machine->node().info().is_learner.load() &&
        IsMember(*host))
      up.push_back(host.get());
  }
  return up.empty() ? nullptr : up[random().Below(up.size())];
}

Host& Fleet::LeaderOrAny() {
  for (auto& host : hosts_) {
    if (host->machine->leads()) return *host;
  }
  return Any();
}

bool Fleet::MayStart(const Host& host) const {
  if (host.machine->up() || host.id == 0) return false;
  if (host.lived || host.machine->config().initial_cluster.size() > 0) return true;
  return IsMember(host);
}

void Fleet::DrawTimes(Host& host) {
  env::SimDiskTimes times;
  if (random().Chance(0.3)) times.sync = {milliseconds(1), milliseconds(60)};
  if (random().Chance(0.2)) times.stall_chance = 0.003;
  host.machine->disk().set_times(times);
  if (!slow_loops_) return;
  for (const char* loop : kLoops) {
    env::SimPace pace;
    const std::string_view name = loop;
    const bool often =
        name == "apply" || name == "storage" || name == "checkpoint" || name == "bulk";
    if (random().Chance(often ? 0.35 : 0.08)) {
      pace.task = {microseconds(10), often ? milliseconds(40) : milliseconds(3)};
      pace.stall_chance = 0.01;
      pace.stall = {milliseconds(50), milliseconds(often ? 3000 : 400)};
    }
    host.machine->SetPace(loop, pace);
  }
}

void Fleet::Join(Host& host) {
  server::NodeConfig& config = host.machine->config();
  server::NodeConfig::Existing existing{host.id, cluster_id_, {}};
  for (const cluster::Member& member : Newest()->members)
    existing.peer_urls[member.id] = member.peer_urls;
  config.joins_existing = true;
  config.existing = std::move(existing);
}

void Fleet::Start(Host& host) {
  if (!MayStart(host)) return;
  Say("start " + host.machine->host());
  DrawTimes(host);
  host.revision = 0;
  host.calls = 0;
  ++host.life;
  host.stopping = false;
  if (!host.lived && host.machine->config().initial_cluster.empty()) Join(host);
  if (etcd_repairs_ && host.lived && random().Chance(0.4)) {
    Say("etcd repairs " + host.machine->host());
    host.machine->RepairAsEtcd();
  }
  if (options_.mutant == Mutant::kForgetsItsVote && host.lived) host.machine->ForgetVote();
  host.lived = true;
  const Status status = host.machine->Start();
  if (!status.ok())
    Fail(host.machine->host() + " does not start: " + std::string(status.message()));
}

void Fleet::Crash(Host& host) {
  if (!host.machine->up()) return;
  host.stopping = false;
  Say("crash " + host.machine->host());
  if (before_crash_) before_crash_(host);
  host.machine->Crash();
  ++result_.crashes;
}

void Fleet::Stop(Host& host) {
  if (!host.machine->up() || host.stopping) return;
  Say("stop " + host.machine->host());
  host.stopping = true;
  host.machine->Stop();
  ++result_.stops;
}

std::shared_ptr<const server::ClusterInfo> Fleet::Newest() const {
  const Host* newest = nullptr;
  for (const auto& host : hosts_) {
    if (!host->machine->up()) continue;
    if (newest == nullptr || host->machine->applied() > newest->machine->applied())
      newest = host.get();
  }
  // Null, too, while it has just started.
  return newest == nullptr ? nullptr : newest->machine->node().frontend(0).cluster();
}

bool Fleet::IsMember(const Host& host) const {
  const auto newest = Newest();
  if (newest == nullptr) return false;
  return std::any_of(newest->members.begin(), newest->members.end(),
                     [&](const cluster::Member& member) { return member.id == host.id; });
}

// A quorum of those that stay knows it. Before that one of two may still need the other's vote for
// an entry that says it is gone.
bool Fleet::IsRemoved(const Host& host) const {
  const auto newest = Newest();
  if (newest == nullptr || !newest->removed.contains(host.id)) return false;
  size_t voters = 0, know = 0;
  for (const cluster::Member& member : newest->members) {
    if (member.learner) continue;
    ++voters;
    for (const auto& other : hosts_) {
      if (other->id != member.id || !other->machine->up()) continue;
      const auto view = other->machine->node().frontend(0).cluster();
      know += view != nullptr && view->removed.contains(host.id);
    }
  }
  return know > voters / 2;
}

void Fleet::Tend() {
  for (auto& host : hosts_) {
    if (!host->machine->up()) continue;
    if (host->stopping && host->machine->stopped()) {
      if (before_crash_) before_crash_(*host);
      Say("down " + host->machine->host());
      host->machine->Down();
      host->stopping = false;
    } else if (host->machine->removed() && !host->stopping) {
      Stop(*host);
    }
  }
}

void Fleet::MakeSpare(Host& host) {
  Crash(host);
  Say("wipe " + host.machine->host());
  host.machine->Wipe();
  host.machine->config().initial_cluster.clear();
  host.id = 0;
  host.lived = false;
}

void Fleet::Heal() {
  Say("heal");
  network_.HealAll();
  network_.set_delay(microseconds(20), microseconds(400));
  slow_loops_ = false;
  for (auto& host : hosts_) {
    if (host->stopping) Until([&] { return host->machine->stopped(); }, "an orderly stop");
  }
  Tend();
  for (auto& host : hosts_) {
    if (named_) SetRightName(*host);
    for (const char* loop : kLoops) host->machine->SetPace(loop, {});
    Start(*host);
    host->machine->disk().set_times({});
  }
}

}  // namespace quoin::sim

#include "sim/machine.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "api/http_pages.h"
#include "api/services.h"
#include "api/watch_hub.h"
#include "base/check.h"
#include "proto/rpc.pb.h"
#include "server/paths.h"
#include "wal/testing/etcd_log.h"
#include "wal/wal.h"

namespace quoin::sim {

Machine::Machine(env::SimWorld& world, env::SimNetwork& network, int number)
    : world_(world),
      network_(network),
      disk_(&world),
      host_("10.0.0." + std::to_string(number + 1)),
      peer_host_(host_) {
  config_.name = "m" + std::to_string(number);
  config_.data_dir = "data";
  config_.advertise_peer_urls = {peer_url()};
  config_.advertise_client_urls = {"http://" + host_ + ":2379"};
  config_.listen_peer_addresses = {host_ + ":2380"};
  config_.snapshot_count = 60;
  config_.catch_up_entries = 10;
  config_.wal_segment_bytes = 64 * 1024;
  config_.checkpoint_interval = std::chrono::milliseconds(300);
}

void Machine::UseName() {
  peer_host_ = config_.name + ".sim";
  config_.advertise_peer_urls = {peer_url()};
}

Status Machine::Start() {
  env_ = std::make_unique<env::SimEnv>(world_, disk_, network_, host_);
  for (const auto& [loop, pace] : paces_) env_->SetPace(loop, pace);
  io_ = env_->NewExecutor("io");
  owner_ = env_->NewExecutor("owner");
  ready_ = removed_ = false;
  server::Node::Events events{[this] { OnReady(); }, [this] { removed_ = true; }};
  ASSIGN_OR_RETURN(
      node_, server::Node::Start(*env_, config_, {io_.get()}, *owner_, std::move(events), log_));
  return OkStatus();
}

void Machine::OnReady() {
  ready_ = true;
  if (!serves_) return;
  context_ = std::make_unique<api::Context>(*node_, std::vector{io_.get()},
                                            [] { return api::ProcessStats(); });
  dispatcher_ = api::NewDispatcher(*context_);
  pages_ = api::NewHttpPages(*context_, api::PageSet::kAll, {}, log_);
  server_ = rpc::Server::New(*env_, {io_.get()}, rpc::ServerOptions(), dispatcher_.get(),
                             pages_.get(), log_);
  CHECK_EQ(server_->Listen(client_address(), env::ListenOptions()), OkStatus());
}

void Machine::HideBatches() {
  if (context_ == nullptr) return;
  watch::WatcherSet& set = context_->WatchesOf(*io_).set();
  node_->frontend(0).set_on_events([this, &set](int64_t revision, const watch::Batch* batch) {
    if (batch == nullptr || ++batches_ % 7 != 0) return set.OnPublished(revision, batch);
    const watch::Batch nothing{batch->after, batch->revision, {}};
    set.OnPublished(revision, &nothing);
  });
}

void Machine::SetPace(const std::string& loop, const env::SimPace& pace) {
  paces_[loop] = pace;
  if (env_ != nullptr) env_->SetPace(loop, pace);
}

void Machine::Wipe() {
  CHECK(!up());
  disk_.SetPower(true);
  CHECK_EQ(disk_.RemoveAll(config_.data_dir), OkStatus());
  CHECK_EQ(disk_.SyncDirectory("."), OkStatus());
}

void Machine::RepairAsEtcd() {
  CHECK(!up());
  disk_.SetPower(true);
  const std::string dir = server::Paths(config_).wal;
  StatusOr<std::vector<std::string>> names = disk_.List(dir);
  if (!names.ok()) return;  // there is no log yet
  std::erase_if(*names, [](const std::string& name) { return !name.ends_with(".wal"); });
  if (names->empty()) return;
  const std::string path = dir + "/" + *std::max_element(names->begin(), names->end());
  auto file = disk_.Open(path, env::OpenMode::kReadWrite);
  CHECK(file.ok());
  std::string bytes((*file)->blocking().Size().value(), '\0');
  CHECK_EQ(*(*file)->blocking().Read(0, std::span(bytes)), bytes.size());
  std::optional<wal::EtcdLog> etcd = wal::EtcdLog::Open(std::move(bytes));
  if (!etcd) return;  // it refuses
  if (!etcd->broken.empty()) {
    auto copy = disk_.Open(path + ".broken", env::OpenMode::kCreateTrunc);
    CHECK(copy.ok());
    CHECK_EQ((*copy)->blocking().Write(0, etcd->broken), OkStatus());
    CHECK_EQ((*copy)->blocking().Sync(), OkStatus());
    CHECK_EQ(disk_.SyncDirectory(dir), OkStatus());
  }
  CHECK_EQ((*file)->blocking().Resize(0), OkStatus());
  CHECK_EQ((*file)->blocking().Write(0, etcd->bytes), OkStatus());
  CHECK_EQ((*file)->blocking().Sync(), OkStatus());
}

void Machine::ForgetVote() {
  CHECK(!up());
  const std::string dir = server::Paths(config_).wal;
  env::SimEnv env(world_, disk_, network_, host_);
  std::unique_ptr<env::Executor> loop = env.NewExecutor("wal");
  auto log = wal::Recover(disk_, dir, wal::ReadMode::kRepair, Index(), log_);
  if (!log.ok()) return;  // the member itself will say why
  auto writer = wal::Writer::Open(disk_, dir, *log, {config_.wal_segment_bytes}, *loop, log_);
  CHECK(writer.ok());
  raft::HardState state = log->hard_state;
  state.vote = NodeId(0);
  bool closed = false;
  (*writer)->Append({.hard_state = state}, [](const Status& status) { CHECK(status.ok()); });
  (*writer)->Close([&](const Status&) { closed = true; });
  CHECK(world_.RunUntil([&] { return closed; }, 100'000));
}

void Machine::Crash() {
  if (env_ != nullptr) env_->Crash();
  Down();
}

// As the program ends: clients first.
void Machine::Stop() {
  stopped_ = false;
  owner_->Post([this] {
    if (server_ == nullptr) return StopNode();
    server_->Drain(std::chrono::seconds(1), [this] { owner_->Post([this] { StopNode(); }); });
  });
}

void Machine::StopNode() {
  node_->Stop(*owner_, [this] { stopped_ = true; });
}

// As the program does it.
void Machine::Down() {
  if (owner_ != nullptr) owner_->Stop();
  if (io_ != nullptr) io_->Stop();
  server_.reset();
  pages_.reset();
  dispatcher_.reset();
  context_.reset();
  node_.reset();
  io_.reset();
  owner_.reset();
  env_.reset();
  ready_ = false;
}

void Machine::Propose(state::Operation operation, const std::string& payload, OnApplied done) {
  io_->Post([this, operation, payload, done] {
    StatusOr<server::Frontend::Wait> wait = node_->frontend(0).Propose(
        operation, payload, [done](const state::ApplyResult& result) { done(result); });
    wait.ok() ? std::move(*wait).Detach() : done({wait.status()});
  });
}

void Machine::Put(const std::string& key, const std::string& value, OnApplied done) {
  etcdserverpb::PutRequest put;
  put.set_key(key);
  put.set_value(value);
  Propose(state::Operation::kPut, put.SerializeAsString(), std::move(done));
}

void Machine::WaitReadable(std::function<void(Status)> done) {
  io_->Post([this, done] {
    if (node_->frontend(0).ReadableNow()) return done(OkStatus());
    node_->frontend(0).WaitReadable([done](Status status) { done(status); }).Detach();
  });
}

std::map<std::string, std::string> Machine::Content() {
  std::map<std::string, std::string> found;
  server::Frontend& frontend = node_->frontend(0);
  EpochDomain::Guard guard(frontend.slot());
  const mvcc::View view = frontend.store().Current(btree::OnMiss::kLoad);
  mvcc::RangeQuery query;
  query.key = query.range_end = std::string_view("\0", 1);
  StatusOr<mvcc::RangeResult> range = view.Range(query);
  CHECK(range.ok());
  for (const mvcc::KeyValue& kv : range->kvs) found.emplace(kv.key, kv.value);
  return found;
}

}  // namespace quoin::sim

// Machine: one simulated computer with a whole member on it, and, if it serves, etcd's API on its
// client port. Its disk stays; the member comes and goes, by orderly stops and by power failures.
//
// Thread: the one of the world.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "api/context.h"
#include "base/log.h"
#include "env/sim/sim_world.h"
#include "rpc/server.h"
#include "server/node.h"

namespace quoin::sim {

// Counts lines of the log by their message. Thread: the one of the world.
class CountingLogger final : public Logger {
 public:
  void Write(LogLevel, std::source_location, std::string_view message, const LogField* fields,
             size_t count) override {
    ++counts_[std::string(message)];
    const bool snapshot =
        message == "sending database snapshot" || message == "installing snapshot from leader";
    if (snapshot && on_snapshot_) on_snapshot_();
    if (message != "became leader" || !on_elected_) return;
    for (const LogField& field : std::span(fields, count))
      if (field.name == "term") on_elected_(std::get<uint64_t>(field.value));
  }
  // Runs whenever the member says that it leads a term, from the task in which it does.
  void set_on_elected(std::function<void(uint64_t term)> observer) {
    on_elected_ = std::move(observer);
  }
  // Runs whenever the member begins to send a snapshot, or to install one.
  void set_on_snapshot(std::function<void()> observer) { on_snapshot_ = std::move(observer); }
  bool Enabled(LogLevel level) const override { return level >= LogLevel::kInfo; }
  int count(const std::string& message) const {
    auto found = counts_.find(message);
    return found == counts_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, int> counts_;
  std::function<void(uint64_t)> on_elected_;
  std::function<void()> on_snapshot_;
};

// Thread: the one of the world; nothing here is called from a task of the machine itself, but what
// is posted to io().
class Machine {
 public:
  using OnApplied = std::function<void(const state::ApplyResult&)>;

  // Has the host 10.0.0.<number + 1>, and limits so small that segments, snapshots and checkpoints
  // happen all the time. config().initial_cluster is the caller's.
  Machine(env::SimWorld& world, env::SimNetwork& network, int number);
  ~Machine() { Down(); }

  // Other members find it by name ("m0.sim") instead of its address. Before its first start.
  void UseName();
  const std::string& peer_host() const { return peer_host_; }
  // Once the member is ready it serves clients.
  void set_serves(bool serves) { serves_ = serves; }
  Status Start();
  // A mistake on purpose: every seventh batch that watchers are told of is said to be empty.
  void HideBatches();
  // Of a loop by its name, in this life and later ones.
  void SetPace(const std::string& loop, const env::SimPace& pace);
  // Nothing is left on the disk. REQUIRES: not up.
  void Wipe();
  // Between two lives the log's last segment has been in etcd's hands: opened, and repaired as etcd
  // does it.
  void RepairAsEtcd();
  // Writes into its log, between two lives, that it has not voted. Lets time pass.
  void ForgetVote();
  // Power failure.
  void Crash();
  // An orderly stop; the caller lets time pass until stopped(), and then calls Down.
  void Stop();
  // The member is gone without a trace on the disk.
  void Down();

  // From the machine's I/O loop; `done` on it, unless the machine goes down before.
  void Propose(state::Operation operation, const std::string& payload, OnApplied done);
  void Put(const std::string& key, const std::string& value, OnApplied done);
  void WaitReadable(std::function<void(Status)> done);
  // What the member holds now, whatever the others say.
  std::map<std::string, std::string> Content();

  bool up() const { return node_ != nullptr; }
  bool ready() const { return ready_; }
  bool removed() const { return removed_; }
  bool stopped() const { return stopped_; }
  bool leads() const { return up() && node_->info().is_leader.load(); }
  uint64_t applied() const { return node_->info().applied_index.load(); }
  uint64_t id() const { return node_->info().member_id; }
  bool serving() const { return server_ != nullptr; }
  std::string client_address() const { return host_ + ":2379"; }
  std::string peer_url() const { return "http://" + peer_host_ + ":2380"; }
  const std::string& host() const { return host_; }
  server::Node& node() { return *node_; }
  env::Executor& io() { return *io_; }
  env::SimDisk& disk() { return disk_; }
  server::NodeConfig& config() { return config_; }
  CountingLogger& log() { return log_; }

 private:
  void OnReady();
  void StopNode();

  env::SimWorld& world_;
  env::SimNetwork& network_;
  CountingLogger log_;
  env::SimDisk disk_;
  const std::string host_;
  std::string peer_host_;
  server::NodeConfig config_;
  std::unique_ptr<env::SimEnv> env_;
  std::unique_ptr<env::Executor> io_, owner_;
  std::unique_ptr<server::Node> node_;
  std::unique_ptr<api::Context> context_;
  std::unique_ptr<rpc::GrpcDispatcher> dispatcher_;
  std::unique_ptr<rpc::HttpHandler> pages_;
  std::unique_ptr<rpc::Server> server_;
  std::map<std::string, env::SimPace> paces_;
  bool serves_ = false;
  uint64_t batches_ = 0;  // HideBatches'
  bool ready_ = false, removed_ = false, stopped_ = false;
};

}  // namespace quoin::sim

// Transports on simulated machines, for tests: what they heard and stored, and how their disks
// behave.
//
// There are Machine (a transport and its host), MemorySource and MemorySink (the files of
// snapshots) and TransportTest (three machines on a network). Thread: one.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/lifeline.h"
#include "env/sim/sim_world.h"
#include "peer/transport.h"

namespace quoin::peer {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr uint64_t kCluster = 0xc547b6c6b4371e14;
inline constexpr size_t kHeldBytesMax = 16 << 20;  // by requests to one machine
inline const NodeId kRemoved(0x13884ca0cb2e62d4);

inline raft::Message NewMessage(raft::MessageType type, NodeId from, NodeId to,
                                uint64_t index = 0) {
  raft::Message message;
  message.type = type;
  message.from = from;
  message.to = to;
  message.term = Term(2);
  message.index = Index(index);
  return message;
}

// A file in memory that is sent. `fail_at`: its reading fails there.
class MemorySource final : public SnapshotSource {
 public:
  MemorySource(env::Executor& loop, std::string bytes, size_t fail_at)
      : loop_(loop), bytes_(std::move(bytes)), fail_at_(fail_at) {}
  uint64_t size_bytes() const override { return bytes_.size(); }
  void Read(size_t bytes_max, absl::AnyInvocable<void(StatusOr<std::string>)> done) override {
    loop_.Post(lifeline_.Tie([this, bytes_max, done = std::move(done)]() mutable {
      if (at_ >= fail_at_) return done(absl::DataLossError("unreadable"));
      std::string piece = bytes_.substr(at_, bytes_max);
      at_ += piece.size();
      done(std::move(piece));
    }));
  }

 private:
  env::Executor& loop_;
  const std::string bytes_;
  const size_t fail_at_;
  size_t at_ = 0;
  Lifeline lifeline_;
};

// Keeps the messages of warnings.
class WarningLog final : public Logger {
 public:
  void Write(LogLevel level, std::source_location, std::string_view message, const LogField*,
             size_t) override {
    if (level >= LogLevel::kWarn) warnings.emplace_back(message);
  }
  bool Enabled(LogLevel level) const override { return level >= LogLevel::kWarn; }

  std::vector<std::string> warnings;
};

// What a member has stored of incoming snapshots, and how its disk behaves.
struct Store {
  std::map<uint64_t, std::string> finished;  // by index
  int unfinished = 0;                        // sinks that exist
  size_t largest_write = 0;
  bool fails = false;
  bool stalls = false;
  env::Duration finish_takes{0};
};

class MemorySink final : public SnapshotSink {
 public:
  MemorySink(env::Executor& loop, Store& store, raft::Message message, Host& host)
      : loop_(loop), store_(store), message_(std::move(message)), host_(host) {
    ++store_.unfinished;
  }
  ~MemorySink() override { --store_.unfinished; }
  void Write(std::string bytes, absl::AnyInvocable<void(Status)> done) override {
    store_.largest_write = std::max(store_.largest_write, bytes.size());
    bytes_ += bytes;
    if (store_.stalls) return;
    loop_.RunAfter(milliseconds(1), [done = std::move(done), fails = store_.fails]() mutable {
      done(fails ? absl::ResourceExhaustedError("no space left on device") : OkStatus());
    });
  }
  void Finish(absl::AnyInvocable<void(Status)> done) override {
    loop_.RunAfter(store_.finish_takes, [&store = store_, &host = host_, message = message_,
                                         bytes = bytes_, done = std::move(done)]() mutable {
      store.finished[message.snapshot.metadata.index.value()] = std::move(bytes);
      host.OnMessages({std::move(message)});
      done(OkStatus());
    });
  }

 private:
  env::Executor& loop_;
  Store& store_;
  const raft::Message message_;
  Host& host_;
  std::string bytes_;
};

// One machine with a transport, and what its host heard.
class Machine final : public Host {
 public:
  Machine(env::SimWorld& world, env::SimNetwork& network, NodeId id, std::string address,
          uint64_t cluster = kCluster)
      : id_(id), address_(std::move(address)), disk_(&world) {
    env_ = std::make_unique<env::SimEnv>(world, disk_, network, address_);
    loop_ = env_->NewExecutor("peer");
    Options options;
    options.self = id;
    options.cluster_id = cluster;
    options.self_peer_urls = {url()};
    options.queue_bytes_max = 1 << 20;
    options.held_bytes_max = kHeldBytesMax;
    transport_ = Transport::New(*env_, *loop_, options, *this, log);
  }
  ~Machine() override {
    env_->Crash();
    transport_.reset();
    loop_.reset();
  }

  std::string url() const { return "http://" + address_ + ":2380"; }
  void Listen() { ASSERT_TRUE(transport_->Listen(address_ + ":2380").ok()); }
  // Runs on the peer loop, as all use of a transport.
  template <typename Use>
  void On(Use use) {
    loop_->Post([this, use] { use(*transport_); });
  }
  void Add(const Machine& other) {
    On([id = other.id_, url = other.url()](Transport& t) { t.AddPeer(id, {url}); });
  }
  // Stops the transport and destroys it in the same turn, as a member that ends does.
  void End() {
    loop_->Post([this] {
      transport_->Stop();
      transport_.reset();
    });
  }
  void Send(raft::Message message) {
    On([message](Transport& t) { t.Send({message}); });
  }
  void SendSnapshot(raft::Message message, std::string file, size_t fail_at = SIZE_MAX) {
    On([this, message, file, fail_at](Transport& t) {
      t.SendSnapshot(message, std::make_unique<MemorySource>(*loop_, file, fail_at));
    });
  }

  // --- Host ---
  void OnMessages(std::vector<raft::Message> messages) override {
    for (raft::Message& message : messages) heard.push_back(std::move(message));
  }
  void OnUnreachable(NodeId) override { ++unreachable; }
  void OnProcessGone(NodeId id) override { gone.insert(id); }
  void OnSnapshotSent(NodeId, bool ok) override { snapshots_sent.push_back(ok); }
  void OnRemoved() override { removed = true; }
  StatusOr<std::unique_ptr<SnapshotSink>> ReceiveSnapshot(const raft::Message& message) override {
    return std::make_unique<MemorySink>(*loop_, store, message, *this);
  }
  bool IsRemoved(NodeId id) override { return id == kRemoved; }
  void HandleHttp(rpc::HttpRequest request, rpc::HttpHandler::Reply reply) override {
    rpc::HttpResponse response;
    response.body = "host: " + request.target;
    reply(std::move(response));
  }

  std::vector<raft::Message> heard;
  int unreachable = 0;
  std::set<NodeId> gone;
  std::vector<bool> snapshots_sent;
  bool removed = false;
  Store store;
  WarningLog log;

  NodeId id() const { return id_; }
  const std::string& address() const { return address_; }
  env::SimEnv& env() { return *env_; }
  env::Executor& loop() { return *loop_; }

 private:
  const NodeId id_;
  const std::string address_;
  env::SimDisk disk_;
  std::unique_ptr<env::SimEnv> env_;
  std::unique_ptr<env::Executor> loop_;
  std::unique_ptr<Transport> transport_;
};

class TransportTest : public testing::Test {
 protected:
  TransportTest() {
    for (Machine* machine : {&a_, &b_, &c_}) machine->Listen();
  }
  void Connect(Machine& one, Machine& other) {
    one.Add(other);
    other.Add(one);
    world_.RunFor(seconds(1));
  }
  bool Until(const std::function<bool()>& done) { return world_.RunUntil(done, 2'000'000); }

  env::SimWorld world_{1};
  env::SimNetwork network_{world_};
  Machine a_{world_, network_, NodeId(0xd88018525b4604a0), "10.0.0.1"};
  Machine b_{world_, network_, NodeId(0xdff0671f73c25251), "10.0.0.2"};
  Machine c_{world_, network_, NodeId(3), "10.0.0.3"};
};

}  // namespace quoin::peer

#include "env/sim/sim_network.h"

#include "base/check.h"
#include "env/sim/sim_world.h"

namespace quoin::env {
namespace {

// One end of a stream. The ends know each other by weak pointers: either may go first.
class SimConnection final : public Connection, public std::enable_shared_from_this<SimConnection> {
 public:
  SimConnection(SimWorld& world, Executor& loop, std::string local, std::string remote)
      : world_(world), loop_(loop), local_(std::move(local)), remote_(std::move(remote)) {}

  void set_peer(std::weak_ptr<SimConnection> peer) { peer_ = std::move(peer); }
  void Start(Handler& handler) override {
    handler_ = &handler;
    Deliver();
  }
  void Write(std::string bytes) override {
    unsent_ += bytes.size();
    After([self = weak_from_this(), peer = peer_, bytes = std::move(bytes)] {
      if (auto to = peer.lock()) to->Arrive(bytes);
      if (auto from = self.lock()) from->Sent(bytes.size());
    });
  }
  void Write(SharedBytes bytes) override { Write(std::string(bytes.view())); }
  size_t unsent_bytes() const override { return unsent_; }
  void PauseReading() override { reading_ = false; }
  void ResumeReading() override {
    reading_ = true;
    Deliver();
  }
  void CloseAfterFlush() override { Close(); }
  // Ends this direction: the peer hears it after all bytes.
  void Close() {
    After([peer = peer_] {
      if (auto to = peer.lock()) to->End();
    });
  }
  std::string remote_address() const override { return remote_; }
  std::string local_address() const override { return local_; }

 private:
  void After(Task task) {
    const auto delay = std::chrono::microseconds(world_.random().Between(20, 400));
    last_ = std::max(last_, world_.Now() + delay);
    world_.Schedule(last_, std::move(task));
  }
  void Arrive(const std::string& bytes) {
    arrived_ += bytes;
    Deliver();
  }
  void End() {
    ended_ = true;
    Deliver();
  }
  void Sent(size_t bytes) {
    unsent_ -= bytes;
    if (unsent_ == 0) OnLoop([](SimConnection& c) { c.handler_->OnDrained(); });
  }
  void Deliver() {
    if (handler_ == nullptr || !reading_ || (arrived_.empty() && !ended_)) return;
    OnLoop([](SimConnection& c) {
      if (!c.reading_) return;
      if (!c.arrived_.empty()) {
        const std::string bytes = std::exchange(c.arrived_, {});
        c.handler_->OnData(bytes);
      } else if (c.ended_ && !std::exchange(c.told_, true)) {
        c.handler_->OnClosed(OkStatus());
      }
    });
    if (ended_ && !arrived_.empty()) {
      OnLoop([](SimConnection& c) { c.Deliver(); });
    }
  }
  template <typename F>
  void OnLoop(F f) {
    loop_.Post([self = weak_from_this(), f] {
      auto connection = self.lock();
      if (connection != nullptr && connection->handler_ != nullptr) f(*connection);
    });
  }

  SimWorld& world_;
  Executor& loop_;
  const std::string local_, remote_;
  std::weak_ptr<SimConnection> peer_;
  Handler* handler_ = nullptr;
  std::string arrived_;
  size_t unsent_ = 0;
  Duration last_{0};
  bool reading_ = true, ended_ = false, told_ = false;
};

// What the owner holds: its destruction ends the stream.
class OwnedConnection final : public Connection {
 public:
  explicit OwnedConnection(std::shared_ptr<SimConnection> connection)
      : connection_(std::move(connection)) {}
  ~OwnedConnection() override { connection_->Close(); }
  void Start(Handler& handler) override { connection_->Start(handler); }
  void Write(std::string bytes) override { connection_->Write(std::move(bytes)); }
  void Write(SharedBytes bytes) override { connection_->Write(std::move(bytes)); }
  size_t unsent_bytes() const override { return connection_->unsent_bytes(); }
  void PauseReading() override { connection_->PauseReading(); }
  void ResumeReading() override { connection_->ResumeReading(); }
  void CloseAfterFlush() override { connection_->CloseAfterFlush(); }
  std::string remote_address() const override { return connection_->remote_address(); }
  std::string local_address() const override { return connection_->local_address(); }

 private:
  std::shared_ptr<SimConnection> connection_;
};

}  // namespace

// Stops listening when destroyed. Thread: one.
class SimListener final : public Listener {
 public:
  SimListener(SimNetwork& network, std::string address)
      : network_(network), address_(std::move(address)) {}
  ~SimListener() override { network_.listeners_.erase(address_); }
  std::string address() const override { return address_; }

 private:
  SimNetwork& network_;
  const std::string address_;
};

StatusOr<std::unique_ptr<Listener>> SimNetwork::Listen(const std::string& address,
                                                       std::vector<Executor*> loops,
                                                       const ListenOptions&, OnAccept on_accept) {
  CHECK(!loops.empty());
  auto [at, fresh] = listeners_.try_emplace(address);
  if (!fresh)
    return absl::UnavailableError("listen tcp " + address + ": bind: address already in use");
  at->second = {std::move(loops), std::make_shared<OnAccept>(std::move(on_accept)), 0};
  return std::unique_ptr<Listener>(new SimListener(*this, address));
}

void SimNetwork::Connect(const std::string& address, Duration, Executor& on,
                         absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)> done) {
  auto listening = listeners_.find(address);
  if (listening == listeners_.end()) {
    on.Post([done = std::move(done), address]() mutable {
      done(absl::UnavailableError("dial tcp " + address + ": connect: connection refused"));
    });
    return;
  }
  Accepting& accepting = listening->second;
  Executor& loop = *accepting.loops[accepting.next++ % accepting.loops.size()];
  auto client = std::make_shared<SimConnection>(world_, on, "client", address);
  auto server = std::make_shared<SimConnection>(world_, loop, address, "client");
  client->set_peer(server);
  server->set_peer(client);
  loop.Post([on_accept = accepting.on_accept, &loop, server]() mutable {
    (*on_accept)(std::make_unique<OwnedConnection>(std::move(server)), loop);
  });
  on.Post([done = std::move(done), client]() mutable {
    done(std::unique_ptr<Connection>(new OwnedConnection(std::move(client))));
  });
}

}  // namespace quoin::env

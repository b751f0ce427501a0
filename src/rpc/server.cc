#include "rpc/server.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "rpc/session.h"

namespace quoin::rpc {
namespace {

constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

constexpr env::Duration kGoodbye = std::chrono::milliseconds(20);

class LoopHosts;

// One accepted connection: finds out which protocol it speaks, then hands bytes on.
// Thread: its I/O loop.
class Host final : public env::Connection::Handler, public SessionOwner {
 public:
  Host(const ServerContext& context, std::unique_ptr<env::Connection> connection,
       env::Executor& loop, std::shared_ptr<LoopMemory> memory, LoopHosts& hosts, uint64_t number)
      : context_(context),
        connection_(std::move(connection)),
        loop_(loop),
        memory_(std::move(memory)),
        hosts_(hosts),
        number_(number) {}
  ~Host() override { DisarmIdle(); }

  void Start() {
    // Who connects and says nothing does not stay.
    idle_timer_ = loop_.RunAfter(context_.options.header_timeout, [this] {
      idle_timer_ = {};
      End();
    });
    connection_->Start(*this);
  }

  void OnData(std::string_view data) override {
    if (ending_ || closing_) return;
    if (session_ == nullptr) {
      first_.append(data);
      const size_t n = std::min(first_.size(), kHttp2Preface.size());
      const bool http2 = first_.compare(0, n, kHttp2Preface.substr(0, n)) == 0;
      if (http2 && n < kHttp2Preface.size()) return;  // not sure yet
      DisarmIdle();
      // Nobody answers this protocol here: the connection ends, as with etcd.
      if (http2 ? context_.dispatcher == nullptr : context_.http == nullptr) return End();
      session_ = http2 ? NewHttp2Session(context_, *connection_, loop_, *this, memory_)
                       : NewHttp1Session(context_, *connection_, loop_, *this, memory_);
      const std::string first = std::exchange(first_, {});
      if (!session_->Feed(first)) CloseSession();
      return;
    }
    if (!session_->Feed(data)) CloseSession();
  }
  void OnDrained() override {
    if (session_ != nullptr) session_->OnDrained();
  }
  void OnClosed(Status) override {
    if (session_ != nullptr) session_->OnLost();
    End();
  }
  // Sends what is queued, then goes.
  void CloseSession() override {
    if (ending_ || closing_) return;
    closing_ = true;
    connection_->CloseAfterFlush();
  }

  void DropSession() override {
    if (ending_) return;
    session_->OnLost();
    End();
  }

  // True when nothing is left to wait for.
  void Drain() {
    if (session_ == nullptr) return End();
    if (!session_->StartDrain()) return;
    // Nothing is under way: one moment for the GOAWAY to leave, and no waiting for the peer to
    // close.
    idle_timer_ = loop_.RunAfter(kGoodbye, [this] {
      idle_timer_ = {};
      session_->OnLost();
      End();
    });
  }
  // Leaves the set of hosts, which destroys this object later in the turn.
  void End();

 private:
  void DisarmIdle() {
    if (idle_timer_.value != 0) loop_.Cancel(std::exchange(idle_timer_, {}));
  }

  const ServerContext& context_;
  std::unique_ptr<env::Connection> connection_;
  env::Executor& loop_;
  const std::shared_ptr<LoopMemory> memory_;
  LoopHosts& hosts_;
  const uint64_t number_;
  std::unique_ptr<Session> session_;
  std::string first_;
  env::TimerId idle_timer_;
  bool closing_ = false;
  bool ending_ = false;
};

// The connections of one I/O loop. Thread: that loop.
class LoopHosts {
 public:
  LoopHosts(const ServerContext& context, env::Executor& loop, std::shared_ptr<LoopMemory> memory)
      : context_(context), loop_(loop), memory_(std::move(memory)) {}

  void Accept(std::unique_ptr<env::Connection> connection) {
    if (draining_) return;  // closes it
    const uint64_t number = next_host_++;
    auto host =
        std::make_unique<Host>(context_, std::move(connection), loop_, memory_, *this, number);
    Host* started = host.get();
    hosts_.emplace(number, std::move(host));
    started->Start();
  }
  void Remove(uint64_t host) {
    auto at = hosts_.find(host);
    if (at == hosts_.end()) return;
    // Its own callbacks may be on the stack.
    loop_.Post([gone = std::move(at->second)] {});
    hosts_.erase(at);
    if (!draining_ || !hosts_.empty()) return;
    if (grace_timer_.value != 0) loop_.Cancel(std::exchange(grace_timer_, {}));
    if (on_empty_) std::exchange(on_empty_, nullptr)();
  }
  void Drain(env::Duration grace, env::Task on_empty) {
    draining_ = true;
    if (hosts_.empty()) return on_empty();
    on_empty_ = std::move(on_empty);
    std::vector<Host*> all;
    for (const auto& [number, host] : hosts_) all.push_back(host.get());
    for (Host* host : all) host->Drain();
    if (hosts_.empty()) return;
    grace_timer_ = loop_.RunAfter(grace, [this] {
      grace_timer_ = {};
      std::vector<Host*> rest;
      for (const auto& [number, host] : hosts_) rest.push_back(host.get());
      for (Host* host : rest) host->OnClosed(absl::UnavailableError("server stopped"));
    });
  }

 private:
  const ServerContext& context_;
  env::Executor& loop_;
  const std::shared_ptr<LoopMemory> memory_;
  std::map<uint64_t, std::unique_ptr<Host>> hosts_;  // in the order of their making
  uint64_t next_host_ = 1;
  bool draining_ = false;
  env::Task on_empty_;
  env::TimerId grace_timer_;
};

void Host::End() {
  if (std::exchange(ending_, true)) return;
  hosts_.Remove(number_);
}

class ServerImpl final : public Server {
 public:
  ServerImpl(env::Env& env, std::vector<env::Executor*> loops, const ServerOptions& options,
             GrpcDispatcher* dispatcher, HttpHandler* http, Logger& log)
      : env_(env),
        loops_(std::move(loops)),
        options_(options),
        context_{options_, dispatcher, http, log} {
    auto server_memory = std::make_shared<ServerMemory>(options_.unread_bytes_max);
    for (env::Executor* loop : loops_) {
      auto memory = std::make_shared<LoopMemory>(server_memory, *loop, log);
      server_memory->loops.push_back(memory.get());
      hosts_.push_back(std::make_unique<LoopHosts>(context_, *loop, std::move(memory)));
    }
  }

  Status Listen(const std::string& address, const env::ListenOptions& options) override {
    ASSIGN_OR_RETURN(auto listener,
                     env_.network().Listen(
                         address, loops_, options,
                         [this](std::unique_ptr<env::Connection> connection, env::Executor& loop) {
                           HostsOf(loop).Accept(std::move(connection));
                         }));
    listeners_.push_back(std::move(listener));
    return OkStatus();
  }

  std::vector<std::string> addresses() const override {
    std::vector<std::string> out;
    for (const auto& listener : listeners_) out.push_back(listener->address());
    return out;
  }

  void Drain(env::Duration grace, absl::AnyInvocable<void()> done) override {
    listeners_.clear();
    auto left = std::make_shared<std::atomic<size_t>>(loops_.size());
    auto shared_done = std::make_shared<absl::AnyInvocable<void()>>(std::move(done));
    for (size_t i = 0; i < loops_.size(); ++i) {
      loops_[i]->Post([hosts = hosts_[i].get(), grace, left, shared_done] {
        hosts->Drain(grace, [left, shared_done] {
          if (left->fetch_sub(1) == 1) (*shared_done)();
        });
      });
    }
  }

 private:
  LoopHosts& HostsOf(const env::Executor& loop) {
    for (size_t i = 0; i < loops_.size(); ++i) {
      if (loops_[i] == &loop) return *hosts_[i];
    }
    CHECK(false) << "a connection on a loop that is not the server's";
    return *hosts_[0];
  }

  env::Env& env_;
  const std::vector<env::Executor*> loops_;
  const ServerOptions options_;
  const ServerContext context_;
  std::vector<std::unique_ptr<LoopHosts>> hosts_;
  std::vector<std::unique_ptr<env::Listener>> listeners_;
};

}  // namespace

std::unique_ptr<Server> Server::New(env::Env& env, std::vector<env::Executor*> io_loops,
                                    const ServerOptions& options, GrpcDispatcher* dispatcher,
                                    HttpHandler* http, Logger& log) {
  return std::make_unique<ServerImpl>(env, std::move(io_loops), options, dispatcher, http, log);
}

}  // namespace quoin::rpc

#include "env/sim/sim_network.h"

#include <algorithm>
#include <deque>

#include "base/check.h"
#include "env/sim/sim_stream.h"
#include "env/sim/sim_world.h"

namespace quoin::env {
namespace {

constexpr std::string_view kUnix = "unix:";

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "127.0.0.1" || host == "::1";
}
bool IsWildcard(const std::string& host) {
  return host.empty() || host == "0.0.0.0" || host == "::";
}

// Under which a listener stands, when loops of `machine` listen on `address`.
std::string KeyOf(const std::string& address, const std::string& machine) {
  if (address.starts_with(kUnix)) return machine + "|" + address;
  const auto [host, port] = SplitHostPort(address);
  if (IsLoopback(host)) return machine + "|loopback:" + port;
  if (IsWildcard(host)) return machine + "|any:" + port;
  return address;
}

std::string Named(std::string_view verb, const std::string& address) {
  const bool is_unix = address.starts_with(kUnix);
  return std::string(verb) +
         (is_unix ? " unix " + address.substr(kUnix.size()) : " tcp " + address);
}

}  // namespace

// What one Listen call accepts.
class SimNetwork::Accepting final : public ConnectionLimit::Waiter,
                                    public std::enable_shared_from_this<Accepting> {
 public:
  using Loop = std::weak_ptr<SimExecutor*>;
  Accepting(uint64_t id, std::string host, std::vector<Loop> loops,
            std::shared_ptr<ConnectionLimit> limit, OnAccept on_accept)
      : id_(id),
        host_(std::move(host)),
        loops_(std::move(loops)),
        limit_(std::move(limit)),
        on_accept_(std::move(on_accept)) {}
  ~Accepting() override {
    if (limit_ != nullptr) limit_->Forget(*this);
  }

  uint64_t id() const { return id_; }
  const std::string& host() const { return host_; }
  Loop NextLoop() { return loops_[next_++ % loops_.size()]; }
  // On the loop that the connection is for.
  void Take(SimExecutor& loop, std::shared_ptr<SimStream> stream,
            std::unique_ptr<Connection> connection) {
    if (limit_ == nullptr) return on_accept_(std::move(connection), loop);
    backlog_.push_back({loop.handle(), std::move(stream), std::move(connection)});
    TakeFromBacklog();
  }

 private:
  struct Arrived {
    Loop loop;
    std::shared_ptr<SimStream> stream;
    std::unique_ptr<Connection> connection;
  };
  void TakeFromBacklog() {
    while (!backlog_.empty()) {
      ConnectionLimit::Place place = limit_->Take(*this);
      if (!place) return;  // until OnPlace
      Arrived arrived = std::move(backlog_.front());
      backlog_.pop_front();
      const std::shared_ptr<SimExecutor*> loop = arrived.loop.lock();
      if (loop == nullptr) continue;
      arrived.stream->Hold(1, std::move(place));
      SimExecutor& accepts = **loop;
      accepts.Post([weak = weak_from_this(), &accepts,
                    connection = std::move(arrived.connection)]() mutable {
        if (auto still = weak.lock()) still->on_accept_(std::move(connection), accepts);
      });
    }
  }
  void OnPlace() override { TakeFromBacklog(); }

  const uint64_t id_;
  const std::string host_;
  const std::vector<Loop> loops_;
  const std::shared_ptr<ConnectionLimit> limit_;  // null: none
  OnAccept on_accept_;
  size_t next_ = 0;
  std::deque<Arrived> backlog_;
};

struct SimNetwork::Attempt {
  std::string address;
  SimExecutor* on;  // valid while `loop` is
  std::weak_ptr<SimExecutor*> loop;
  std::string from, to;  // hosts
  Dialer::Done done;     // null when it was called or given up

  void Answer(StatusOr<std::unique_ptr<Connection>> result) {
    if (done == nullptr || loop.expired()) return;
    Dialer::Done answer = std::move(done);
    done = nullptr;
    answer(std::move(result));
  }
};

// Stops listening when destroyed. Thread: one.
class SimListener final : public Listener {
 public:
  SimListener(SimNetwork& network, std::string key, uint64_t id, std::string address)
      : network_(network), key_(std::move(key)), id_(id), address_(std::move(address)) {}
  ~SimListener() override {
    auto found = network_.listeners_.find(key_);
    if (found != network_.listeners_.end() && found->second->id() == id_)
      network_.listeners_.erase(found);
  }
  std::string address() const override { return address_; }

 private:
  SimNetwork& network_;
  const std::string key_;
  const uint64_t id_;
  const std::string address_;
};

SimNetwork::SimNetwork(SimWorld& world) : world_(world) {}
SimNetwork::~SimNetwork() {
  for (const auto& [id, stream] : streams_) stream->Detach();
}

StatusOr<std::unique_ptr<Listener>> SimNetwork::Listen(const std::string& address,
                                                       std::vector<Executor*> loops,
                                                       const ListenOptions& options,
                                                       OnAccept on_accept) {
  CHECK(!loops.empty());
  std::string bound = address;
  if (!address.starts_with(kUnix)) {
    const auto [host, port] = SplitHostPort(address);
    if (port.empty())
      return absl::InvalidArgumentError(Named("listen", address) + ": address " + address +
                                        ": missing port in address");
    world_.Wait(AnswerOf(host).takes, host);
    if (port == "0") bound = address.substr(0, address.size() - 1) + std::to_string(next_port_++);
  }
  const std::string& machine = SimExecutor::Of(*loops[0]).host();
  const std::string key = KeyOf(bound, machine);
  if (listeners_.contains(key))
    return absl::UnavailableError(Named("listen", bound) + ": bind: address already in use");
  std::vector<Accepting::Loop> handles;
  for (Executor* loop : loops) handles.push_back(SimExecutor::Of(*loop).handle());
  const uint64_t id = next_id_++;
  listeners_.emplace(key, std::make_shared<Accepting>(id, machine, std::move(handles),
                                                      options.limit, std::move(on_accept)));
  return std::unique_ptr<Listener>(new SimListener(*this, key, id, bound));
}

std::shared_ptr<SimNetwork::Accepting> SimNetwork::FindListener(const std::string& address,
                                                                const std::string& from) {
  std::vector<std::string> keys = {KeyOf(address, from)};
  if (!address.starts_with(kUnix)) {
    const auto [host, port] = SplitHostPort(address);
    keys.push_back((IsLoopback(host) ? from : host) + "|any:" + port);
  }
  for (const std::string& key : keys) {
    if (auto found = listeners_.find(key); found != listeners_.end()) return found->second;
  }
  return nullptr;
}

void SimNetwork::Connect(const std::string& address, Duration timeout, Executor& on,
                         absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)> done) {
  SimExecutor& loop = SimExecutor::Of(on);
  Dialer::World& world = *this;
  if (loop.dialer() == nullptr) loop.dialer() = std::make_unique<Dialer>(world, loop);
  loop.dialer()->Connect(address, timeout, std::move(done));
}

SimNetwork::NameAnswer SimNetwork::AnswerOf(const std::string& host) const {
  if (host == "localhost") return {std::vector<std::string>{"127.0.0.1"}, {}};
  if (const auto name = names_.find(host); name != names_.end()) return name->second;
  return {absl::UnavailableError("lookup " + host + ": no such host"), {}};
}

void SimNetwork::Lookup(const std::string& host, Executor& on, Dialer::Found found) {
  NameAnswer answer = AnswerOf(host);
  if (names_on_the_loop_) world_.Wait(answer.takes, host);
  SimExecutor::Of(on).PostAt(
      world_.Now() + answer.takes,
      [found = std::move(found), addresses = std::move(answer.addresses)]() mutable {
        found(std::move(addresses));
      });
}

// Gives an attempt up when it is destroyed.
class SimNetwork::AttemptHandle final : public Dialer::Attempt {
 public:
  explicit AttemptHandle(std::shared_ptr<SimNetwork::Attempt> attempt)
      : attempt_(std::move(attempt)) {}
  ~AttemptHandle() override { attempt_->done = nullptr; }

 private:
  const std::shared_ptr<SimNetwork::Attempt> attempt_;
};

std::unique_ptr<Dialer::Attempt> SimNetwork::Dial(const std::string& address, Executor& on,
                                                  Dialer::Done done) {
  SimExecutor& loop = SimExecutor::Of(on);
  auto attempt = std::make_shared<Attempt>();
  attempt->address = address;
  attempt->on = &loop;
  attempt->loop = loop.handle();
  attempt->from = loop.host();
  const std::shared_ptr<Accepting> listener = FindListener(address, loop.host());
  attempt->to = listener != nullptr ? listener->host() : SplitHostPort(address).first;
  attempt->done = std::move(done);
  Carry({attempt->from, attempt->to}, [this, attempt] { Knock(attempt); });
  return std::make_unique<AttemptHandle>(std::move(attempt));
}

// The attempt has come to the machine that it is meant for.
void SimNetwork::Knock(std::shared_ptr<Attempt> attempt) {
  if (attempt->done == nullptr || attempt->loop.expired()) return;
  const std::shared_ptr<Accepting> listener = FindListener(attempt->address, attempt->from);
  std::shared_ptr<SimExecutor*> loop;
  if (listener != nullptr && !rejected_.contains({attempt->from, attempt->to}))
    loop = listener->NextLoop().lock();
  std::shared_ptr<SimStream> stream;
  if (loop != nullptr) {
    const uint64_t id = next_id_++;
    const std::string client = attempt->from + ":" + std::to_string(40000 + id % 20000);
    stream = std::make_shared<SimStream>(world_, *this, id, SimStream::Place{attempt->on, client},
                                         SimStream::Place{*loop, attempt->address});
    streams_.emplace(id, stream);
    SimExecutor& accepts = **loop;
    accepts.Post([stream, &accepts, connection = stream->Own(1),
                  weak = std::weak_ptr<Accepting>(listener)]() mutable {
      if (auto still = weak.lock()) still->Take(accepts, std::move(stream), std::move(connection));
    });
  }
  Carry({attempt->to, attempt->from},
        [attempt, stream, connection = stream == nullptr ? nullptr : stream->Own(0)]() mutable {
          if (attempt->loop.expired()) return;
          attempt->on->Post([attempt, connection = std::move(connection)]() mutable {
            if (connection != nullptr) return attempt->Answer(std::move(connection));
            attempt->Answer(absl::UnavailableError(Named("dial", attempt->address) +
                                                   ": connect: connection refused"));
          });
        });
}

// --- links ---

Duration SimNetwork::DrawDelay(const Link& link) {
  auto own = delays_.find(link);
  const auto& [least, most] = own == delays_.end() ? delay_ : own->second;
  return Duration(world_.random().Between(least.count(), most.count()));
}

void SimNetwork::Carry(const Link& link, Task task) {
  world_.Schedule(world_.Now() + DrawDelay(link), [this, link, task = std::move(task)]() mutable {
    auto cut = cuts_.find(link);
    if (cut != cuts_.end())
      cut->second.push_back(std::move(task));
    else
      std::exchange(task, nullptr)();
  });
}

void SimNetwork::Cut(const std::string& from, const std::string& to) {
  cuts_.try_emplace({from, to});
}

void SimNetwork::Heal(const std::string& from, const std::string& to) {
  auto cut = cuts_.extract({from, to});
  if (cut.empty()) return;
  for (Task& task : cut.mapped()) Carry({from, to}, std::move(task));
  Resume({from, to});
}

void SimNetwork::HealAll() {
  rejected_.clear();
  while (!cuts_.empty()) {
    const Link link = cuts_.begin()->first;
    Heal(link.first, link.second);
  }
}

// What waited in streams of this link is sent again.
void SimNetwork::Resume(const Link& link) {
  for (const auto& [id, stream] : streams_) {
    for (int from = 0; from < 2; ++from) {
      if (stream->host(from) != link.first || stream->host(1 - from) != link.second) continue;
      world_.Schedule(world_.Now() + DrawDelay(link),
                      [stream = stream, from] { stream->Transmit(from); });
    }
  }
}

void SimNetwork::Reject(const std::string& one, const std::string& other) {
  rejected_.insert({one, other});
  rejected_.insert({other, one});
  Reset(one, other);
}

void SimNetwork::Reset(const std::string& one, const std::string& other) {
  const auto streams = streams_;  // some leave it on the way
  for (const auto& [id, stream] : streams) {
    const bool between = (stream->host(0) == one && stream->host(1) == other) ||
                         (stream->host(0) == other && stream->host(1) == one);
    if (between) stream->Reset();
  }
}

void SimNetwork::CrashHost(const std::string& host) {
  std::erase_if(listeners_, [&](const auto& entry) { return entry.second->host() == host; });
  const auto streams = streams_;
  for (const auto& [id, stream] : streams) {
    for (int side = 0; side < 2; ++side) {
      if (stream->host(side) == host) stream->CrashSide(side, silence_);
    }
  }
}

}  // namespace quoin::env

#include "env/posix/posix_listener.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "env/posix/posix_address.h"
#include "env/posix/posix_connection.h"

namespace quoin::env {
namespace {

constexpr int kBacklog = 4096;
constexpr int kAcceptsPerEvent = 64;
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);  // after what may last
// A name with several addresses and port 0: another port is tried when one of them has it taken.
constexpr int kPortTries = 16;

// An open socket, closed by destruction. Value type.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

bool IsWildcard(const std::string& host) {
  return host.empty() || host == "0.0.0.0" || host == "::";
}

// The machine has no such address, or no such family.
bool IsAbsent(int error) {
  return error == EADDRNOTAVAIL || error == EAFNOSUPPORT || error == EPROTONOSUPPORT;
}

// What went wrong: the call and errno. Value type.
struct Failure {
  const char* call = "bind";
  int error = 0;
  Status ToStatus(const std::string& address) const {
    return absl::UnavailableError("listen " + NetworkAndAddress(address) + ": " + call + ": " +
                                  ErrnoText(error));
  }
};

// Bound and listening; -1 and `failure` otherwise. `both`: IPv4 is taken by an IPv6 socket too.
Socket Bind(const Address& address, bool both, const ListenOptions& options, Failure& failure) {
  Socket made(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (made.get() < 0) {
    failure = {"socket", errno};
    return made;
  }
  const int on = 1;
  const int only_v6 = both ? 0 : 1;
  // A restart must not wait for old connections.
  setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (options.reuse_port) setsockopt(made.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (address.family() == AF_INET6)
    setsockopt(made.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
  if (bind(made.get(), address.get(), address.length) == 0 && listen(made.get(), kBacklog) == 0)
    return made;
  failure = {"bind", errno};
  return Socket(-1);
}

StatusOr<std::vector<Socket>> BindOne(const std::string& address, const ListenOptions& options) {
  ASSIGN_OR_RETURN(const Address parsed, ParseAddress(address));
  Failure failure;
  std::vector<Socket> out;
  out.push_back(Bind(parsed, /*both=*/false, options, failure));
  if (out[0].get() < 0) return failure.ToStatus(address);
  return out;
}

// One socket for both families, as Go listens on wildcards; IPv4 alone where there is no IPv6.
StatusOr<std::vector<Socket>> BindWildcard(const std::string& address, const std::string& port,
                                           const ListenOptions& options) {
  Failure failure;
  std::vector<Socket> out;
  for (const char* host : {"::", "0.0.0.0"}) {
    ASSIGN_OR_RETURN(const Address parsed, ParseAddress(JoinHostPort(host, port)));
    Socket made = Bind(parsed, /*both=*/true, options, failure);
    if (made.get() >= 0) {
      out.push_back(std::move(made));
      return out;
    }
    if (!IsAbsent(failure.error)) break;
  }
  return failure.ToStatus(address);
}

// A socket for each address that the machine has, all with one port.
StatusOr<std::vector<Socket>> BindName(const std::vector<std::string>& hosts,
                                       const std::string& port, const ListenOptions& options) {
  Status failed;
  for (int i = 0; i < kPortTries; ++i) {
    std::vector<Socket> out;
    std::string bound_port = port;
    failed = OkStatus();
    for (const std::string& host : hosts) {
      const std::string address = JoinHostPort(host, bound_port);
      ASSIGN_OR_RETURN(const Address parsed, ParseAddress(address));
      Failure failure;
      Socket made = Bind(parsed, /*both=*/false, options, failure);
      if (made.get() < 0) {
        failed = failure.ToStatus(address);
        if (IsAbsent(failure.error)) continue;
        out.clear();
        break;
      }
      bound_port = SplitHostPort(AddressText(made.get(), /*remote=*/false)).second;
      out.push_back(std::move(made));
    }
    if (!out.empty()) return out;
    if (port != "0") break;
  }
  return failed;
}

}  // namespace

// One socket on its accepting loop. Closed there, after the last event.
class PosixListener::Acceptor final : public Pollable, private ConnectionLimit::Waiter {
 public:
  Acceptor(int fd, std::vector<PosixExecutor*> loops, std::shared_ptr<ConnectionLimit> limit,
           std::shared_ptr<Network::OnAccept> on_accept)
      : fd_(fd),
        loops_(std::move(loops)),
        limit_(std::move(limit)),
        on_accept_(std::move(on_accept)) {
    CHECK(limit_ == nullptr || &limit_->loop() == loops_[0]);
  }
  ~Acceptor() override { close(fd_); }
  void Start() {
    if (stopped_ || std::exchange(watched_, true)) return;
    loops_[0]->Watch(fd_, EPOLLIN, this);
  }
  void Stop() {
    stopped_ = true;
    Unwatch();
    loops_[0]->Cancel(pause_timer_);
    if (limit_ != nullptr) limit_->Forget(*this);
  }
  void OnEvents(uint32_t) override {
    for (int i = 0; i < kAcceptsPerEvent && !stopped_; ++i) {
      ConnectionLimit::Place place;
      if (limit_ != nullptr) {
        place = limit_->Take(*this);
        if (!place) return Unwatch();  // until OnPlace
      }
      const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        Assign(fd, std::move(place));
      } else if (errno == EAGAIN) {
        return;
      } else if (errno != EINTR && errno != ECONNABORTED) {
        return Pause();
      }
    }
  }
  PosixExecutor& loop() { return *loops_[0]; }

 private:
  void Assign(int fd, ConnectionLimit::Place place) {
    SetStreamOptions(fd, AF_INET);
    PosixExecutor& loop = *loops_[next_++ % loops_.size()];
    auto connection = std::make_unique<PosixConnection>(loop, fd, std::move(place));
    if (&loop == loops_[0]) return (*on_accept_)(std::move(connection), loop);
    loop.Post([&loop, connection = std::move(connection), on_accept = on_accept_]() mutable {
      (*on_accept)(std::move(connection), loop);
    });
  }
  void OnPlace() override { Start(); }
  void Unwatch() {
    if (std::exchange(watched_, false)) loops_[0]->Unwatch(fd_, this);
  }
  // Without descriptors or memory, a ready listener would only spin.
  void Pause() {
    Unwatch();
    pause_timer_ = loops_[0]->RunAfter(kAcceptPause, [this] {
      pause_timer_ = {};
      Start();
    });
  }

  const int fd_;
  const std::vector<PosixExecutor*> loops_;
  const std::shared_ptr<ConnectionLimit> limit_;  // null: none
  const std::shared_ptr<Network::OnAccept> on_accept_;
  size_t next_ = 0;
  TimerId pause_timer_;
  bool watched_ = false;
  bool stopped_ = false;
};

StatusOr<std::unique_ptr<Listener>> PosixListener::New(const std::string& address,
                                                       const std::vector<std::string>& hosts,
                                                       std::vector<PosixExecutor*> loops,
                                                       const ListenOptions& options,
                                                       Network::OnAccept on_accept) {
  const bool is_unix = address.starts_with(kUnix);
  const auto [host, port] = SplitHostPort(address);
  // What an earlier process left behind.
  if (is_unix) unlink(address.c_str() + kUnix.size());
  StatusOr<std::vector<Socket>> sockets = !hosts.empty() ? BindName(hosts, port, options)
                                          : !is_unix && IsWildcard(host)
                                              ? BindWildcard(address, port, options)
                                              : BindOne(address, options);
  RETURN_IF_ERROR(sockets.status());
  const std::string bound = is_unix ? address : AddressText((*sockets)[0].get(), /*remote=*/false);
  auto shared = std::make_shared<Network::OnAccept>(std::move(on_accept));
  std::vector<std::shared_ptr<Acceptor>> acceptors;
  for (Socket& made : *sockets) {
    acceptors.push_back(std::make_shared<Acceptor>(made.Release(), loops, options.limit, shared));
    loops[0]->Post([acceptor = acceptors.back()] { acceptor->Start(); });
  }
  return std::unique_ptr<Listener>(new PosixListener(std::move(acceptors), bound));
}

PosixListener::~PosixListener() {
  if (address_.starts_with(kUnix)) unlink(address_.c_str() + kUnix.size());
  PosixExecutor& loop = acceptors_[0]->loop();
  auto stop = [acceptors = std::move(acceptors_)] {
    for (const auto& acceptor : acceptors) acceptor->Stop();
  };
  if (loop.IsCurrent()) {
    stop();
  } else {
    loop.Post(std::move(stop));
  }
}

}  // namespace quoin::env

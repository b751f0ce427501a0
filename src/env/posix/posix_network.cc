#include "env/posix/posix_network.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "env/posix/posix_connection.h"
#include "env/posix/posix_executor.h"

namespace quoin::env {
namespace {

constexpr int kBacklog = 4096;
constexpr int kAcceptsPerEvent = 64;
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);  // when descriptors have run out
constexpr std::string_view kUnix = "unix:";

// A socket address, resolved. Value type.
struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

StatusOr<Address> UnixAddress(std::string_view path) {
  Address out;
  auto& address = reinterpret_cast<sockaddr_un&>(out.storage);
  if (path.size() >= sizeof address.sun_path)
    return absl::InvalidArgumentError("socket path too long");
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return out;
}

StatusOr<Address> Resolve(const std::string& text, bool passive) {
  if (text.starts_with(kUnix)) return UnixAddress(std::string_view(text).substr(kUnix.size()));
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos)
    return absl::InvalidArgumentError("address " + text + ": missing port in address");
  std::string host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
  if (host == "localhost") hints.ai_family = AF_INET;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), text.c_str() + colon + 1, &hints, &found);
  if (error != 0) return absl::UnavailableError("lookup " + host + ": " + gai_strerror(error));
  Address out;
  std::memcpy(&out.storage, found->ai_addr, found->ai_addrlen);
  out.length = found->ai_addrlen;
  freeaddrinfo(found);
  return out;
}

void SetStreamOptions(int fd, int family) {
  if (family == AF_UNIX) return;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

std::string ErrnoText(int error) {
  std::string text = std::strerror(error);
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(text[0]));  // as Go writes them
  return text;
}

class PosixListener final : public Listener {
 public:
  // The part that lives on the accepting loop. Closed there, after the last event.
  class Acceptor final : public Pollable {
   public:
    Acceptor(int fd, std::vector<PosixExecutor*> loops, Network::OnAccept on_accept)
        : fd_(fd),
          loops_(std::move(loops)),
          on_accept_(std::make_shared<Network::OnAccept>(std::move(on_accept))) {}
    ~Acceptor() override { close(fd_); }
    void Start() { loops_[0]->Watch(fd_, EPOLLIN, this); }
    void Stop() {
      stopped_ = true;
      if (pause_timer_.value != 0)
        loops_[0]->Cancel(pause_timer_);
      else
        loops_[0]->Unwatch(fd_, this);
    }
    void OnEvents(uint32_t) override {
      for (int i = 0; i < kAcceptsPerEvent && !stopped_; ++i) {
        const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
          Assign(fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          return Pause();
        } else if (errno != EINTR && errno != ECONNABORTED) {
          return;
        }
      }
    }
    PosixExecutor& loop() { return *loops_[0]; }

   private:
    void Assign(int fd) {
      SetStreamOptions(fd, AF_INET);
      PosixExecutor& loop = *loops_[next_++ % loops_.size()];
      if (&loop == loops_[0]) return Accept(loop, fd, *on_accept_);
      auto connection = std::make_unique<PosixConnection>(loop, fd);
      loop.Post([&loop, connection = std::move(connection), on_accept = on_accept_]() mutable {
        (*on_accept)(std::move(connection), loop);
      });
    }
    static void Accept(PosixExecutor& loop, int fd, Network::OnAccept& on_accept) {
      on_accept(std::make_unique<PosixConnection>(loop, fd), loop);
    }
    // Without descriptors, a ready listener would only spin.
    void Pause() {
      loops_[0]->Unwatch(fd_, this);
      pause_timer_ = loops_[0]->RunAfter(kAcceptPause, [this] {
        pause_timer_ = {};
        Start();
      });
    }

    const int fd_;
    const std::vector<PosixExecutor*> loops_;
    std::shared_ptr<Network::OnAccept> on_accept_;
    size_t next_ = 0;
    TimerId pause_timer_;
    bool stopped_ = false;
  };

  PosixListener(std::shared_ptr<Acceptor> acceptor, std::string address)
      : acceptor_(std::move(acceptor)), address_(std::move(address)) {}
  ~PosixListener() override {
    PosixExecutor& loop = acceptor_->loop();
    if (loop.IsCurrent()) {
      acceptor_->Stop();
    } else {
      loop.Post([acceptor = std::move(acceptor_)] { acceptor->Stop(); });
    }
  }
  std::string address() const override { return address_; }

 private:
  std::shared_ptr<Acceptor> acceptor_;
  const std::string address_;
};

// One attempt to connect; owns itself until it has answered.
class Connector final : public Pollable {
 public:
  using Done = absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)>;
  Connector(PosixExecutor& loop, int fd, std::string what, Duration timeout, Done done)
      : loop_(loop), fd_(fd), what_(std::move(what)), done_(std::move(done)) {
    loop_.Watch(fd_, EPOLLOUT, this);
    timer_ = loop_.RunAfter(timeout, [this] {
      timer_ = {};
      Finish(absl::UnavailableError(what_ + ": i/o timeout"));
    });
  }
  void OnEvents(uint32_t) override {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
    Finish(error == 0 ? OkStatus()
                      : absl::UnavailableError(what_ + ": connect: " + ErrnoText(error)));
  }

 private:
  void Finish(const Status& status) {
    loop_.Unwatch(fd_, this);
    if (timer_.value != 0) loop_.Cancel(timer_);
    Done done = std::move(done_);
    if (status.ok()) {
      auto connection = std::make_unique<PosixConnection>(loop_, fd_);
      delete this;
      return done(std::unique_ptr<Connection>(std::move(connection)));
    }
    close(fd_);
    delete this;
    done(status);
  }

  PosixExecutor& loop_;
  const int fd_;
  const std::string what_;
  Done done_;
  TimerId timer_;
};

PosixExecutor& AsPosix(Executor& executor) {
  auto* posix = dynamic_cast<PosixExecutor*>(&executor);
  CHECK(posix != nullptr) << "sockets live on executors of the same world";
  return *posix;
}

}  // namespace

StatusOr<std::unique_ptr<Listener>> PosixNetwork::Listen(const std::string& address,
                                                         std::vector<Executor*> loops,
                                                         const ListenOptions& options,
                                                         OnAccept on_accept) {
  CHECK(!loops.empty());
  const bool is_unix = address.starts_with(kUnix);
  const std::string what = std::string("listen ") +
                           (is_unix ? "unix " + address.substr(kUnix.size()) : "tcp " + address);
  StatusOr<Address> resolved = Resolve(address, /*passive=*/true);
  if (!resolved.ok())
    return absl::InvalidArgumentError(what + ": " + std::string(resolved.status().message()));
  const int fd = socket(resolved->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::UnavailableError(what + ": socket: " + ErrnoText(errno));
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
             sizeof on);  // a restart must not wait for old connections
  if (options.reuse_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (is_unix) unlink(address.c_str() + kUnix.size());
  if (bind(fd, resolved->get(), resolved->length) != 0 || listen(fd, kBacklog) != 0) {
    const int error = errno;
    close(fd);
    return absl::UnavailableError(what + ": bind: " + ErrnoText(error));
  }
  std::vector<PosixExecutor*> posix_loops;
  for (Executor* loop : loops) posix_loops.push_back(&AsPosix(*loop));
  const std::string bound = is_unix ? address : AddressText(fd, /*remote=*/false);
  auto acceptor = std::make_shared<PosixListener::Acceptor>(fd, posix_loops, std::move(on_accept));
  posix_loops[0]->Post([acceptor] { acceptor->Start(); });
  return std::unique_ptr<Listener>(new PosixListener(std::move(acceptor), bound));
}

void PosixNetwork::Connect(const std::string& address, Duration timeout, Executor& on,
                           absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)> done) {
  PosixExecutor& loop = AsPosix(on);
  const bool is_unix = address.starts_with(kUnix);
  const std::string what =
      std::string("dial ") + (is_unix ? "unix " + address.substr(kUnix.size()) : "tcp " + address);
  auto fail = [&loop, &done](Status status) {
    loop.Post([done = std::move(done), status = std::move(status)]() mutable {
      done(std::move(status));
    });
  };
  StatusOr<Address> resolved = Resolve(address, /*passive=*/false);
  if (!resolved.ok())
    return fail(absl::UnavailableError(what + ": " + std::string(resolved.status().message())));
  const int fd = socket(resolved->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(absl::UnavailableError(what + ": socket: " + ErrnoText(errno)));
  SetStreamOptions(fd, resolved->family());
  if (connect(fd, resolved->get(), resolved->length) != 0 && errno != EINPROGRESS) {
    const int error = errno;
    close(fd);
    return fail(absl::UnavailableError(what + ": connect: " + ErrnoText(error)));
  }
  new Connector(loop, fd, what, timeout, std::move(done));
}

}  // namespace quoin::env

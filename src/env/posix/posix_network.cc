#include "env/posix/posix_network.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/lifeline.h"
#include "env/posix/posix_address.h"
#include "env/posix/posix_connection.h"
#include "env/posix/posix_executor.h"
#include "env/posix/posix_listener.h"

namespace quoin::env {
namespace {

// One address being connected to. Thread: its loop.
class Connector final : public Dialer::Attempt, private Pollable {
 public:
  Connector(PosixExecutor& loop, const std::string& address, Dialer::Done done)
      : loop_(loop), what_("dial " + NetworkAndAddress(address)), done_(std::move(done)) {
    if (Status status = Begin(address); !status.ok()) {
      loop_.Post(lifeline_.Tie([this, status = std::move(status)] { Answer(status); }));
    }
  }
  ~Connector() override { Close(); }

 private:
  Status Failed(const std::string& why) const { return absl::UnavailableError(what_ + ": " + why); }
  Status Begin(const std::string& address) {
    StatusOr<Address> parsed = ParseAddress(address);
    if (!parsed.ok()) return Failed(std::string(parsed.status().message()));
    fd_ = socket(parsed->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return Failed("socket: " + ErrnoText(errno));
    SetStreamOptions(fd_, parsed->family());
    if (connect(fd_, parsed->get(), parsed->length) != 0 && errno != EINPROGRESS)
      return Failed("connect: " + ErrnoText(errno));
    loop_.Watch(fd_, EPOLLOUT, this);
    watched_ = true;
    return OkStatus();
  }
  void OnEvents(uint32_t) override {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return Answer(Failed("connect: " + ErrnoText(error)));
    if (std::exchange(watched_, false)) loop_.Unwatch(fd_, this);
    Answer(std::unique_ptr<Connection>(
        std::make_unique<PosixConnection>(loop_, std::exchange(fd_, -1))));
  }
  // The last thing that happens here: `done` destroys this object.
  void Answer(StatusOr<std::unique_ptr<Connection>> result) {
    Close();
    Dialer::Done done = std::move(done_);
    done(std::move(result));
  }
  void Close() {
    if (std::exchange(watched_, false)) loop_.Unwatch(fd_, this);
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

  PosixExecutor& loop_;
  const std::string what_;
  Dialer::Done done_;
  int fd_ = -1;
  bool watched_ = false;
  Lifeline lifeline_;
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
  std::vector<std::string> hosts;
  const auto [host, port] = SplitHostPort(address);
  const bool is_name = !address.starts_with(kUnix) && !host.empty() && !IsIpAddress(host);
  const std::string what = "listen " + NetworkAndAddress(address) + ": ";
  if (!address.starts_with(kUnix) && port.empty())
    return absl::InvalidArgumentError(what + "address " + address + ": missing port in address");
  const Status port_is_good = address.starts_with(kUnix) ? OkStatus() : CheckPort(port);
  if (!port_is_good.ok())
    return absl::InvalidArgumentError("listen tcp: " + std::string(port_is_good.message()));
  if (is_name) {
    StatusOr<std::vector<std::string>> found = system_(host);
    if (!found.ok())
      return absl::InvalidArgumentError(what + std::string(found.status().message()));
    hosts = *std::move(found);
  }
  std::vector<PosixExecutor*> posix_loops;
  for (Executor* loop : loops) posix_loops.push_back(&AsPosix(*loop));
  return PosixListener::New(address, hosts, std::move(posix_loops), options, std::move(on_accept));
}

void PosixNetwork::Connect(const std::string& address, Duration timeout, Executor& on,
                           absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)> done) {
  std::unique_ptr<Dialer>& dialer = AsPosix(on).dialer();
  Dialer::World& world = *this;
  if (dialer == nullptr) dialer = std::make_unique<Dialer>(world, on);
  dialer->Connect(address, timeout, std::move(done));
}

void PosixNetwork::Lookup(const std::string& host, Executor& on, Dialer::Found found) {
  resolver_.Lookup(host, AsPosix(on).mailbox(), std::move(found));
}

std::unique_ptr<Dialer::Attempt> PosixNetwork::Dial(const std::string& address, Executor& on,
                                                    Dialer::Done done) {
  return std::make_unique<Connector>(AsPosix(on), address, std::move(done));
}

}  // namespace quoin::env

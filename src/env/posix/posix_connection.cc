#include "env/posix/posix_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"
#include "env/posix/posix_address.h"

namespace quoin::env {
namespace {

constexpr size_t kJoinBytesMax = 64 * 1024;  // small writes of one turn are joined up to this
constexpr int kVectorsMax = 64;
constexpr Duration kCloseGrace = std::chrono::seconds(5);

std::string_view View(const std::variant<std::string, SharedBytes>& chunk) {
  if (const std::string* text = std::get_if<std::string>(&chunk)) return *text;
  return std::get<SharedBytes>(chunk).view();
}

// Growing by doubling would leave much more memory unused than the join saves.
bool Wastes(const std::string& chunk, size_t more) {
  return chunk.size() + more > chunk.capacity() && chunk.capacity() >= kJoinBytesMax / 4;
}

}  // namespace

std::string AddressText(int fd, bool remote) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if ((remote ? getpeername(fd, address, &length) : getsockname(fd, address, &length)) != 0)
    return "";
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {  // of a socket for both families
      inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
      return std::string(text) + ":" + std::to_string(ntohs(v6.sin6_port));
    }
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  return "unix:" + std::string(reinterpret_cast<const sockaddr_un&>(storage).sun_path);
}

PosixConnection::PosixConnection(PosixExecutor& executor, int fd, ConnectionLimit::Place place)
    : executor_(executor), place_(std::move(place)), fd_(fd) {}

PosixConnection::~PosixConnection() {
  lifeline_.Cut();
  if (flush_scheduled_) executor_.CancelFlush(this);
  if (grace_timer_.value != 0) executor_.Cancel(grace_timer_);
  if (watched_ != 0) executor_.Unwatch(fd_, this);
  close(fd_);
}

void PosixConnection::Start(Handler& handler) {
  CHECK(handler_ == nullptr);
  handler_ = &handler;
  UpdateWatch();
}

void PosixConnection::UpdateWatch() {
  if (handler_ == nullptr) return;
  uint32_t wanted = 0;
  if (!closed_) wanted = (reading_ ? EPOLLIN | EPOLLRDHUP : 0u) | (blocked_ ? EPOLLOUT : 0u);
  if (wanted == watched_) return;
  if (wanted == 0) {
    executor_.Unwatch(fd_, this);
  } else if (watched_ == 0) {
    executor_.Watch(fd_, wanted, this);
  } else {
    executor_.ChangeWatch(fd_, wanted, this);
  }
  watched_ = wanted;
}

void PosixConnection::OnEvents(uint32_t events) {
  const Lifeline::Sign sign = lifeline_.sign();
  if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 && blocked_) {
    blocked_ = false;
    SendQueued();
    if (!sign.alive() || closed_) return;
  }
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) != 0 && reading_) ReadOnce();
}

void PosixConnection::ReadOnce() {
  std::vector<char>& buffer = executor_.read_buffer();
  const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
  if (n > 0) return handler_->OnData(std::string_view(buffer.data(), static_cast<size_t>(n)));
  if (n == 0) return Closed(OkStatus());
  if (errno == EAGAIN || errno == EINTR) return;
  Closed(absl::UnavailableError("read " + remote_address() + ": " + ErrnoText(errno)));
}

void PosixConnection::Write(std::string bytes) {
  const size_t size = bytes.size();
  if (!queue_.empty() && queue_.size() > (first_sent_ > 0 ? 1u : 0u)) {
    if (auto* last = std::get_if<std::string>(&queue_.back());
        last != nullptr && last->size() + size <= kJoinBytesMax && !Wastes(*last, size)) {
      last->append(bytes);
      unsent_ += size;
      return;
    }
  }
  Queue(std::move(bytes), size);
}

void PosixConnection::Write(SharedBytes bytes) {
  const size_t size = bytes.size();
  Queue(std::move(bytes), size);
}

void PosixConnection::Queue(Chunk chunk, size_t size) {
  if (closed_ || size == 0) return;
  queue_.push_back(std::move(chunk));
  unsent_ += size;
  if (flush_scheduled_ || blocked_) return;
  flush_scheduled_ = true;
  executor_.ScheduleFlush(this);
}

void PosixConnection::Flush() {
  flush_scheduled_ = false;
  if (!blocked_ && !closed_) SendQueued();
}

void PosixConnection::SendQueued() {
  const bool had_output = unsent_ > 0;
  while (!queue_.empty()) {
    iovec vectors[kVectorsMax];
    int count = 0;
    size_t skip = first_sent_;
    for (const Chunk& chunk : queue_) {
      std::string_view view = View(chunk).substr(skip);
      skip = 0;
      vectors[count++] = {const_cast<char*>(view.data()), view.size()};
      if (count == kVectorsMax) break;
    }
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = static_cast<size_t>(count);
    const ssize_t n = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      blocked_ = true;
      break;
    }
    if (n < 0)
      return Closed(absl::UnavailableError("write " + remote_address() + ": " + ErrnoText(errno)));
    DropSent(static_cast<size_t>(n));
  }
  UpdateWatch();
  if (!queue_.empty()) return;
  if (closing_) shutdown(fd_, SHUT_WR);
  if (had_output && handler_ != nullptr) handler_->OnDrained();
}

void PosixConnection::DropSent(size_t bytes) {
  unsent_ -= bytes;
  bytes += first_sent_;
  while (!queue_.empty() && bytes >= View(queue_.front()).size()) {
    bytes -= View(queue_.front()).size();
    queue_.pop_front();
  }
  first_sent_ = bytes;
}

void PosixConnection::PauseReading() {
  reading_ = false;
  UpdateWatch();
}

void PosixConnection::ResumeReading() {
  reading_ = true;
  UpdateWatch();
}

void PosixConnection::CloseAfterFlush() {
  if (closing_ || closed_) return;
  closing_ = true;
  if (queue_.empty()) shutdown(fd_, SHUT_WR);
  grace_timer_ = executor_.RunAfter(kCloseGrace, [this] {
    grace_timer_ = {};
    Closed(absl::DeadlineExceededError("close " + remote_address() + ": the peer did not close"));
  });
}

void PosixConnection::Closed(Status why) {
  if (closed_) return;
  closed_ = true;
  queue_.clear();
  unsent_ = first_sent_ = 0;
  blocked_ = false;
  UpdateWatch();
  handler_->OnClosed(std::move(why));
}

std::string PosixConnection::remote_address() const { return AddressText(fd_, /*remote=*/true); }
std::string PosixConnection::local_address() const { return AddressText(fd_, /*remote=*/false); }

}  // namespace quoin::env

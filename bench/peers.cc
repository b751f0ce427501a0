#include "bench/peers.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "bench/system.h"

namespace quoin::bench {

Peer::~Peer() { close(fd_); }

Peers::Peers() : epoll_(epoll_create1(EPOLL_CLOEXEC)), now_(Now()) {
  if (epoll_ < 0) Die("epoll_create1");
}

Peers::~Peers() { close(epoll_); }

void Peers::Watch(Peer& peer, int operation) const {
  const uint32_t events = (reading_ ? EPOLLIN : 0u) | (peer.waits_to_write_ ? EPOLLOUT : 0u);
  epoll_event event{events, {.ptr = &peer}};
  if (epoll_ctl(epoll_, operation, peer.fd_, &event) != 0) Die("epoll_ctl");
}

void Peers::Add(std::unique_ptr<Peer> peer) {
  Watch(*peer, EPOLL_CTL_ADD);
  peers_.push_back(std::move(peer));
}

void Peers::TurnAll() {
  for (auto& peer : peers_) Turn(*peer);
}

void Peers::StopReading() {
  reading_ = false;
  for (auto& peer : peers_) Watch(*peer, EPOLL_CTL_MOD);
}

void Peers::Wait(int most_ms) {
  std::array<epoll_event, 128> events;
  const int count = epoll_wait(epoll_, events.data(), events.size(), most_ms);
  if (count < 0 && errno != EINTR) Die("epoll_wait");
  now_ = Now();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    Peer& peer = *static_cast<Peer*>(event.data.ptr);
    if ((event.events & ~EPOLLOUT) != 0) Read(peer);
    Turn(peer);
  }
}

void Peers::Read(Peer& peer) {
  const ssize_t got = read(peer.fd_, buffer_.data(), buffer_.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) Die("the server closed a connection");
  now_ = Now();
  peer.Receive({buffer_.data(), static_cast<size_t>(got)});
}

void Peers::Turn(Peer& peer) {
  peer.Go();
  std::string& output = peer.output();
  if (!output.empty()) {
    const ssize_t sent = send(peer.fd_, output.data(), output.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
      Die(std::string("send: ") + std::strerror(errno));
    if (sent > 0) output.erase(0, static_cast<size_t>(sent));
  }
  if (peer.waits_to_write_ != output.empty()) return;
  peer.waits_to_write_ = !output.empty();
  Watch(peer, EPOLL_CTL_MOD);
}

}  // namespace quoin::bench

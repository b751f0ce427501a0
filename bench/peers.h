// Peers: any number of connections on one epoll, for generators that speak several protocols.
//
// One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace quoin::bench {

// One connection: bytes in, bytes out.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  virtual ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Takes what the server says; ends the program when that is nonsense.
  virtual void Receive(std::string_view bytes) = 0;
  virtual std::string& output() = 0;
  // After each turn: whatever the peer wants to begin.
  virtual void Go() {}

 private:
  friend class Peers;
  const int fd_;
  bool waits_to_write_ = false;
};

class Peers {
 public:
  Peers();
  ~Peers();

  void Add(std::unique_ptr<Peer> peer);
  // Lets each peer go on, and sends what there is.
  void TurnAll();
  // Waits for bytes, at most so long, and handles them.
  void Wait(int most_ms = 100);
  // Nothing is read any more; what is written still leaves.
  void StopReading();
  // The time when the last bytes were read.
  uint64_t now() const { return now_; }

 private:
  void Read(Peer& peer);
  void Turn(Peer& peer);
  void Watch(Peer& peer, int operation) const;

  const int epoll_;
  bool reading_ = true;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::array<char, 1 << 18> buffer_;
  uint64_t now_ = 0;
};

}  // namespace quoin::bench

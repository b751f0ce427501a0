// PosixConnection: one stream socket on an executor's epoll set.
#pragma once

#include <deque>
#include <string>
#include <variant>

#include "base/lifeline.h"
#include "env/network.h"
#include "env/posix/posix_executor.h"

namespace quoin::env {

// A connected stream socket in its executor's epoll set. Thread: that executor.
class PosixConnection final : public Connection, private Pollable, private Flushable {
 public:
  // Takes `fd` (non-blocking, connected) over. `place`: given back once that is closed.
  PosixConnection(PosixExecutor& executor, int fd, ConnectionLimit::Place place = {});
  ~PosixConnection() override;

  void Start(Handler& handler) override;
  void Write(std::string bytes) override;
  void Write(SharedBytes bytes) override;
  size_t unsent_bytes() const override { return unsent_; }
  void PauseReading() override;
  void ResumeReading() override;
  void CloseAfterFlush() override;
  std::string remote_address() const override;
  std::string local_address() const override;

 private:
  using Chunk = std::variant<std::string, SharedBytes>;
  void OnEvents(uint32_t events) override;
  void Flush() override;
  void ReadOnce();
  void Queue(Chunk chunk, size_t size);
  void SendQueued();
  void DropSent(size_t bytes);
  void UpdateWatch();
  // Ends the callbacks; the handler may destroy the connection in it.
  void Closed(Status why);

  PosixExecutor& executor_;
  const ConnectionLimit::Place place_;
  const int fd_;
  Handler* handler_ = nullptr;
  std::deque<Chunk> queue_;
  size_t first_sent_ = 0;  // bytes of the first chunk that the kernel has
  size_t unsent_ = 0;
  uint32_t watched_ = 0;  // epoll events asked for
  bool flush_scheduled_ = false;
  bool reading_ = true;
  bool blocked_ = false;  // the kernel's buffer is full
  bool closing_ = false;  // CloseAfterFlush
  bool closed_ = false;
  TimerId grace_timer_;
  Lifeline lifeline_;  // the handler may destroy this connection
};

// "host:port" of a socket address, or "unix:path".
std::string AddressText(int fd, bool remote);

}  // namespace quoin::env

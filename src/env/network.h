// Network: byte streams to and from other processes. No socket type appears above this header.
//
// Thread: as each class says.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/match.h"
#include "base/shared_bytes.h"
#include "base/status.h"
#include "env/connection_limit.h"
#include "env/executor.h"

namespace quoin::env {

// One established stream. Belongs to the executor that it was made on; every call and callback
// happens there.
class Connection {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // Bytes arrived; valid during the call only.
    virtual void OnData(std::string_view data) = 0;
    // The peer closed its direction, or the stream broke (status says which: OK = orderly end).
    // Last callback.
    virtual void OnClosed(Status why) = 0;
    // unsent_bytes() fell to zero after having been above.
    virtual void OnDrained() {}
  };

  // Destroying it closes the stream at once without further callbacks.
  virtual ~Connection() = default;
  // Starts callbacks. `handler` outlives the connection. Call once.
  virtual void Start(Handler& handler) = 0;
  // Queues bytes; what one turn of the loop writes leaves in one system call at the end of the
  // turn.
  virtual void Write(std::string bytes) = 0;
  virtual void Write(SharedBytes bytes) = 0;
  // Bytes queued and not yet taken by the kernel. The owner bounds it by pausing what produces
  // them.
  virtual size_t unsent_bytes() const = 0;
  // Stops and resumes OnData: back-pressure towards the peer.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;
  // Sends what is queued, then closes our direction; OnClosed follows when the peer closes or after
  // a grace period.
  virtual void CloseAfterFlush() = 0;
  virtual std::string remote_address() const = 0;  // "host:port"
  virtual std::string local_address() const = 0;
};

// Stops listening when destroyed.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual std::string address() const = 0;  // with the port that was really bound
};

struct ListenOptions {
  bool reuse_port = false;
  bool reuse_address = false;
  std::shared_ptr<ConnectionLimit> limit;  // null: none
};

// What Network::Connect says when the other machine has answered that nobody listens there.
inline bool IsConnectionRefused(const Status& status) {
  return absl::EndsWith(status.message(), "connect: connection refused");
}

class Network {
 public:
  // Runs on the executor that owns the new connection.
  using OnAccept = absl::AnyInvocable<void(std::unique_ptr<Connection>, Executor&)>;

  virtual ~Network() = default;
  // Accepts on `loops` in turn at "host:port" (wildcards and names: on all their addresses) or
  // "unix:path". Bound when it returns, which may take as long as a name's look-up; errors read as
  // etcd's: `listen tcp 127.0.0.1:2379: bind: address already in use`. Thread: any.
  virtual StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address,
                                                     std::vector<Executor*> loops,
                                                     const ListenOptions& options,
                                                     OnAccept on_accept) = 0;
  // Never waits, for a name neither (env/dialer.h). `done` runs later. Thread: `on`, of `done` too.
  virtual void Connect(const std::string& address, Duration timeout, Executor& on,
                       absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)> done) = 0;
};

}  // namespace quoin::env

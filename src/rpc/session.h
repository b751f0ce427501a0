// What a server keeps per connection and per loop: shared by the HTTP/2 and HTTP/1.1 halves. Not
// for other rooms.
//
// Thread: one I/O loop.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "env/env.h"
#include "rpc/loop_memory.h"
#include "rpc/server.h"

namespace quoin::rpc {

struct ServerContext {
  const ServerOptions& options;
  GrpcDispatcher* dispatcher;
  HttpHandler* http;
  Logger& log;
};

// One connection's protocol. Bytes in by Feed; bytes out by writing to the connection.
class Session {
 public:
  virtual ~Session() = default;
  // False: the connection is to be closed after what was written.
  virtual bool Feed(std::string_view data) = 0;
  virtual void OnDrained() = 0;
  // The connection is gone: cancels everything.
  virtual void OnLost() = 0;
  // No new calls; true when none is left.
  virtual bool StartDrain() = 0;
  virtual size_t calls() const = 0;
};

// Called by a session that has become idle while draining, or must be closed. Outlives the session.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  virtual void CloseSession() = 0;
  // The same at once, with all that is queued: the client does not take it.
  virtual void DropSession() = 0;
};

std::unique_ptr<Session> NewHttp2Session(const ServerContext& context, env::Connection& connection,
                                         env::Executor& loop, SessionOwner& owner,
                                         std::shared_ptr<LoopMemory> memory);
std::unique_ptr<Session> NewHttp1Session(const ServerContext& context, env::Connection& connection,
                                         env::Executor& loop, SessionOwner& owner,
                                         std::shared_ptr<LoopMemory> memory);

}  // namespace quoin::rpc

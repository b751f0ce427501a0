// rpc server: gRPC over HTTP/2 and plain HTTP/1.1 on one listener. Knows nothing of etcd.
//
// There are Server (listeners and sessions on I/O loops), ServerCall (one gRPC call, the library's
// side), CallHandler (one gRPC call, the service's side), GrpcDispatcher and HttpHandler (who
// answers what).
//
// Threads: each connection and all its calls belong to one I/O loop (env::Executor); every callback
// runs there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/status.h"
#include "env/env.h"

namespace quoin::rpc {

struct ServerOptions {
  size_t receive_message_bytes_max = 1572864 + 512 * 1024;
  uint32_t concurrent_streams_max = UINT32_MAX;  // advertised; memory is bounded separately
  env::Duration keepalive_min_time = std::chrono::seconds(5);
  bool keepalive_permit_without_stream = false;
  env::Duration keepalive_interval = std::chrono::hours(2);
  env::Duration keepalive_timeout = std::chrono::seconds(20);
  env::Duration header_timeout = std::chrono::seconds(30);
  size_t call_unsent_bytes_max = 1 << 20;  // above it OnDrained must be awaited
  // What all clients together may leave with the server: answers not taken, requests that wait,
  // open calls. Above it the call whose client has taken nothing for longest is reset.
  uint64_t unread_bytes_max = limits::kUnreadBytesMax;
};

// One gRPC call as a service sees it. Owned by the session; ends with Finish or OnCancel. It lives
// as long as its handler: what a handler still does to it after its end has no effect. Thread: its
// I/O loop.
class ServerCall {
 public:
  virtual ~ServerCall() = default;
  virtual std::string_view method() const = 0;  // "/etcdserverpb.KV/Put"
  // First value of a request header that the dispatcher reads (ReadsMetadata); nullopt when absent.
  // Names in lower case.
  virtual std::optional<std::string_view> metadata(std::string_view name) const = 0;
  virtual std::optional<env::Duration> deadline()
      const = 0;  // on the executor's clock, from grpc-timeout
  virtual std::string remote_address() const = 0;
  virtual env::Executor& executor() = 0;

  // Sends one message.
  virtual void Send(std::string message) = 0;
  // Sends one message of a known size in parts: StartMessage, then AppendMessage until it ends.
  // A Finish before that takes the message back, or resets the call when a part of it has left.
  virtual void StartMessage(uint64_t total_bytes) = 0;
  virtual void AppendMessage(std::string part) = 0;
  virtual void AppendMessage(SharedBytes part) = 0;
  // Response bytes accepted and not yet written to the connection.
  virtual size_t unsent_bytes() const = 0;
  // Whether a producer may go on. When not, CallHandler::OnDrained follows once all is written.
  // Less is allowed when all calls together hold much.
  virtual bool has_room() const { return unsent_bytes() <= limits::kCallUnsentBytesMax; }
  // Ends the call with a status (etcd's code and text); OK after the last message. No further
  // callbacks.
  virtual void Finish(const Status& status) = 0;
  // Takes no further request messages until Resume (back-pressure on client streams).
  virtual void PauseRequests() = 0;
  virtual void ResumeRequests() = 0;

  // What the handler keeps of its requests, all in all, is counted as long as it says so, and until
  // the call ends. There are two kinds.
  // Bytes kept while the server has something to do first: when all calls together keep too much,
  // the one that has waited longest is reset.
  virtual void SetWaitingBytes(size_t) {}
  // Bytes kept until the client wants them no more: never taken away. False: it would be too much;
  // then nothing has changed, and the handler refuses the request.
  [[nodiscard]] virtual bool SetStandingBytes(size_t) { return true; }
};

// The service's side of one call. Destroyed by the session soon after Finish or OnCancel, but never
// inside a callback: it gives up there what it waits for, or in its destructor.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  // One request message, decompressed; valid during the call. For a unary method it comes exactly
  // once.
  virtual void OnMessage(std::string_view message) = 0;
  // The client has sent its last message. (Unary: right after OnMessage; a unary call without a
  // message never gets here, the session answers it.)
  virtual void OnHalfClose() {}
  virtual void OnDrained() {}
  // Client reset, deadline passed, connection lost or server stopping. The call is gone; send
  // nothing.
  virtual void OnCancel(const Status& why) = 0;
};

enum class CallKind : uint8_t { kUnary, kServerStream, kClientStream, kBidi };

struct Method {
  CallKind kind;
  absl::AnyInvocable<std::unique_ptr<CallHandler>(ServerCall&)> start;
};

// Maps methods to services. Unknown ones get gRPC's Unimplemented texts.
class GrpcDispatcher {
 public:
  virtual ~GrpcDispatcher() = default;
  virtual Method* Find(std::string_view path) = 0;  // nullptr = unknown method
  virtual bool HasService(std::string_view service) const = 0;
  // Whether some service asks for the request header `name` (in lower case). Others are not kept.
  virtual bool ReadsMetadata([[maybe_unused]] std::string_view name) const { return false; }
};

struct HttpRequest {
  std::string method;
  std::string target;  // path and query, as sent
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string remote_address;
  std::optional<std::string_view> header(std::string_view name) const;  // any case
};

struct HttpResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// One HTTP/1.1 exchange whose request body comes in pieces, or whose answer has no end: the
// session's side. Dead once HttpStreamHandler has been destroyed. Thread: its I/O loop.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  // The whole answer; ends the exchange.
  virtual void Reply(HttpResponse response) = 0;
  // Or its head now (without a length: the body is chunked), then Write any number of times: what
  // one turn writes leaves together. Reply and StartResponse exclude each other.
  virtual void StartResponse(HttpResponse head) = 0;
  virtual void Write(std::string bytes) = 0;
  // Bytes written that the kernel has not taken; the writer bounds it.
  virtual size_t unsent_bytes() const = 0;
  // Ends the answer and the connection, which cannot be used for another request.
  virtual void Finish() = 0;
  // Back-pressure on the request's body.
  virtual void PauseBody() = 0;
  virtual void ResumeBody() = 0;
};

// The user's side of an HttpExchange. Destroyed by the session after Reply, Finish or OnLost.
class HttpStreamHandler {
 public:
  virtual ~HttpStreamHandler() = default;
  virtual void OnBody([[maybe_unused]] std::string_view piece) {}
  virtual void OnBodyEnd() {}
  // The connection is gone or the server stops: nothing can be sent any more.
  virtual void OnLost() {}
};

// Answers one HTTP/1.1 request, now or later, on the same loop.
class HttpHandler {
 public:
  using Reply = absl::AnyInvocable<void(HttpResponse)>;
  virtual ~HttpHandler() = default;
  virtual void Handle(HttpRequest request, env::Executor& loop, Reply reply) = 0;
  // Asked when the head of a request is here (its body is empty then). Not null: the exchange is
  // streamed, and Handle is not called. May answer at once.
  virtual std::unique_ptr<HttpStreamHandler> Stream(const HttpRequest&, HttpExchange&) {
    return nullptr;
  }
};

class Server {
 public:
  // `dispatcher` or `http` may be null: then that protocol is refused. All references outlive the
  // server.
  static std::unique_ptr<Server> New(env::Env& env, std::vector<env::Executor*> io_loops,
                                     const ServerOptions& options, GrpcDispatcher* dispatcher,
                                     HttpHandler* http, Logger& log);
  virtual ~Server() = default;
  virtual Status Listen(const std::string& address, const env::ListenOptions& options) = 0;
  virtual std::vector<std::string> addresses() const = 0;
  // GOAWAY to all, no new calls; `done` when the last call ended or after `grace`, then everything
  // is closed.
  virtual void Drain(env::Duration grace, absl::AnyInvocable<void()> done) = 0;
};

}  // namespace quoin::rpc

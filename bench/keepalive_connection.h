// KeepAliveConnection: the client's half of streams of etcdserverpb.Lease/LeaseKeepAlive. Each
// renewal is a DATA frame of its own, as gRPC clients send it.
//
// Bytes in, bytes out; no I/O. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

struct nghttp2_session;

namespace quoin::bench {

class KeepAliveConnection {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    // Answers come in the order of the renewals of their stream.
    virtual void OnRenewed(size_t stream, int64_t id, int64_t ttl_seconds) = 0;
  };

  // Opens `streams` streams. `observer` outlives the connection.
  KeepAliveConnection(const std::string& authority, size_t streams, Observer& observer);
  ~KeepAliveConnection();
  KeepAliveConnection(const KeepAliveConnection&) = delete;
  KeepAliveConnection& operator=(const KeepAliveConnection&) = delete;

  void Renew(size_t stream, int64_t id);
  // Takes bytes of the server. False when the connection is of no use any more: see error().
  bool Receive(std::string_view bytes);
  // Bytes to send; the caller removes what it has sent.
  std::string& output();
  const std::string& error() const { return error_; }

 private:
  friend struct KeepAliveCallbacks;
  struct Stream {
    int32_t id = 0;
    std::deque<std::string> to_send;  // messages
    bool deferred = false;
    std::string partial;  // a message of which a part is here
  };
  void OnData(Stream& stream, std::string_view bytes);
  void OnMessage(const Stream& stream, std::string_view message);

  Observer& observer_;
  nghttp2_session* h2_ = nullptr;
  std::vector<Stream> streams_;
  std::string output_;
  std::string error_;
};

}  // namespace quoin::bench

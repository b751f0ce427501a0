// Connection: the client's half of HTTP/2, as little of it as a closed loop of unary gRPC calls
// needs.
//
// Bytes in, bytes out; no I/O. Request headers are written by hand: the first request of a
// connection puts them into the server's header table, later ones name them by index, as gRPC
// clients do. Response headers are read with nghttp2's decoder, only for grpc-status.
//
// One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/requests.h"

struct nghttp2_hd_inflater;

namespace quoin::bench {

class Connection {
 public:
  // Learns of every call that ended.
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void OnCallEnd(Kind kind, uint64_t started_at, bool ok) = 0;
  };

  // Keeps up to `streams` calls going. `source` and `observer` outlive the connection.
  Connection(std::string authority, size_t streams, RequestSource& source, Observer& observer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Takes bytes of the server. False when the connection is of no use any more: see error().
  bool Receive(std::string_view bytes);
  // Starts calls on free streams as the server's settings and flow control allow, at most `most`.
  // `now` becomes their start. Returns how many.
  size_t StartCalls(uint64_t now, size_t most = SIZE_MAX);

  // Bytes to send; the caller removes what it has sent.
  std::string& output() { return output_; }
  const std::string& error() const { return error_; }
  size_t calls_running() const { return running_; }
  // The load has ended and all calls with it.
  bool done() const { return source_done_ && running_ == 0; }

 private:
  struct Stream {
    uint32_t id = 0;  // 0 = free
    Kind kind = Kind::kPut;
    uint64_t started_at = 0;
    bool grpc_ok = false;
  };
  struct Frame {
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    std::string_view payload;
  };

  bool OnFrame(const Frame& frame);
  bool OnHeaders(const Frame& frame);
  bool OnSettings(const Frame& frame);
  bool OnWindowUpdate(const Frame& frame);
  // Decodes one header block; sets `grpc_ok` when it says grpc-status 0.
  bool Inflate(std::string_view block, bool& grpc_ok);
  void EndCall(uint32_t id, bool ok);
  Stream* Find(uint32_t id);
  bool Fail(std::string why);

  void WriteFrame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);
  void WriteRequest(Stream& stream, std::string_view message);
  // A header that stays in the server's table: by value the first time, by index later.
  void AppendTableHeader(std::string& block, size_t which, uint8_t static_name,
                         std::string_view name, std::string_view value);

  const std::string authority_;
  RequestSource& source_;
  Observer& observer_;
  nghttp2_hd_inflater* inflater_ = nullptr;
  std::vector<Stream> streams_;
  std::string input_;  // an incomplete frame
  std::string output_;
  std::string error_;
  std::string message_;  // request that waits for the window, or scratch
  bool message_ready_ = false;
  Kind message_kind_ = Kind::kPut;
  bool source_done_ = false;
  uint32_t next_stream_id_ = 1;
  size_t running_ = 0;
  int64_t send_window_ = 65535;
  int64_t stream_window_ = 65535;
  size_t streams_max_ = 0;  // until the server's settings are here
  uint64_t received_since_update_ = 0;
  // Headers that this connection has put into the table: 0 = not yet, else their number in order of
  // insertion.
  std::vector<size_t> inserted_;
  size_t insertions_ = 0;
};

}  // namespace quoin::bench

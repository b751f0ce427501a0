// WatchConnection: the client's half of HTTP/2 for streams of etcdserverpb.Watch, as little of it
// as counting events needs: messages are looked through, never parsed into objects, and read where
// they arrived unless a frame's end cuts them.
//
// Bytes in, bytes out; no I/O. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quoin::bench {

struct WatchRequest {
  std::string_view key, range_end;
  int64_t start_revision = 0;
  int64_t watch_id = 0;  // 0 = the server chooses
  bool prev_kv = false;
};

class WatchConnection {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void OnCreated(size_t stream, int64_t watch_id) = 0;
    // Also for watches that were refused.
    virtual void OnCanceled(size_t stream, int64_t watch_id) = 0;
    // `event`: mvccpb.Event; valid during the call.
    virtual void OnEvent(size_t stream, int64_t watch_id, std::string_view event) = 0;
  };

  // Opens `streams` streams. `observer` outlives the connection. `window`: of the connection and of
  // each stream; 0 = HTTP/2's default of 64 KiB, never given back (a client that does not read).
  WatchConnection(std::string_view authority, size_t streams, uint32_t window, Observer& observer);

  void Create(size_t stream, const WatchRequest& request);
  void Cancel(size_t stream, int64_t watch_id);

  // Takes bytes of the server. False when the connection is of no use any more: see error().
  bool Receive(std::string_view bytes);

  // Bytes to send; the caller removes what it has sent.
  std::string& output() { return output_; }
  const std::string& error() const { return error_; }

 private:
  struct Stream {
    std::string to_send;  // messages that wait for the server's window
    std::string partial;  // a message of which a part is here
    int64_t send_window = 65535;
    uint64_t received = 0;  // since the last update of the window
  };

  size_t OnFrames(std::string_view bytes);
  bool OnFrame(std::string_view header, std::string_view payload);
  bool OnData(size_t stream, std::string_view payload);
  bool OnSettings(std::string_view payload);
  bool OnResponse(size_t stream, std::string_view message);
  void SendMessage(size_t stream, std::string_view message);
  void SendWaiting(size_t stream);
  void WriteFrame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);
  void WriteWindowUpdate(uint32_t stream, uint32_t bytes);
  bool Fail(std::string why);

  const uint32_t window_;
  Observer& observer_;
  std::vector<Stream> streams_;  // number i has HTTP/2's id 2 i + 1
  int64_t send_window_ = 65535;
  int64_t initial_window_ = 65535;
  uint64_t received_ = 0;
  std::string input_;  // an incomplete frame
  std::string output_;
  std::string error_;
};

}  // namespace quoin::bench

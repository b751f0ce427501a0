// FloodGuard: counts what one HTTP/2 client sends to no purpose, and says when it is too much.
//
// The counts are weighed against calls that came to an end: a busy client may reset many calls in a
// day, a client that does nothing else may not. FrameMeter finds the frames that nghttp2 passes
// over in silence.
//
// Thread: the session's I/O loop.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "env/clock.h"

namespace quoin::rpc {

inline constexpr uint64_t kResetsBeyondCompletedMax = 1000;
inline constexpr uint64_t kUselessFramesMax = 10'000;
inline constexpr int kHeaderFloodsMax = 2;  // the second one ends the connection
inline constexpr int kPingStrikesMax = 2;
// Least time between pings of a client without calls, if those are not permitted.
inline constexpr env::Duration kIdlePingMin = std::chrono::hours(2);

// Counts useless frames in the bytes that a client sends. Value type.
class FrameMeter {
 public:
  // The next bytes of the connection, from its preface on. Returns how many frames among them were
  // useless: of an unknown type, PRIORITY, or DATA and CONTINUATION that carry and end nothing.
  uint64_t Take(std::string_view data);

 private:
  static constexpr size_t kHeadBytes = 9;
  static constexpr size_t kPrefaceBytes = 24;
  bool IsUseless() const;

  std::array<unsigned char, kHeadBytes> head_{};
  size_t head_bytes_ = 0;                // of the frame's head, so far
  size_t payload_left_ = kPrefaceBytes;  // to pass over
};

// Each Note method returns a reason when the connection must end. Value type.
class FloodGuard {
 public:
  void NoteCompleted() { ++completed_; }
  // Answer bytes were given to the connection: clients measure with pings meanwhile.
  void NoteAnswer() { answered_since_ping_ = true; }

  // A stream was reset before it was answered, by the client, or by the server for the client's
  // fault.
  std::optional<std::string_view> NoteReset();
  std::optional<std::string_view> NoteUselessFrames(uint64_t count);
  // A request with more headers than are taken.
  std::optional<std::string_view> NoteHeaderFlood();
  // A ping, less than `least` after the one before: two are forgiven, and any while answers flow.
  std::optional<std::string_view> NotePing(env::Duration now, env::Duration least);

 private:
  uint64_t completed_ = 0;
  uint64_t resets_ = 0;
  uint64_t useless_frames_ = 0;
  int header_floods_ = 0;
  int ping_strikes_ = 0;
  std::optional<env::Duration> last_ping_;
  bool answered_since_ping_ = false;
};

}  // namespace quoin::rpc

// HTTP/2 frames made and read by hand: for clients that do what no library would let them.
//
// Value types and functions; thread: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quoin::rpc::raw {

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
inline constexpr uint8_t kEndStream = 1, kEndHeaders = 4, kAck = 1;

struct Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload;
};

std::string U32(uint32_t value);
std::string Encode(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);
// HPACK: a literal that enters no table; one that enters the table (index 62 is the youngest).
std::string Literal(std::string_view name, std::string_view value);
std::string Indexed(std::string_view name, std::string_view value);
// The headers of a gRPC request.
std::string RequestHead(std::string_view path);

// The error code of a RST_STREAM or GOAWAY frame.
uint32_t ErrorCode(const Frame& frame);

// Takes bytes as they come, gives whole frames. Value type.
class FrameReader {
 public:
  std::vector<Frame> Take(std::string_view data);

 private:
  std::string buffer_;
};

}  // namespace quoin::rpc::raw

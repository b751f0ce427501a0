#include "rpc/testing/raw_http2.h"

namespace quoin::rpc::raw {
namespace {

constexpr size_t kFrameHeadBytes = 9;

uint32_t ReadU32(std::string_view data) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(data[i]);
  return value;
}

// RFC 7541 §5.1 with a prefix of 7 bits, then the text as it is.
std::string HpackString(std::string_view text) {
  std::string out;
  size_t size = text.size();
  if (size < 127) {
    out.push_back(static_cast<char>(size));
  } else {
    out.push_back(127);
    for (size -= 127; size >= 128; size >>= 7) out.push_back(static_cast<char>(size | 128));
    out.push_back(static_cast<char>(size));
  }
  return out.append(text);
}

}  // namespace

std::string U32(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
  return out;
}

std::string Encode(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = U32(static_cast<uint32_t>(payload.size())).substr(1);
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  return out.append(U32(stream)).append(payload);
}

std::string Literal(std::string_view name, std::string_view value) {
  return std::string(1, '\0') + HpackString(name) + HpackString(value);
}

std::string Indexed(std::string_view name, std::string_view value) {
  return "\x40" + HpackString(name) + HpackString(value);
}

std::string RequestHead(std::string_view path) {
  return Literal(":method", "POST") + Literal(":scheme", "http") + Literal(":path", path) +
         Literal(":authority", "x") + Literal("content-type", "application/grpc") +
         Literal("te", "trailers");
}

uint32_t ErrorCode(const Frame& frame) {
  return ReadU32(std::string_view(frame.payload).substr(frame.type == kGoAway ? 4 : 0));
}

std::vector<Frame> FrameReader::Take(std::string_view data) {
  buffer_.append(data);
  std::vector<Frame> out;
  while (buffer_.size() >= kFrameHeadBytes) {
    const size_t size = ReadU32(buffer_) >> 8;
    if (buffer_.size() < kFrameHeadBytes + size) break;
    out.push_back({static_cast<uint8_t>(buffer_[3]), static_cast<uint8_t>(buffer_[4]),
                   ReadU32(std::string_view(buffer_).substr(5)),
                   buffer_.substr(kFrameHeadBytes, size)});
    buffer_.erase(0, kFrameHeadBytes + size);
  }
  return out;
}

}  // namespace quoin::rpc::raw

// gRPC on the wire, apart from HTTP/2 itself: message prefixes, timeouts, status texts,
// compression, method names.
//
// Value types and functions; thread: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "env/clock.h"

namespace quoin::rpc {

inline constexpr size_t kMessagePrefixBytes = 5;  // compressed flag, length u32 big-endian

std::string MessagePrefix(uint64_t size);

// grpc-timeout: up to 8 digits and a unit (H M S m u n).
StatusOr<env::Duration> ParseTimeout(std::string_view text);
std::string FormatTimeout(env::Duration timeout);

// grpc-message: everything but printable ASCII is percent-encoded, and the percent sign.
std::string EncodeStatusMessage(std::string_view text);
std::string DecodeStatusMessage(std::string_view text);
// What a percent sign at `at` and the two hexadecimal digits behind it stand for (RFC 3986 §2.1);
// nullopt: they are not there. REQUIRES: at < text.size().
std::optional<char> EscapedByte(std::string_view text, size_t at);

// The first part of "application/grpc", "application/grpc+proto", "application/grpc;…".
bool IsGrpcContentType(std::string_view type);

// Splits messages out of a stream of DATA bytes, with limits. A message that ends with the bytes
// that came is handed out with their memory: nothing stays behind, however long the call waits.
// Thread: one.
class MessageReader {
 public:
  // `encoding`: grpc-encoding of the stream; "" and "identity" mean none.
  MessageReader(size_t bytes_max, std::string encoding)
      : bytes_max_(bytes_max), encoding_(std::move(encoding)) {}
  void Append(std::string_view data);
  // The next whole message, decompressed; nullopt when more bytes are needed. Errors are grpc-go's.
  StatusOr<std::optional<std::string>> Next();
  // Bytes of an unfinished message are left.
  bool HasPartial() const { return at_ < buffer_.size(); }
  // Memory that it takes, beside itself.
  size_t buffered_bytes() const {
    return buffer_.capacity() > std::string().capacity() ? buffer_.capacity() : buffer_.size();
  }

 private:
  void MakeRoom(size_t bytes);
  // REQUIRES: at_ + kMessagePrefixBytes <= buffer_.size().
  uint64_t NextSize() const;
  // The body of the next message, of `size` bytes, which are there.
  std::string TakeBody(size_t size);

  const size_t bytes_max_;
  const std::string encoding_;
  std::string buffer_;
  size_t at_ = 0;
};

}  // namespace quoin::rpc

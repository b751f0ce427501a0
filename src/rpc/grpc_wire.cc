#include "rpc/grpc_wire.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>

namespace quoin::rpc {
namespace {

constexpr size_t kInflateStepBytes = 64 * 1024;

StatusOr<std::string> Gunzip(std::string_view data, size_t bytes_max) {
  z_stream stream{};
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  if (inflateInit2(&stream, kGzipOnly) != Z_OK)
    return absl::InternalError("grpc: cannot start decompression");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  std::string out;
  int result = Z_OK;
  while (result == Z_OK && out.size() <= bytes_max) {
    const size_t before = out.size();
    out.resize(before + kInflateStepBytes);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = kInflateStepBytes;
    result = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (result == Z_BUF_ERROR) break;
  }
  inflateEnd(&stream);
  if (out.size() > bytes_max) {
    return absl::ResourceExhaustedError(
        "grpc: received message after decompression larger than max " + std::to_string(bytes_max));
  }
  if (result != Z_STREAM_END)
    return absl::InternalError(
        "grpc: failed to decompress the received message: gzip: invalid data");
  return out;
}

}  // namespace

std::string MessagePrefix(uint64_t size) {
  std::string prefix(kMessagePrefixBytes, '\0');
  for (int i = 0; i < 4; ++i)
    prefix[static_cast<size_t>(1 + i)] = static_cast<char>(size >> (24 - 8 * i));
  return prefix;
}

StatusOr<env::Duration> ParseTimeout(std::string_view text) {
  auto malformed = [&](const std::string& why) {
    return absl::InternalError("malformed grpc-timeout: transport: " + why + ": \"" +
                               std::string(text) + "\"");
  };
  if (text.size() < 2) return malformed("timeout string is too short");
  if (text.size() > 9) return malformed("timeout string is too long");
  int64_t unit = 0;
  switch (text.back()) {
    case 'H':
      unit = 3600'000'000'000;
      break;
    case 'M':
      unit = 60'000'000'000;
      break;
    case 'S':
      unit = 1'000'000'000;
      break;
    case 'm':
      unit = 1'000'000;
      break;
    case 'u':
      unit = 1'000;
      break;
    case 'n':
      unit = 1;
      break;
    default:
      return malformed("timeout unit is not recognized");
  }
  int64_t number = 0;
  const char* end = text.data() + text.size() - 1;
  auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || number < 0)
    return malformed("timeout value is not a number");
  constexpr int64_t kHoursMax = INT64_MAX / 3600'000'000'000;  // more cannot be told from for ever
  if (unit == 3600'000'000'000 && number > kHoursMax) return env::Duration(INT64_MAX / 2);
  return env::Duration(number * unit);
}

std::string FormatTimeout(env::Duration timeout) {
  int64_t value = std::max<int64_t>(timeout.count(), 0);
  constexpr int64_t kDigitsMax = 99'999'999;
  if (value <= kDigitsMax) return std::to_string(value) + "n";
  if (value / 1'000 <= kDigitsMax) return std::to_string(value / 1'000) + "u";
  if (value / 1'000'000 <= kDigitsMax) return std::to_string(value / 1'000'000) + "m";
  return std::to_string(std::min(value / 1'000'000'000, kDigitsMax)) + "S";
}

std::string EncodeStatusMessage(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    if (c >= 0x20 && c <= 0x7e && c != '%') {
      out.push_back(static_cast<char>(c));
    } else {
      out.push_back('%');
      out.push_back("0123456789ABCDEF"[c >> 4]);
      out.push_back("0123456789ABCDEF"[c & 15]);
    }
  }
  return out;
}

std::optional<char> EscapedByte(std::string_view text, size_t at) {
  if (text[at] != '%' || at + 2 >= text.size()) return std::nullopt;
  const char* const digits = text.data() + at + 1;
  unsigned value = 0;
  if (std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2) return std::nullopt;
  return static_cast<char>(value);
}

std::string DecodeStatusMessage(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (const std::optional<char> byte = EscapedByte(text, i)) {
      out.push_back(*byte);
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

bool IsGrpcContentType(std::string_view type) {
  constexpr std::string_view kGrpc = "application/grpc";
  if (!type.starts_with(kGrpc)) return false;
  return type.size() == kGrpc.size() || type[kGrpc.size()] == '+' || type[kGrpc.size()] == ';';
}

void MessageReader::Append(std::string_view data) {
  // What has been taken goes before it is the greater part: a stream need not end with a message.
  if (at_ > buffer_.size() / 2) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  const size_t bytes = buffer_.size() + data.size();
  if (bytes > buffer_.capacity()) MakeRoom(bytes);
  buffer_.append(data);
}

// Grows by doubling, but not beyond the end of a message that says how long it is.
void MessageReader::MakeRoom(size_t bytes) {
  if (buffer_.size() < at_ + kMessagePrefixBytes) return;
  const uint64_t end = at_ + kMessagePrefixBytes + NextSize();
  if (end < bytes || end >= 2 * buffer_.capacity()) return;
  std::string grown;
  grown.reserve(end);
  grown.append(buffer_);
  buffer_ = std::move(grown);
}

uint64_t MessageReader::NextSize() const {
  uint64_t size = 0;
  for (size_t i = 1; i < kMessagePrefixBytes; ++i)
    size = size << 8 | static_cast<unsigned char>(buffer_[at_ + i]);
  return size;
}

std::string MessageReader::TakeBody(size_t size) {
  const size_t begin = at_ + kMessagePrefixBytes, end = begin + size;
  if (end < buffer_.size()) {
    at_ = end;
    return buffer_.substr(begin, size);
  }
  std::string body = std::exchange(buffer_, {});
  at_ = 0;
  body.erase(0, begin);
  return body;
}

StatusOr<std::optional<std::string>> MessageReader::Next() {
  if (buffer_.size() < at_ + kMessagePrefixBytes) return std::optional<std::string>();
  const auto flag = static_cast<unsigned char>(buffer_[at_]);
  const uint64_t size = NextSize();
  if (flag > 1)
    return absl::InternalError("grpc: received unexpected payload format " + std::to_string(flag));
  const bool plain = encoding_.empty() || encoding_ == "identity";
  if (flag == 1 && plain)
    return absl::InternalError("grpc: compressed flag set with identity or empty encoding");
  if (flag == 1 && encoding_ != "gzip") {
    return absl::UnimplementedError("grpc: Decompressor is not installed for grpc-encoding \"" +
                                    encoding_ + "\"");
  }
  if (size > bytes_max_) {
    return absl::ResourceExhaustedError("grpc: received message larger than max (" +
                                        std::to_string(size) + " vs. " +
                                        std::to_string(bytes_max_) + ")");
  }
  if (buffer_.size() - at_ < kMessagePrefixBytes + size) return std::optional<std::string>();
  std::string body = TakeBody(size);
  if (flag == 0) return std::optional<std::string>(std::move(body));
  ASSIGN_OR_RETURN(std::string message, Gunzip(body, bytes_max_));
  return std::optional<std::string>(std::move(message));
}

}  // namespace quoin::rpc

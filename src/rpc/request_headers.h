// RequestHeaders: what a gRPC call keeps of the headers of its request, within bounds.
//
// A header field of a few bytes on the wire may stand for thousands when it is decoded (HPACK's
// table), so the bounds count decoded fields: kept or not, each costs its name, its value and 32
// bytes, as RFC 9113 §6.5.2 counts them. Only fields that the server reads are kept, and of each
// but the path no more than its first 64 bytes.
//
// Value type.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rpc/server.h"

namespace quoin::rpc {

inline constexpr size_t kHeaderListBytesMax = 64 * 1024;  // advertised to clients too
inline constexpr size_t kHeaderFieldsMax = 128;
inline constexpr size_t kHeaderFieldOverheadBytes = 32;

class RequestHeaders {
 public:
  enum class Verdict : uint8_t { kTaken, kMalformed, kTooMuch };

  // One decoded field. `dispatcher` (may be null) says which metadata the services read.
  Verdict Add(const GrpcDispatcher* dispatcher, std::string_view name, std::string_view value);
  // The same for a field that nghttp2 objects to. It objects to more than etcd does: a value with
  // blanks around it is taken, a name that is no token or a control character is malformed.
  Verdict AddDoubtful(const GrpcDispatcher* dispatcher, std::string_view name,
                      std::string_view value);
  // A field of the request's trailers: counted, and of no use.
  Verdict AddTrailer(std::string_view name, std::string_view value) { return Count(name, value); }

  const std::string& path() const { return path_; }
  const std::string& http_method() const { return http_method_; }
  const std::string& content_type() const { return content_type_; }
  const std::string& encoding() const { return encoding_; }
  const std::optional<std::string>& timeout() const { return timeout_; }
  // The first value of a name that the services read.
  std::optional<std::string_view> metadata(std::string_view name) const;
  // Heap memory that is held, about.
  size_t bytes() const { return kept_bytes_; }

 private:
  Verdict Count(std::string_view name, std::string_view value);

  std::string path_, http_method_, content_type_, encoding_;
  std::optional<std::string> timeout_;
  std::vector<std::pair<std::string, std::string>> metadata_;
  size_t kept_bytes_ = 0;
  size_t list_bytes_ = 0;
  size_t fields_ = 0;
};

}  // namespace quoin::rpc

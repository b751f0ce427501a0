// Url: one URL of a flag, checked as etcd checks listen and advertise URLs.
//
// There are Url and free functions that parse a flag's comma-separated list.
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quoin::config {

// Value type. `scheme` is one of http, https, unix, unixs.
struct Url {
  std::string scheme;
  std::string host;  // "127.0.0.1:2379", "[::1]:2379"; of a unix URL the part before the first
                     // slash, often empty
  std::string path;  // of a unix URL only: "/run/quoin.sock"

  std::string text() const;  // "http://127.0.0.1:2379": what members store and clients are told
  // What env::Network listens on and connects to: "127.0.0.1:2379" or "unix:/run/quoin.sock".
  std::string address() const;
  bool is_unix() const { return scheme == "unix" || scheme == "unixs"; }
  bool is_tls() const { return scheme == "https" || scheme == "unixs"; }
  std::string hostname() const;  // without port and brackets
  std::string port() const;      // empty when there is none

  friend auto operator<=>(const Url&, const Url&) = default;
};

// Errors are etcd's texts: `URL scheme must be http, https, unix, or unixs: ftp://x`, …
StatusOr<Url> ParseUrl(std::string_view text);

// A flag's value: comma-separated, blanks around each trimmed, sorted by text, duplicates dropped.
StatusOr<std::vector<Url>> ParseUrls(std::string_view list);

// The texts of `urls`, in their order.
std::vector<std::string> UrlTexts(const std::vector<Url>& urls);

}  // namespace quoin::config

// What all parts of a Transport share, and small things they have in common. Not for other rooms.
//
// Thread: the peer loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "env/env.h"
#include "peer/transport.h"
#include "rpc/http_client.h"
#include "rpc/server.h"

namespace quoin::peer {

// Value type of references. Each part has its own copy: the last of them are destroyed by the loop
// after the Transport and its options, when only the loop is still used.
struct Context {
  env::Env& env;
  env::Executor& loop;
  const Options& options;
  Host& host;
  Logger& log;
};

// How ids stand in URLs and headers: lower-case hex without padding.
std::string HexOf(uint64_t id);
inline std::string HexOf(NodeId id) { return HexOf(id.value()); }
// The inverse; nullopt for anything else ("0x…", empty, too long).
std::optional<uint64_t> ParseHex(std::string_view text);

// Headers that every Raft request of this member carries.
std::vector<std::pair<std::string, std::string>> RequestHeaders(const Options& options);

// Whether `peer` may say this to us: what a member says it says for itself. Only a client's request
// that it passes on keeps its author.
Status CheckAuthor(const raft::Message& message, NodeId peer, NodeId self);

// The addresses of one member: one is in use until it fails. Value type.
class UrlPicker {
 public:
  explicit UrlPicker(std::vector<std::string> urls) : urls_(std::move(urls)) {}
  const std::string& current() const;
  const std::vector<std::string>& all() const { return urls_; }
  // Several users may find out at once: only the first of them moves on.
  void Failed(std::string_view url) {
    if (!urls_.empty() && url == urls_[at_]) at_ = (at_ + 1) % urls_.size();
  }
  void Replace(std::vector<std::string> urls) {
    urls_ = std::move(urls);
    at_ = 0;
  }

 private:
  std::vector<std::string> urls_;
  size_t at_ = 0;
};

}  // namespace quoin::peer

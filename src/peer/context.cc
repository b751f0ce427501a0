#include "peer/context.h"

#include <fmt/format.h>

#include <charconv>

namespace quoin::peer {

std::string HexOf(uint64_t id) { return fmt::format("{:x}", id); }

std::optional<uint64_t> ParseHex(std::string_view text) {
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.empty() || text[0] == '-')
    return std::nullopt;
  return id;
}

std::vector<std::pair<std::string, std::string>> RequestHeaders(const Options& options) {
  std::string urls;
  for (const std::string& url : options.self_peer_urls) urls += (urls.empty() ? "" : ",") + url;
  return {{"X-Server-From", HexOf(options.self)},
          {"X-Server-Version", options.server_version},
          {"X-Min-Cluster-Version", options.min_cluster_version},
          {"X-Etcd-Cluster-ID", HexOf(options.cluster_id)},
          {"X-PeerURLs", urls}};
}

Status CheckAuthor(const raft::Message& message, NodeId peer, NodeId self) {
  const bool passed_on =
      message.type == raft::MessageType::kProp || message.type == raft::MessageType::kReadIndex;
  if (message.to == self && (passed_on || message.from == peer)) return OkStatus();
  return absl::InvalidArgumentError(fmt::format("a message from {} to {}, brought by {}",
                                                HexOf(message.from), HexOf(message.to),
                                                HexOf(peer)));
}

const std::string& UrlPicker::current() const {
  static const std::string none;
  return urls_.empty() ? none : urls_[at_];
}

}  // namespace quoin::peer

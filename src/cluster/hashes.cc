#include "cluster/hashes.h"

#include <boost/json.hpp>
#include <map>

namespace quoin::cluster {
namespace {

namespace json = boost::json;

// A number of an object; zeros are left out.
template <typename T>
bool Read(const json::object& object, std::string_view name, T& out) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return true;
  if (!value->is_int64() && !value->is_uint64()) return false;
  boost::system::error_code error;
  out = value->to_number<T>(error);
  return !error;
}

StatusOr<json::object> ParseObject(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (!error && value.is_null()) return json::object();
  if (error || !value.is_object()) return absl::InvalidArgumentError("not a JSON object");
  return std::move(value.get_object());
}

bool Comparable(const KvHash& own, const PeerHash& peer) {
  return peer.answer && peer.answer->compact_revision == own.compact_revision;
}

}  // namespace

std::string HashRequestJson(int64_t revision) {
  return json::serialize(json::object{{"revision", revision}});
}

StatusOr<int64_t> ParseHashRequestJson(std::string_view text) {
  ASSIGN_OR_RETURN(const json::object object, ParseObject(text));
  int64_t revision = 0;
  if (!Read(object, "revision", revision)) return absl::InvalidArgumentError("not a revision");
  return revision;
}

std::string HashAnswerJson(const KvHash& hash) {
  json::object header;
  if (hash.current_revision != 0) header["revision"] = hash.current_revision;
  json::object answer;
  answer["header"] = std::move(header);
  if (hash.hash != 0) answer["hash"] = hash.hash;
  if (hash.compact_revision != 0) answer["compact_revision"] = hash.compact_revision;
  if (hash.hash_revision != 0) answer["hash_revision"] = hash.hash_revision;
  return json::serialize(answer);
}

StatusOr<KvHash> ParseHashAnswerJson(std::string_view text) {
  ASSIGN_OR_RETURN(const json::object object, ParseObject(text));
  KvHash hash;
  const json::value* header = object.if_contains("header");
  const bool headed =
      header == nullptr || header->is_null() ||
      (header->is_object() && Read(header->get_object(), "revision", hash.current_revision));
  if (!headed || !Read(object, "hash", hash.hash) ||
      !Read(object, "compact_revision", hash.compact_revision) ||
      !Read(object, "hash_revision", hash.hash_revision)) {
    return absl::InvalidArgumentError("not the hash of a member");
  }
  return hash;
}

size_t CountDifferent(const KvHash& own, const std::vector<PeerHash>& peers) {
  size_t different = 0;
  for (const PeerHash& peer : peers)
    different += Comparable(own, peer) && peer.answer->hash != own.hash;
  return different;
}

std::optional<Suspect> CompareNow(uint64_t self, const KvHash& before, const KvHash& after,
                                  const std::vector<PeerHash>& peers) {
  if (after.hash != before.hash && after.hash_revision == before.hash_revision &&
      after.compact_revision == before.compact_revision) {
    return Suspect{self, "its hash changed, and its revision did not"};
  }
  for (const PeerHash& peer : peers) {
    if (!peer.answer) continue;
    if (peer.answer->current_revision > after.current_revision)
      return Suspect{peer.id, "its revision is beyond the leader's"};
    if (peer.answer->compact_revision > after.compact_revision)
      return Suspect{peer.id, "its compact revision is beyond the leader's"};
    if (Comparable(before, peer) && peer.answer->hash != before.hash)
      return Suspect{peer.id, "its hash is not the leader's"};
  }
  return std::nullopt;
}

CompactionVerdict CompareCompaction(uint64_t self, const KvHash& own,
                                    const std::vector<PeerHash>& peers) {
  std::map<uint32_t, std::vector<uint64_t>> members_by_hash = {{own.hash, {self}}};
  size_t compared = 0;
  for (const PeerHash& peer : peers) {
    if (!Comparable(own, peer)) continue;
    ++compared;
    members_by_hash[peer.answer->hash].push_back(peer.id);
  }
  CompactionVerdict verdict;
  if (members_by_hash.size() == 1) {
    verdict.all_equal = compared == peers.size();
    return verdict;
  }
  const size_t quorum = (peers.size() + 1) / 2 + 1;
  const size_t majorities = std::erase_if(
      members_by_hash, [&](const auto& group) { return group.second.size() >= quorum; });
  if (majorities == 0) {
    verdict.suspects.push_back({0, "no hash is that of most members"});
    return verdict;
  }
  for (const auto& [hash, members] : members_by_hash) {
    for (uint64_t id : members)
      verdict.suspects.push_back({id, "its hash of a compaction is not that of most members"});
  }
  return verdict;
}

}  // namespace quoin::cluster

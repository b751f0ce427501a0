#include "cluster/membership.h"

#include <openssl/sha.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "base/check.h"
#include "base/errors.h"

namespace quoin::cluster {
namespace {

namespace json = boost::json;

constexpr std::string_view kMembers = "members";
constexpr std::string_view kRemoved = "members_removed";
constexpr std::string_view kCluster = "cluster";
constexpr std::string_view kClusterVersion = "clusterVersion";
constexpr std::string_view kDowngrade = "downgrade";
constexpr std::string_view kLearnersMax = "quoinMaxLearners";  // of a change's context, ours

json::array StringArray(const std::vector<std::string>& strings) {
  json::array out;
  for (const std::string& s : strings) out.emplace_back(s);
  return out;
}

bool ReadStrings(const json::object& object, std::string_view name, std::vector<std::string>& out) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return true;
  if (!value->is_array()) return false;
  for (const json::value& item : value->get_array()) {
    if (!item.is_string()) return false;
    out.emplace_back(item.get_string());
  }
  return true;
}

uint64_t FirstEightBytesOfSha1(std::string_view data) {
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest);
  uint64_t id = 0;
  for (int i = 0; i < 8; ++i) id = id << 8 | digest[i];
  return id;
}

StatusOr<json::object> ParseObject(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error || !value.is_object()) return absl::InvalidArgumentError("not a JSON object");
  return std::move(value.get_object());
}

Status ForEach(const btree::Snapshot& snapshot, std::string_view bucket,
               absl::FunctionRef<Status(std::string_view key, std::string_view value)> visit) {
  btree::Cursor cursor = snapshot.NewCursor(bucket, btree::OnMiss::kLoad);
  RETURN_IF_ERROR(cursor.SeekFirst());
  while (cursor.Valid()) {
    RETURN_IF_ERROR(visit(cursor.key(), cursor.value()));
    RETURN_IF_ERROR(cursor.Next());
  }
  return OkStatus();
}

Status MalformedRow(std::string_view bucket, std::string_view key) {
  return absl::DataLossError("bucket " + std::string(bucket) + ": the row of \"" +
                             std::string(key) + "\" is malformed");
}

bool Flag(const json::object& object, std::string_view name) {
  const json::value* flag = object.if_contains(name);
  return flag != nullptr && flag->is_bool() && flag->get_bool();
}

StatusOr<Member> MemberOf(const json::object& object) {
  Member member;
  const json::value* id = object.if_contains("id");
  if (id != nullptr) {
    boost::system::error_code error;
    member.id = id->to_number<uint64_t>(error);
    if (error) return absl::InvalidArgumentError("member id is not a number");
  }
  if (!ReadStrings(object, "peerURLs", member.peer_urls) ||
      !ReadStrings(object, "clientURLs", member.client_urls)) {
    return absl::InvalidArgumentError("member URLs are not a list of strings");
  }
  if (const json::value* name = object.if_contains("name"); name != nullptr && name->is_string()) {
    member.name = std::string(name->get_string());
  }
  member.learner = Flag(object, "isLearner");
  return member;
}

json::object ObjectOf(const Member& member) {
  json::object object;
  object["id"] = member.id;
  object["peerURLs"] = StringArray(member.peer_urls);
  if (member.learner) object["isLearner"] = true;
  if (!member.name.empty()) object["name"] = member.name;
  if (!member.client_urls.empty()) object["clientURLs"] = StringArray(member.client_urls);
  return object;
}

}  // namespace

std::string MemberJson(const Member& member) { return json::serialize(ObjectOf(member)); }

std::string AddLearnerJson(const Member& member, size_t learners_max) {
  json::object object = ObjectOf(member);
  object[kLearnersMax] = learners_max;
  return json::serialize(object);
}

std::string PromoteJson(uint64_t id) {
  json::object object;
  object["id"] = id;
  object["peerURLs"] = nullptr;
  object["isPromote"] = true;
  return json::serialize(object);
}

StatusOr<std::vector<Member>> ParseMemberListJson(std::string_view text) {
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  if (error || !value.is_array()) return absl::InvalidArgumentError("not a JSON list of members");
  std::vector<Member> members;
  for (const json::value& item : value.get_array()) {
    if (!item.is_object()) return absl::InvalidArgumentError("a member is not a JSON object");
    ASSIGN_OR_RETURN(members.emplace_back(), MemberOf(item.get_object()));
  }
  return members;
}

StatusOr<Member> ParseMemberJson(std::string_view text) {
  ASSIGN_OR_RETURN(const json::object object, ParseObject(text));
  return MemberOf(object);
}

StatusOr<ChangeContext> ParseChangeContext(std::string_view text) {
  ASSIGN_OR_RETURN(const json::object object, ParseObject(text));
  ChangeContext context;
  ASSIGN_OR_RETURN(context.member, MemberOf(object));
  context.promote = Flag(object, "isPromote");
  if (const json::value* limit = object.if_contains(kLearnersMax); limit != nullptr) {
    boost::system::error_code error;
    context.learners_max = limit->to_number<size_t>(error);
    if (error) return absl::InvalidArgumentError("the limit of learners is not a number");
  }
  return context;
}

Status CheckChangeContext(const raft::ConfChange& change) {
  if (change.type == raft::ConfChangeType::kRemoveNode) return OkStatus();
  StatusOr<ChangeContext> context = ParseChangeContext(change.context);
  if (context.ok()) return OkStatus();
  return absl::InvalidArgumentError("a configuration change whose context cannot be read: " +
                                    std::string(context.status().message()));
}

uint64_t MemberId(std::vector<std::string> peer_urls, std::string_view token) {
  std::sort(peer_urls.begin(), peer_urls.end());
  std::string text;
  for (const std::string& url : peer_urls) text += url;
  text += token;
  return FirstEightBytesOfSha1(text);
}

uint64_t ClusterId(std::vector<uint64_t> member_ids) {
  std::sort(member_ids.begin(), member_ids.end());
  std::string bytes;
  for (uint64_t id : member_ids) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(id >> shift));
  }
  return FirstEightBytesOfSha1(bytes);
}

std::string HexId(uint64_t id) {
  char buffer[17];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, id, 16);
  CHECK(error == std::errc());
  return std::string(buffer, end);
}

std::optional<uint64_t> ParseHexId(std::string_view text) {
  uint64_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return id;
}

StatusOr<Membership> Membership::Load(const btree::Snapshot& snapshot) {
  Membership out;
  RETURN_IF_ERROR(
      ForEach(snapshot, kMembers, [&](std::string_view key, std::string_view value) -> Status {
        std::optional<uint64_t> id = ParseHexId(key);
        StatusOr<Member> member = ParseMemberJson(value);
        if (!id || !member.ok()) return MalformedRow(kMembers, key);
        member->id = *id;
        out.members_[*id] = *std::move(member);
        return OkStatus();
      }));
  RETURN_IF_ERROR(
      ForEach(snapshot, kRemoved, [&](std::string_view key, std::string_view) -> Status {
        std::optional<uint64_t> id = ParseHexId(key);
        if (!id) return MalformedRow(kRemoved, key);
        out.removed_.insert(*id);
        return OkStatus();
      }));
  RETURN_IF_ERROR(
      ForEach(snapshot, kCluster, [&](std::string_view key, std::string_view value) -> Status {
        if (key == kClusterVersion) out.cluster_version_ = std::string(value);
        if (key != kDowngrade) return OkStatus();
        StatusOr<json::object> object = ParseObject(value);
        if (!object.ok()) return MalformedRow(kCluster, key);
        const json::value* target = object->if_contains("target-version");
        const json::value* enabled = object->if_contains("enabled");
        if (target != nullptr && target->is_string())
          out.downgrade_.target_version = target->get_string();
        out.downgrade_.enabled = enabled != nullptr && enabled->is_bool() && enabled->get_bool();
        return OkStatus();
      }));
  return out;
}

raft::ConfState Membership::ConfigurationState() const {
  raft::ConfState state;
  for (const auto& [id, member] : members_) {
    (member.learner ? state.learners : state.voters).push_back(NodeId(id));
  }
  return state;
}

Status Membership::Validate(const raft::ConfChange& change, size_t own_learners_max) const {
  uint64_t id = change.node_id.value();
  if (removed(id)) return errors::MemberNotFound();
  auto existing = members_.find(id);
  const bool known = existing != members_.end();
  switch (change.type) {
    case raft::ConfChangeType::kAddNode:
    case raft::ConfChangeType::kAddLearnerNode: {
      ASSIGN_OR_RETURN(const ChangeContext context, ParseChangeContext(change.context));
      if (context.promote) {
        if (!known) return errors::MemberNotFound();
        if (!existing->second.learner) {
          return errors::MemberNotLearner();
        }
        return OkStatus();
      }
      if (known) return errors::MemberExists();
      size_t learners = 0;
      for (const auto& [other_id, other] : members_) {
        learners += other.learner;
        for (const std::string& url : context.member.peer_urls) {
          if (std::find(other.peer_urls.begin(), other.peer_urls.end(), url) !=
              other.peer_urls.end()) {
            return errors::PeerUrlExists();
          }
        }
      }
      if (context.member.learner &&
          learners + 1 > context.learners_max.value_or(own_learners_max)) {
        return errors::TooManyLearners();
      }
      return OkStatus();
    }
    case raft::ConfChangeType::kRemoveNode:
      return known ? OkStatus() : errors::MemberNotFound();
    case raft::ConfChangeType::kUpdateNode: {
      if (!known) return errors::MemberNotFound();
      StatusOr<Member> member = ParseMemberJson(change.context);
      if (!member.ok()) return member.status();
      for (const auto& [other_id, other] : members_) {
        if (other_id == id) continue;
        for (const std::string& url : member->peer_urls) {
          if (std::find(other.peer_urls.begin(), other.peer_urls.end(), url) !=
              other.peer_urls.end()) {
            return errors::PeerUrlExists();
          }
        }
      }
      return OkStatus();
    }
  }
  return absl::InvalidArgumentError("unknown configuration change");
}

Status Membership::Apply(const raft::ConfChange& change, btree::Writer& writer) {
  uint64_t id = change.node_id.value();
  switch (change.type) {
    case raft::ConfChangeType::kAddNode:
    case raft::ConfChangeType::kAddLearnerNode: {
      ASSIGN_OR_RETURN(ChangeContext context, ParseChangeContext(change.context));
      if (context.promote) {
        members_.at(id).learner = false;
      } else {
        context.member.id = id;
        members_[id] = std::move(context.member);
      }
      return Save(members_.at(id), writer);
    }
    case raft::ConfChangeType::kRemoveNode:
      members_.erase(id);
      removed_.insert(id);
      RETURN_IF_ERROR(writer.Delete(kMembers, HexId(id)));
      return writer.Put(kRemoved, HexId(id), "removed");
    case raft::ConfChangeType::kUpdateNode: {
      ASSIGN_OR_RETURN(Member member, ParseMemberJson(change.context));
      members_.at(id).peer_urls =
          std::move(member.peer_urls);  // the role stays: an update never promotes
      return Save(members_.at(id), writer);
    }
  }
  return OkStatus();
}

Status Membership::SetAttributes(uint64_t id, std::string name,
                                 std::vector<std::string> client_urls, btree::Writer& writer) {
  auto member = members_.find(id);
  if (member == members_.end()) return OkStatus();  // removed meanwhile
  member->second.name = std::move(name);
  member->second.client_urls = std::move(client_urls);
  return Save(member->second, writer);
}

Status Membership::SetClusterVersion(std::string version, btree::Writer& writer) {
  cluster_version_ = std::move(version);
  return writer.Put(kCluster, kClusterVersion, cluster_version_);
}

Status Membership::SetDowngrade(Downgrade downgrade, btree::Writer& writer) {
  downgrade_ = std::move(downgrade);
  json::object object;
  object["target-version"] = downgrade_.target_version;
  object["enabled"] = downgrade_.enabled;
  return writer.Put(kCluster, kDowngrade, json::serialize(object));
}

Status Membership::Save(const Member& member, btree::Writer& writer) {
  return writer.Put(kMembers, HexId(member.id), MemberJson(member));
}

}  // namespace quoin::cluster

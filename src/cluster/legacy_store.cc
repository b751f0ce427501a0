// The membership as etcd's legacy v2 store writes it. Members of 3.6 and older read it from .snap
// files and MsgSnap.

#include <boost/json.hpp>

#include "cluster/membership.h"

namespace quoin::cluster {
namespace {

namespace json = boost::json;

// One node of the v2 tree; a leaf has children null and a value, a directory the reverse.
json::object Node(std::string path, std::string value, json::value children) {
  json::object node;
  node["Path"] = std::move(path);
  node["CreatedIndex"] = 0;
  node["ModifiedIndex"] = 0;
  node["ExpireTime"] = "0001-01-01T00:00:00Z";  // permanent
  node["Value"] = std::move(value);
  node["Children"] = std::move(children);
  return node;
}

json::object Directory(std::string path, json::object children) {
  return Node(std::move(path), "", std::move(children));
}

json::array Strings(const std::vector<std::string>& strings) {
  json::array out;
  for (const std::string& s : strings) out.emplace_back(s);
  return out;
}

json::object MemberNode(const Member& member) {
  const std::string path = "/0/members/" + HexId(member.id);
  json::object raft_attributes;
  raft_attributes["peerURLs"] = Strings(member.peer_urls);
  if (member.learner) raft_attributes["isLearner"] = true;
  json::object children;
  if (!member.name.empty()) {
    json::object attributes;
    attributes["name"] = member.name;
    if (!member.client_urls.empty()) attributes["clientURLs"] = Strings(member.client_urls);
    children["attributes"] = Node(path + "/attributes", json::serialize(attributes), nullptr);
  }
  children["raftAttributes"] =
      Node(path + "/raftAttributes", json::serialize(raft_attributes), nullptr);
  return Directory(path, std::move(children));
}

json::object EmptyHistory() {
  constexpr int kCapacity = 1000;
  json::object queue;
  queue["Events"] = json::array(kCapacity, nullptr);
  queue["Size"] = 0;
  queue["Front"] = 0;
  queue["Back"] = 0;
  queue["Capacity"] = kCapacity;
  json::object history;
  history["Queue"] = std::move(queue);
  history["StartIndex"] = 0;
  history["LastIndex"] = 0;
  return history;
}

json::object ZeroStats() {
  json::object stats;
  for (const char* name :
       {"getsSuccess", "getsFail", "setsSuccess", "setsFail", "deleteSuccess", "deleteFail",
        "updateSuccess", "updateFail", "createSuccess", "createFail", "compareAndSwapSuccess",
        "compareAndSwapFail", "compareAndDeleteSuccess", "compareAndDeleteFail", "expireCount",
        "watchers"}) {
    stats[name] = 0;
  }
  return stats;
}

}  // namespace

std::string Membership::LegacyStoreJson() const {
  json::object members;
  for (const auto& [id, member] : members_) members[HexId(id)] = MemberNode(member);
  json::object removed;
  for (uint64_t id : removed_)
    removed[HexId(id)] = Node("/0/removed_members/" + HexId(id), "", nullptr);

  json::object cluster;
  cluster["members"] = Directory("/0/members", std::move(members));
  cluster["removed_members"] = Directory("/0/removed_members", std::move(removed));
  if (!cluster_version_.empty()) cluster["version"] = Node("/0/version", cluster_version_, nullptr);

  json::object top;
  top["0"] = Directory("/0", std::move(cluster));
  top["1"] = Directory("/1", json::object());
  json::object hub;
  hub["EventHistory"] = EmptyHistory();
  json::object store;
  store["Root"] = Directory("/", std::move(top));
  store["WatcherHub"] = std::move(hub);
  store["CurrentIndex"] = 0;
  store["Stats"] = ZeroStats();
  store["CurrentVersion"] = 2;
  return json::serialize(store);
}

}  // namespace quoin::cluster

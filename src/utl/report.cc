#include "utl/report.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "mvcc/store.h"

namespace quoin::utl {
namespace {

namespace json = boost::json;

bool IsPrintable(std::string_view text) {
  for (unsigned char c : text) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (unsigned char c : bytes) out += fmt::format("{:02x}", c);
  return out;
}

json::value Text(std::string_view bytes) {
  if (IsPrintable(bytes)) return json::string(bytes);
  json::object out;
  out["hex"] = Hex(bytes);
  return out;
}

json::array Strings(const auto& strings) {
  json::array out;
  for (const auto& s : strings) out.emplace_back(std::string(s));
  return out;
}

Status AddKeys(state::StateMachine& machine, json::object& out) {
  EpochDomain::ReaderSlot slot(machine.tree().epochs());
  EpochDomain::Guard guard(slot);
  const mvcc::View view = machine.store().Current(btree::OnMiss::kLoad);
  mvcc::RangeQuery query;
  query.key = query.range_end = std::string_view("\0", 1);
  ASSIGN_OR_RETURN(mvcc::RangeResult found, view.Range(query));
  json::array keys;
  for (const mvcc::KeyValue& kv : found.kvs) {
    json::object key;
    key["key"] = Text(kv.key);
    key["create_revision"] = kv.create_revision;
    key["mod_revision"] = kv.mod_revision;
    key["version"] = kv.version;
    key["lease"] = fmt::format("{:x}", static_cast<uint64_t>(kv.lease));
    key["value"] = Text(kv.value);
    keys.push_back(std::move(key));
  }
  out["revision"] = view.revision();
  out["compact_revision"] = view.compact_revision();
  out["count"] = found.count;
  out["keys"] = std::move(keys);
  return OkStatus();
}

void AddOthers(const state::StateMachine& machine, json::object& out) {
  json::array leases, users, roles, alarms, members;
  for (const auto& [id, lease] : machine.lessor().leases()) {
    json::object row;
    row["id"] = fmt::format("{:x}", static_cast<uint64_t>(id.value()));
    row["ttl"] = lease.ttl_seconds;
    json::array keys;
    for (const std::string& key : lease.keys) keys.push_back(Text(key));
    row["keys"] = std::move(keys);
    leases.push_back(std::move(row));
  }
  for (const auto& [name, user] : machine.auth().users()) {
    json::object row;
    row["name"] = name;
    row["roles"] = Strings(user.roles());
    users.push_back(std::move(row));
  }
  for (const auto& [name, role] : machine.auth().roles()) roles.emplace_back(name);
  for (const auto& [member, type] : machine.alarms()) {
    json::object row;
    row["member_id"] = member;
    row["alarm"] = type == state::AlarmType::kNoSpace ? "NOSPACE" : "CORRUPT";
    alarms.push_back(std::move(row));
  }
  for (const auto& [id, member] : machine.membership().members()) {
    json::object row;
    row["id"] = cluster::HexId(id);
    row["name"] = member.name;
    row["peer_urls"] = Strings(member.peer_urls);
    row["client_urls"] = Strings(member.client_urls);
    row["learner"] = member.learner;
    members.push_back(std::move(row));
  }
  out["leases"] = std::move(leases);
  out["auth_enabled"] = machine.auth().enabled();
  out["auth_revision"] = machine.auth().revision();
  out["users"] = std::move(users);
  out["roles"] = std::move(roles);
  out["alarms"] = std::move(alarms);
  out["members"] = std::move(members);
  out["cluster_version"] = machine.membership().cluster_version();
  out["storage_version"] = machine.storage_version();
}

}  // namespace

StatusOr<std::string> DumpJson(Directory& directory) {
  state::StateMachine& machine = *directory.machine;
  json::object out;
  RETURN_IF_ERROR(AddKeys(machine, out));
  AddOthers(machine, out);
  EpochDomain::ReaderSlot slot(machine.tree().epochs());
  // A compaction's own hash is not the one that a restarted member computes: none was kept here.
  ASSIGN_OR_RETURN(mvcc::HashResult hash, machine.store().HashByRevision(0, slot));
  json::object hashkv;
  hashkv["hash"] = hash.hash;
  hashkv["compact_revision"] = hash.compact_revision;
  hashkv["hash_revision"] = hash.hash_revision;
  out["hashkv"] = std::move(hashkv);
  out["consistent_index_in_file"] = directory.index_in_file;
  out["consistent_index"] = machine.applied_index().value();
  out["term"] = machine.applied_term().value();
  if (directory.log) {
    out["member_id"] = cluster::HexId(directory.log->metadata.node_id);
    out["cluster_id"] = cluster::HexId(directory.log->metadata.cluster_id);
    out["torn_tail"] = directory.log->repaired;
  }
  return json::serialize(out);
}

StatusOr<SnapshotStatus> StatusOf(Directory& directory) {
  SnapshotStatus out;
  EpochDomain::ReaderSlot slot(directory.tree->epochs());
  {
    EpochDomain::Guard guard(slot);
    const mvcc::View view = directory.machine->store().Current(btree::OnMiss::kLoad);
    view.VisitKeys(std::string_view("\0", 1), std::string_view("\0", 1), view.revision(),
                   [&](const mvcc::KeyValue&) {
                     ++out.total_keys;
                     return true;
                   });
    btree::Cursor last = directory.tree->Current().NewCursor("key", btree::OnMiss::kLoad);
    RETURN_IF_ERROR(last.SeekLast());
    if (last.Valid()) {
      if (auto parsed = mvcc::ParseRevisionKey(last.key())) out.revision = parsed->at.main;
    }
  }
  std::unique_ptr<btree::Image> image = directory.tree->Freeze();
  ASSIGN_OR_RETURN(out.hash, mvcc::HashWholeTree(*directory.tree, *image, mvcc::Volatile::kHashed));
  directory.tree->Thaw(std::move(image));
  out.total_bytes = directory.tree->stats().file_bytes;
  out.version = directory.machine->storage_version();
  return out;
}

}  // namespace quoin::utl

// The state as JSON, and as lines.

#include <boost/json.hpp>
#include <ostream>

#include "base/epoch.h"
#include "utl/dump.h"
#include "utl/text.h"

namespace quoin::utl {
namespace {

namespace json = boost::json;

constexpr int64_t kKeysPerSlice = 1000;

const char* AlarmName(state::AlarmType type) {
  switch (type) {
    case state::AlarmType::kNone:
      return "NONE";
    case state::AlarmType::kNoSpace:
      return "NOSPACE";
    case state::AlarmType::kCorrupt:
      return "CORRUPT";
  }
  return "UNKNOWN";
}

std::string LeaseText(int64_t id) { return cluster::HexId(static_cast<uint64_t>(id)); }

json::array Strings(const std::vector<std::string>& strings) {
  json::array out;
  for (const std::string& text : strings) out.push_back(BytesJson(text));
  return out;
}

json::array Ids(const std::vector<NodeId>& ids) {
  json::array out;
  for (NodeId id : ids) out.emplace_back(cluster::HexId(id.value()));
  return out;
}

json::array MembersJson(const cluster::Membership& membership) {
  json::array out;
  for (const auto& [id, member] : membership.members()) {
    out.push_back(json::object{{"id", cluster::HexId(id)},
                               {"name", BytesJson(member.name)},
                               {"peer_urls", Strings(member.peer_urls)},
                               {"client_urls", Strings(member.client_urls)},
                               {"learner", member.learner}});
  }
  return out;
}

json::array LeasesJson(const lease::Lessor& lessor) {
  json::array out;
  for (const auto& [id, lease] : lessor.leases()) {
    json::array keys;
    for (const std::string& key : lease.keys) keys.push_back(BytesJson(key));
    json::object row{{"id", LeaseText(id.value())}, {"granted_ttl", lease.ttl_seconds}};
    if (lease.remaining_seconds != 0) row["remaining_ttl"] = lease.remaining_seconds;
    row["keys"] = std::move(keys);
    out.push_back(std::move(row));
  }
  return out;
}

json::array AlarmsJson(const std::set<state::StateMachine::Alarm>& alarms) {
  json::array out;
  for (const auto& [member, type] : alarms)
    out.push_back(json::object{{"member", cluster::HexId(member)}, {"alarm", AlarmName(type)}});
  return out;
}

// Without password hashes: a dump may be shown around.
json::object UsersJson(const auth::AuthStore& auth) {
  json::object out;
  for (const auto& [name, user] : auth.users()) {
    json::array roles;
    for (const std::string& role : user.roles()) roles.push_back(BytesJson(role));
    out[name] = json::object{{"roles", std::move(roles)},
                             {"no_password", user.options().no_password()}};
  }
  return out;
}

json::object RolesJson(const auth::AuthStore& auth) {
  json::object out;
  for (const auto& [name, role] : auth.roles()) {
    json::array permissions;
    for (const authpb::Permission& permission : role.keypermission()) {
      permissions.push_back(
          json::object{{"type", authpb::Permission::Type_Name(permission.permtype())},
                       {"key", BytesJson(permission.key())},
                       {"range_end", BytesJson(permission.range_end())}});
    }
    out[name] = std::move(permissions);
  }
  return out;
}

json::object ConfStateJson(const raft::ConfState& state) {
  json::object out{{"voters", Ids(state.voters)}, {"learners", Ids(state.learners)}};
  if (!state.voters_outgoing.empty()) out["voters_outgoing"] = Ids(state.voters_outgoing);
  if (!state.learners_next.empty()) out["learners_next"] = Ids(state.learners_next);
  return out;
}

// Calls `visit` for each live key, in order, some hundred at a time under one guard.
template <typename Visitor>
Status ForEachKey(OfflineMember& member, Visitor visit) {
  EpochDomain::ReaderSlot slot(member.tree().epochs());
  std::string next(1, '\0');
  while (true) {
    EpochDomain::Guard guard(slot);
    mvcc::RangeQuery query;
    query.key = next;
    query.range_end = std::string_view("\0", 1);
    query.limit = kKeysPerSlice;
    query.want_count = false;
    const mvcc::View view = member.machine().store().Current(btree::OnMiss::kLoad);
    ASSIGN_OR_RETURN(mvcc::RangeResult range, view.Range(query));
    for (const mvcc::KeyValue& kv : range.kvs) visit(kv);
    if (!range.more || range.kvs.empty()) return OkStatus();
    std::string last(range.kvs.back().key);
    last.push_back('\0');
    next = std::move(last);
  }
}

StatusOr<int64_t> CountKeys(OfflineMember& member) {
  EpochDomain::ReaderSlot slot(member.tree().epochs());
  EpochDomain::Guard guard(slot);
  mvcc::RangeQuery query;
  query.key = query.range_end = std::string_view("\0", 1);
  query.count_only = true;
  const mvcc::View view = member.machine().store().Current(btree::OnMiss::kLoad);
  ASSIGN_OR_RETURN(mvcc::RangeResult range, view.Range(query));
  return range.count;
}

StatusOr<mvcc::HashResult> Hash(OfflineMember& member) {
  EpochDomain::ReaderSlot slot(member.tree().epochs());
  return member.machine().store().HashByRevision(0, slot);
}

json::object LogJson(const OfflineMember& member) {
  const wal::Recovered& log = *member.log();
  return {{"member_id", cluster::HexId(log.metadata.node_id)},
          {"cluster_id", cluster::HexId(log.metadata.cluster_id)},
          {"term", log.hard_state.term.value()},
          {"vote", cluster::HexId(log.hard_state.vote.value())},
          {"commit", log.hard_state.commit.value()},
          {"snapshot_index", log.start.index.value()},
          {"last_index", (log.entries.empty() ? log.start.index : log.entries.back().index).value()},
          {"torn_tail", log.repaired},
          {"replayed", member.replayed()}};
}

}  // namespace

Status DumpStateJson(OfflineMember& member, std::ostream& out) {
  state::StateMachine& machine = member.machine();
  ASSIGN_OR_RETURN(mvcc::HashResult hash, Hash(member));
  ASSIGN_OR_RETURN(int64_t count, CountKeys(member));
  json::object head;
  head["revision"] = machine.store().current_revision();
  head["compact_revision"] = machine.store().compact_revision();
  head["count"] = count;
  head["hash_kv"] = json::object{{"hash", hash.hash},
                                 {"compact_revision", hash.compact_revision},
                                 {"hash_revision", hash.hash_revision}};
  head["consistent_index"] = machine.applied_index().value();
  head["term"] = machine.applied_term().value();
  if (member.log()) head["log"] = LogJson(member);
  head["cluster_version"] = machine.membership().cluster_version();
  head["storage_version"] = machine.storage_version();
  head["conf_state"] = ConfStateJson(machine.conf_state());
  head["members"] = MembersJson(machine.membership());
  json::array removed;
  for (uint64_t id : machine.membership().removed_ids()) removed.emplace_back(cluster::HexId(id));
  head["removed_members"] = std::move(removed);
  head["leases"] = LeasesJson(machine.lessor());
  head["alarms"] = AlarmsJson(machine.alarms());
  head["auth"] = json::object{{"enabled", machine.auth().enabled()},
                              {"revision", machine.auth().revision()}};
  head["users"] = UsersJson(machine.auth());
  head["roles"] = RolesJson(machine.auth());
  out << "{\n";
  for (const auto& [name, value] : head)
    out << json::serialize(json::value(name)) << ": " << json::serialize(value) << ",\n";
  out << "\"keys\": [";
  const char* separator = "\n";
  RETURN_IF_ERROR(ForEachKey(member, [&](const mvcc::KeyValue& kv) {
    out << separator
        << json::serialize(json::object{{"key", BytesJson(kv.key)},
                                        {"create_revision", kv.create_revision},
                                        {"mod_revision", kv.mod_revision},
                                        {"version", kv.version},
                                        {"lease", LeaseText(kv.lease)},
                                        {"value", BytesJson(kv.value)}});
    separator = ",\n";
  }));
  out << "\n]\n}\n";
  return OkStatus();
}

Status DumpStateText(OfflineMember& member, std::ostream& out) {
  state::StateMachine& machine = member.machine();
  ASSIGN_OR_RETURN(mvcc::HashResult hash, Hash(member));
  ASSIGN_OR_RETURN(int64_t count, CountKeys(member));
  out << "revision " << machine.store().current_revision() << "\ncompact_revision "
      << machine.store().compact_revision() << "\ncount " << count << "\nhash_kv " << hash.hash
      << " at " << hash.hash_revision << " compacted " << hash.compact_revision
      << "\nconsistent_index " << machine.applied_index() << "\nterm " << machine.applied_term()
      << '\n';
  if (member.log()) out << "log " << json::serialize(LogJson(member)) << '\n';
  for (const json::value& row : MembersJson(machine.membership()))
    out << "member " << json::serialize(row) << '\n';
  for (const auto& [id, lease] : machine.lessor().leases())
    out << "lease " << LeaseText(id.value()) << " ttl " << lease.ttl_seconds << " keys "
        << lease.keys.size() << '\n';
  for (const auto& [id, type] : machine.alarms())
    out << "alarm " << cluster::HexId(id) << ' ' << AlarmName(type) << '\n';
  out << "auth " << (machine.auth().enabled() ? "enabled" : "disabled") << " revision "
      << machine.auth().revision() << '\n';
  for (const auto& [name, row] : UsersJson(machine.auth()))
    out << "user " << Printable({name.data(), name.size()}) << ' ' << json::serialize(row) << '\n';
  for (const auto& [name, row] : RolesJson(machine.auth()))
    out << "role " << Printable({name.data(), name.size()}) << ' ' << json::serialize(row) << '\n';
  return ForEachKey(member, [&](const mvcc::KeyValue& kv) {
    out << "key " << Printable(kv.key) << " create " << kv.create_revision << " mod "
        << kv.mod_revision << " version " << kv.version << " lease " << LeaseText(kv.lease)
        << " value " << Printable(kv.value) << '\n';
  });
}

}  // namespace quoin::utl

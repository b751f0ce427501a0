#include "ctl/printer.h"

#include <fmt/format.h>

#include "ctl/text.h"

namespace quoin::ctl {

Status Printer::Unsupported() const {
  return absl::UnimplementedError(fmt::format("{} not supported as output format", format()));
}

std::unique_ptr<Printer> MakePrinter(std::string_view format, PrinterOptions options,
                                     std::ostream& out, std::ostream& err) {
  if (format == "simple") return MakeSimplePrinter(options, out, err);
  if (format == "fields") return MakeFieldsPrinter(options, out);
  if (format == "json") return MakeJsonPrinter(options, out);
  if (format == "protobuf") return MakeProtobufPrinter(out);
  if (format == "table") return MakeTablePrinter(out);
  return nullptr;
}

Table MemberTable(const etcdserverpb::MemberListResponse& response) {
  Table table;
  table.header = {"ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"};
  for (const auto& member : response.members()) {
    table.rows.push_back({fmt::format("{:x}", member.id()),
                          member.name().empty() ? "unstarted" : "started", member.name(),
                          fmt::format("{}", fmt::join(member.peerurls(), ",")),
                          fmt::format("{}", fmt::join(member.clienturls(), ",")),
                          member.islearner() ? "true" : "false"});
  }
  return table;
}

Table HealthTable(std::span<const EndpointHealth> endpoints) {
  Table table;
  table.header = {"endpoint", "health", "took", "error"};
  for (const EndpointHealth& health : endpoints) {
    table.rows.push_back(
        {health.endpoint, health.healthy ? "true" : "false", health.took, health.error});
  }
  return table;
}

Table StatusTable(std::span<const EndpointStatus> endpoints) {
  Table table;
  table.header = {"endpoint",
                  "ID",
                  "version",
                  "storage version",
                  "db size",
                  "in use",
                  "percentage not in use",
                  "quota",
                  "is leader",
                  "is learner",
                  "raft term",
                  "raft index",
                  "raft applied index",
                  "errors",
                  "downgrade target version",
                  "downgrade enabled"};
  for (const auto& [endpoint, status] : endpoints) {
    const int64_t unused_percent =
        status.dbsize() == 0 ? 0 : 100 - status.dbsizeinuse() * 100 / status.dbsize();
    const auto size = [](int64_t bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); };
    const auto truth = [](bool value) { return std::string(value ? "true" : "false"); };
    table.rows.push_back(
        {endpoint, fmt::format("{:x}", status.header().member_id()), status.version(),
         status.storageversion(), size(status.dbsize()), size(status.dbsizeinuse()),
         fmt::format("{}%", unused_percent), size(status.dbsizequota()),
         truth(status.leader() == status.header().member_id()), truth(status.islearner()),
         std::to_string(status.raftterm()), std::to_string(status.raftindex()),
         std::to_string(status.raftappliedindex()),
         fmt::format("{}", fmt::join(status.errors(), ", ")),
         status.downgradeinfo().targetversion(), truth(status.downgradeinfo().enabled())});
  }
  return table;
}

Table HashTable(std::span<const EndpointHashKv> endpoints) {
  Table table;
  table.header = {"endpoint", "hash", "hash_revision"};
  for (const auto& [endpoint, hash] : endpoints) {
    table.rows.push_back(
        {endpoint, std::to_string(hash.hash()), std::to_string(hash.hash_revision())});
  }
  return table;
}

}  // namespace quoin::ctl

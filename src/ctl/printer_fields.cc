// The fields format: one `"Name" : value` per line, strings in Go's quoting.
#include <fmt/format.h>

#include <ostream>

#include "ctl/printer.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

class FieldsPrinter : public Printer {
 public:
  FieldsPrinter(PrinterOptions options, std::ostream& out) : options_(options), out_(out) {}

  Status Put(const pb::PutResponse& response) override {
    Header(response.header());
    if (response.has_prev_kv()) KeyValue("Prev", response.prev_kv());
    return OkStatus();
  }

  Status Get(const pb::RangeResponse& response) override {
    Header(response.header());
    for (const auto& kv : response.kvs()) KeyValue("", kv);
    Bool("More", response.more());
    Number("Count", response.count());
    return OkStatus();
  }

  Status Delete(const pb::DeleteRangeResponse& response) override {
    Header(response.header());
    Number("Deleted", response.deleted());
    for (const auto& kv : response.prev_kvs()) KeyValue("Prev", kv);
    return OkStatus();
  }

  Status Txn(const pb::TxnResponse& response) override {
    Header(response.header());
    Bool("Succeeded", response.succeeded());
    for (const pb::ResponseOp& op : response.responses()) RETURN_IF_ERROR(Operation(op));
    return OkStatus();
  }

  Status Alarms(const pb::AlarmResponse& response) override {
    Header(response.header());
    for (const pb::AlarmMember& alarm : response.alarms()) {
      Id("MemberID", alarm.memberid());
      Text("AlarmType", pb::AlarmType_Name(alarm.alarm()));
      out_ << '\n';
    }
    return OkStatus();
  }

  Status MemberList(const pb::MemberListResponse& response) override {
    Header(response.header());
    for (const pb::Member& member : response.members()) {
      Id("ID", member.id());
      Quoted("Name", member.name());
      for (const std::string& url : member.peerurls()) Quoted("PeerURL", url);
      for (const std::string& url : member.clienturls()) Quoted("ClientURL", url);
      Bool("IsLearner", member.islearner());
      out_ << '\n';
    }
    return OkStatus();
  }

  Status MemberChange(const google::protobuf::Message&, std::string_view, uint64_t,
                      const pb::ResponseHeader&) override {
    return Unsupported();
  }

  Status LeaseGrant(const pb::LeaseGrantResponse& response) override {
    Header(response.header());
    Lease("ID", response.id());
    Number("TTL", response.ttl());
    return OkStatus();
  }
  Status LeaseRevoke(int64_t, const pb::LeaseRevokeResponse& response) override {
    Header(response.header());
    return OkStatus();
  }
  Status LeaseKeepAlive(const pb::LeaseKeepAliveResponse& response) override {
    Header(response.header());
    Lease("ID", response.id());
    Number("TTL", response.ttl());
    return OkStatus();
  }
  Status LeaseTimeToLive(const pb::LeaseTimeToLiveResponse& response, bool) override {
    Header(response.header());
    Lease("ID", response.id());
    Number("TTL", response.ttl());
    Number("GrantedTTL", response.grantedttl());
    for (const std::string& key : response.keys()) Quoted("Key", key);
    return OkStatus();
  }
  Status LeaseList(const pb::LeaseLeasesResponse& response) override {
    Header(response.header());
    for (const auto& lease : response.leases()) Lease("ID", lease.id());
    return OkStatus();
  }

  Status Watch(const pb::WatchResponse& response) override {
    Header(response.header());
    for (const mvccpb::Event& event : response.events()) {
      Text("Type", mvccpb::Event::EventType_Name(event.type()));
      if (event.has_prev_kv()) KeyValue("Prev", event.prev_kv());
      KeyValue("", event.kv());
    }
    out_.flush();
    return OkStatus();
  }

  Status Health(std::span<const EndpointHealth> endpoints) override {
    for (const EndpointHealth& health : endpoints) {
      Quoted("Endpoint", health.endpoint);
      Bool("Health", health.healthy);
      Text("Took", health.took);
      Text("Error", health.error);
      out_ << '\n';
    }
    return OkStatus();
  }

  Status Statuses(std::span<const EndpointStatus> endpoints) override {
    for (const auto& [endpoint, status] : endpoints) {
      Header(status.header());
      Quoted("Version", status.version());
      Quoted("StorageVersion", status.storageversion());
      Number("DBSize", status.dbsize());
      Number("DBSizeInUse", status.dbsizeinuse());
      Number("DBSizeQuota", status.dbsizequota());
      Id("Leader", status.leader());
      Bool("IsLearner", status.islearner());
      Number("RaftIndex", status.raftindex());  // the term stands in the header's lines
      Number("RaftAppliedIndex", status.raftappliedindex());
      Text("Errors", fmt::format("[{}]", fmt::join(status.errors(), " ")));
      Quoted("Endpoint", endpoint);
      Quoted("DowngradeTargetVersion", status.downgradeinfo().targetversion());
      Bool("DowngradeEnabled", status.downgradeinfo().enabled());
      out_ << '\n';
    }
    return OkStatus();
  }

  Status Hashes(std::span<const EndpointHashKv> endpoints) override {
    for (const auto& [endpoint, hash] : endpoints) {
      Header(hash.header());
      Quoted("Endpoint", endpoint);
      Number("Hash", hash.hash());
      Number("HashRevision", hash.hash_revision());
      out_ << '\n';
    }
    return OkStatus();
  }

  std::string_view format() const override { return "fields"; }

 private:
  void Text(std::string_view name, std::string_view value) {
    out_ << '"' << name << "\" : " << value << '\n';
  }
  void Quoted(std::string_view name, std::string_view value) { Text(name, Quote(value)); }
  void Bool(std::string_view name, bool value) { Text(name, value ? "true" : "false"); }
  template <typename T>
  void Number(std::string_view name, T value) {
    Text(name, std::to_string(value));
  }
  // Ids of clusters, members and leases: the only numbers that --hex changes.
  void Id(std::string_view name, uint64_t value) {
    Text(name, options_.hex ? fmt::format("{:x}", value) : std::to_string(value));
  }

  void Header(const pb::ResponseHeader& header) {
    Id("ClusterID", header.cluster_id());
    Id("MemberID", header.member_id());
    // Only answers about keys carry a revision.
    if (header.revision() > 0) Number("Revision", header.revision());
    Number("RaftTerm", header.raft_term());
  }

  static std::string Prefixed(std::string_view prefix, std::string_view name) {
    return fmt::format("{}{}", prefix, name);
  }

  void KeyValue(std::string_view prefix, const mvccpb::KeyValue& kv) {
    Quoted(Prefixed(prefix, "Key"), kv.key());
    Number(Prefixed(prefix, "CreateRevision"), kv.create_revision());
    Number(Prefixed(prefix, "ModRevision"), kv.mod_revision());
    Number(Prefixed(prefix, "Version"), kv.version());
    Quoted(Prefixed(prefix, "Value"), kv.value());
    Lease(Prefixed(prefix, "Lease"), kv.lease());
  }
  // Signed, unlike other ids.
  void Lease(std::string_view name, int64_t id) {
    if (options_.hex) return Id(name, static_cast<uint64_t>(id));
    Number(name, id);
  }

  Status Operation(const pb::ResponseOp& op) {
    switch (op.response_case()) {
      case pb::ResponseOp::kResponsePut:
        return Put(op.response_put());
      case pb::ResponseOp::kResponseRange:
        return Get(op.response_range());
      case pb::ResponseOp::kResponseDeleteRange:
        return Delete(op.response_delete_range());
      default:
        break;
    }
    Quoted("Unknown", op.ShortDebugString());
    return OkStatus();
  }

  const PrinterOptions options_;
  std::ostream& out_;
};

}  // namespace

std::unique_ptr<Printer> MakeFieldsPrinter(PrinterOptions options, std::ostream& out) {
  return std::make_unique<FieldsPrinter>(options, out);
}

}  // namespace quoin::ctl

// The simple format: what people read and shell scripts cut.
#include <fmt/format.h>

#include <ostream>

#include "ctl/printer.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

class SimplePrinter : public Printer {
 public:
  SimplePrinter(PrinterOptions options, std::ostream& out, std::ostream& err)
      : options_(options), out_(out), err_(err) {}

  Status Put(const pb::PutResponse& response) override {
    out_ << "OK\n";
    if (response.has_prev_kv()) KeyValue(response.prev_kv());
    return OkStatus();
  }

  Status Get(const pb::RangeResponse& response) override {
    for (const auto& kv : response.kvs()) KeyValue(kv);
    return OkStatus();
  }

  Status Delete(const pb::DeleteRangeResponse& response) override {
    out_ << response.deleted() << '\n';
    for (const auto& kv : response.prev_kvs()) KeyValue(kv);
    return OkStatus();
  }

  Status Txn(const pb::TxnResponse& response) override {
    out_ << (response.succeeded() ? "SUCCESS\n" : "FAILURE\n");
    for (const pb::ResponseOp& op : response.responses()) {
      out_ << '\n';
      RETURN_IF_ERROR(Operation(op));
    }
    return OkStatus();
  }

  Status Alarms(const pb::AlarmResponse& response) override {
    for (const pb::AlarmMember& alarm : response.alarms()) {
      out_ << "memberID:" << alarm.memberid() << " alarm:" << pb::AlarmType_Name(alarm.alarm())
           << '\n';
    }
    return OkStatus();
  }

  Status MemberList(const pb::MemberListResponse& response) override {
    return Rows(MemberTable(response));
  }
  Status Statuses(std::span<const EndpointStatus> endpoints) override {
    return Rows(StatusTable(endpoints));
  }
  Status Hashes(std::span<const EndpointHashKv> endpoints) override {
    return Rows(HashTable(endpoints));
  }

  Status MemberAdd(const pb::MemberAddResponse& response) override {
    return MemberChange(response,
                        response.member().islearner() ? "added as learner to" : "added to",
                        response.member().id(), response.header());
  }
  Status MemberChange(const google::protobuf::Message&, std::string_view how, uint64_t id,
                      const pb::ResponseHeader& header) override {
    out_ << fmt::format("Member {:16x} {} cluster {:16x}\n", id, how, header.cluster_id());
    return OkStatus();
  }
  Status MoveLeader(uint64_t from, uint64_t to, const pb::MoveLeaderResponse&) override {
    out_ << fmt::format("Leadership transferred from {:x} to {:x}\n", from, to);
    return OkStatus();
  }

  Status Downgrade(std::string_view word, const pb::DowngradeResponse& response) override {
    out_ << fmt::format("Downgrade {} success, cluster version {}\n", word, response.version());
    return OkStatus();
  }

  Status LeaseGrant(const pb::LeaseGrantResponse& response) override {
    out_ << fmt::format("lease {:016x} granted with TTL({}s)\n", Unsigned(response.id()),
                        response.ttl());
    return OkStatus();
  }
  Status LeaseRevoke(int64_t id, const pb::LeaseRevokeResponse&) override {
    out_ << fmt::format("lease {:016x} revoked\n", Unsigned(id));
    return OkStatus();
  }
  Status LeaseKeepAlive(const pb::LeaseKeepAliveResponse& response) override {
    out_ << fmt::format("lease {:016x} keepalived with TTL({})\n", Unsigned(response.id()),
                        response.ttl());
    out_.flush();
    return OkStatus();
  }
  Status LeaseTimeToLive(const pb::LeaseTimeToLiveResponse& response, bool with_keys) override {
    if (response.grantedttl() == 0 && response.ttl() == -1) {
      out_ << fmt::format("lease {:016x} already expired\n", Unsigned(response.id()));
      return OkStatus();
    }
    out_ << fmt::format("lease {:016x} granted with TTL({}s), remaining({}s)",
                        Unsigned(response.id()), response.grantedttl(), response.ttl());
    if (with_keys) {
      out_ << fmt::format(", attached keys([{}])",
                          fmt::join(response.keys().begin(), response.keys().end(), " "));
    }
    out_ << '\n';
    return OkStatus();
  }
  Status LeaseList(const pb::LeaseLeasesResponse& response) override {
    out_ << fmt::format("found {} leases\n", response.leases_size());
    for (const auto& lease : response.leases())
      out_ << fmt::format("{:016x}\n", Unsigned(lease.id()));
    return OkStatus();
  }

  Status Watch(const pb::WatchResponse& response) override {
    for (const mvccpb::Event& event : response.events()) {
      out_ << (event.type() == mvccpb::Event::DELETE ? "DELETE\n" : "PUT\n");
      if (event.has_prev_kv()) KeyValue(event.prev_kv());
      KeyValue(event.kv());
    }
    out_.flush();
    return OkStatus();
  }

  Status Health(std::span<const EndpointHealth> endpoints) override {
    for (const EndpointHealth& health : endpoints) {
      if (health.error.empty()) {
        out_ << health.endpoint
             << " is healthy: successfully committed proposal: took = " << health.took << '\n';
      } else {
        out_.flush();
        err_ << health.endpoint << " is unhealthy: failed to commit proposal: " << health.error
             << '\n';
      }
    }
    return OkStatus();
  }

  std::string_view format() const override { return "simple"; }

 private:
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
    out_ << "unexpected response " << op.ShortDebugString() << '\n';
    return OkStatus();
  }

  static uint64_t Unsigned(int64_t id) { return static_cast<uint64_t>(id); }

  void KeyValue(const mvccpb::KeyValue& kv) {
    if (!options_.values_only) out_ << (options_.hex ? HexEscaped(kv.key()) : kv.key()) << '\n';
    out_ << (options_.hex ? HexEscaped(kv.value()) : kv.value()) << '\n';
  }

  Status Rows(const Table& table) {
    for (const auto& row : table.rows) out_ << fmt::format("{}", fmt::join(row, ", ")) << '\n';
    return OkStatus();
  }

  const PrinterOptions options_;
  std::ostream& out_;
  std::ostream& err_;
};

}  // namespace

std::unique_ptr<Printer> MakeSimplePrinter(PrinterOptions options, std::ostream& out,
                                           std::ostream& err) {
  return std::make_unique<SimplePrinter>(options, out, err);
}

}  // namespace quoin::ctl

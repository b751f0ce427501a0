// Printer: how answers are shown, one class per --write-out format.
//
// A format that cannot show a kind of answer returns an error, which commands turn into exit
// code 4.
//
// Thread: the main one. Writes to the stream it was made with.
#pragma once

#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "proto/rpc.pb.h"

namespace quoin::ctl {

struct EndpointHealth {
  std::string endpoint;
  bool healthy = false;
  std::string took;   // a duration, as printed; empty when nothing was measured
  std::string error;  // empty = none
};

struct EndpointStatus {
  std::string endpoint;
  etcdserverpb::StatusResponse status;
};

struct EndpointHashKv {
  std::string endpoint;
  etcdserverpb::HashKVResponse hash;
};

class Printer {
 public:
  virtual ~Printer() = default;

  // Each of these prints the whole answer. The default of every plain response is Message().
  virtual Status Put(const etcdserverpb::PutResponse& response) { return Message(response); }
  virtual Status Get(const etcdserverpb::RangeResponse& response) { return Message(response); }
  virtual Status Delete(const etcdserverpb::DeleteRangeResponse& response) {
    return Message(response);
  }
  virtual Status Txn(const etcdserverpb::TxnResponse& response) { return Message(response); }
  virtual Status Alarms(const etcdserverpb::AlarmResponse& response) { return Message(response); }
  virtual Status MemberList(const etcdserverpb::MemberListResponse& response) {
    return Message(response);
  }
  virtual Status MemberAdd(const etcdserverpb::MemberAddResponse& response) {
    return MemberChange(response, "added to", response.member().id(), response.header());
  }
  // What happened to which member; `how` as the simple format words it.
  virtual Status MemberChange(const google::protobuf::Message& response, std::string_view how,
                              uint64_t id, const etcdserverpb::ResponseHeader& header) = 0;
  virtual Status MoveLeader(uint64_t, uint64_t, const etcdserverpb::MoveLeaderResponse& response) {
    return Message(response);
  }
  // `word`: which of validate, enable and cancel went well.
  virtual Status Downgrade(std::string_view word, const etcdserverpb::DowngradeResponse& response) {
    (void)word;
    return Message(response);
  }
  virtual Status LeaseGrant(const etcdserverpb::LeaseGrantResponse&) { return Unsupported(); }
  virtual Status LeaseRevoke(int64_t, const etcdserverpb::LeaseRevokeResponse& response) {
    return Message(response);
  }
  virtual Status LeaseKeepAlive(const etcdserverpb::LeaseKeepAliveResponse&) {
    return Unsupported();
  }
  virtual Status LeaseTimeToLive(const etcdserverpb::LeaseTimeToLiveResponse&, bool) {
    return Unsupported();
  }
  virtual Status LeaseList(const etcdserverpb::LeaseLeasesResponse&) { return Unsupported(); }
  virtual Status Watch(const etcdserverpb::WatchResponse&) { return Unsupported(); }
  virtual Status Health(std::span<const EndpointHealth>) { return Unsupported(); }
  virtual Status Statuses(std::span<const EndpointStatus>) { return Unsupported(); }
  virtual Status Hashes(std::span<const EndpointHashKv>) { return Unsupported(); }

  // "simple", "fields", …
  virtual std::string_view format() const = 0;

 protected:
  virtual Status Message(const google::protobuf::Message&) { return Unsupported(); }
  Status Unsupported() const;
};

struct PrinterOptions {
  bool hex = false;          // --hex
  bool values_only = false;  // --print-value-only
};

// nullptr for a format that does not exist. `err` takes what the simple format reports as failure.
std::unique_ptr<Printer> MakePrinter(std::string_view format, PrinterOptions options,
                                     std::ostream& out, std::ostream& err);

// What simple and table share: the same cells, joined by commas or drawn in boxes.
struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};
Table MemberTable(const etcdserverpb::MemberListResponse& response);
Table HealthTable(std::span<const EndpointHealth> endpoints);
Table StatusTable(std::span<const EndpointStatus> endpoints);
Table HashTable(std::span<const EndpointHashKv> endpoints);

std::unique_ptr<Printer> MakeSimplePrinter(PrinterOptions options, std::ostream& out,
                                           std::ostream& err);
std::unique_ptr<Printer> MakeFieldsPrinter(PrinterOptions options, std::ostream& out);
std::unique_ptr<Printer> MakeJsonPrinter(PrinterOptions options, std::ostream& out);
std::unique_ptr<Printer> MakeProtobufPrinter(std::ostream& out);
std::unique_ptr<Printer> MakeTablePrinter(std::ostream& out);

}  // namespace quoin::ctl

// The json format: one line of Go's JSON per answer.
#include <fmt/format.h>

#include <ostream>

#include "ctl/go_json.h"
#include "ctl/printer.h"

namespace quoin::ctl {
namespace {

class JsonPrinter : public Printer {
 public:
  JsonPrinter(PrinterOptions options, std::ostream& out) : options_(options), out_(out) {}

  Status MemberList(const etcdserverpb::MemberListResponse& response) override {
    std::string line;
    AppendJson(line, response, options_.hex ? JsonIds::kHexStrings : JsonIds::kNumbers);
    return Line(line);
  }

  Status MemberChange(const google::protobuf::Message& response, std::string_view, uint64_t,
                      const etcdserverpb::ResponseHeader&) override {
    std::string line;
    AppendJson(line, response, options_.hex ? JsonIds::kHexStrings : JsonIds::kNumbers);
    return Line(line);
  }

  // Leases: the header's fields and the answer's in one object.
  Status LeaseGrant(const etcdserverpb::LeaseGrantResponse& response) override {
    return Line(fmt::format("{{{}\"ID\":{},\"TTL\":{},\"Error\":\"\"}}", Flat(response.header()),
                            response.id(), response.ttl()));
  }
  Status LeaseKeepAlive(const etcdserverpb::LeaseKeepAliveResponse& response) override {
    return Line(fmt::format("{{{}\"ID\":{},\"TTL\":{}}}", Flat(response.header()), response.id(),
                            response.ttl()));
  }
  Status LeaseTimeToLive(const etcdserverpb::LeaseTimeToLiveResponse& response, bool) override {
    std::string keys;
    for (const std::string& key : response.keys()) {
      mvccpb::KeyValue holder;
      holder.set_key(key);
      std::string json;
      AppendJson(json, holder);  // {"key":"…"}
      keys += (keys.empty() ? "" : ",") + json.substr(7, json.size() - 8);
    }
    return Line(fmt::format("{{{}\"id\":{},\"ttl\":{},\"granted-ttl\":{},\"keys\":{}}}",
                            Flat(response.header()), response.id(), response.ttl(),
                            response.grantedttl(), keys.empty() ? "null" : "[" + keys + "]"));
  }
  Status LeaseList(const etcdserverpb::LeaseLeasesResponse& response) override {
    std::string leases;
    for (const auto& lease : response.leases())
      leases += fmt::format("{}{{\"id\":{}}}", leases.empty() ? "" : ",", lease.id());
    return Line(fmt::format("{{{}\"leases\":[{}]}}", Flat(response.header()), leases));
  }

  Status Watch(const etcdserverpb::WatchResponse& response) override {
    std::string line = "{\"Header\":";
    AppendJson(line, response.header());
    line += ",\"Events\":[";
    for (int i = 0; i < response.events_size(); ++i) {
      if (i > 0) line += ',';
      AppendJson(line, response.events(i));
    }
    line += fmt::format("],\"CompactRevision\":{},\"Canceled\":{},\"Created\":{},\"CancelReason\":",
                        response.compact_revision(), response.canceled(), response.created());
    AppendJsonString(line, response.cancel_reason());
    RETURN_IF_ERROR(Line(line + "}"));
    out_.flush();
    return OkStatus();
  }

  Status Health(std::span<const EndpointHealth> endpoints) override {
    std::string line = "[";
    for (const EndpointHealth& health : endpoints) {
      if (line.size() > 1) line += ',';
      line += "{\"endpoint\":";
      AppendJsonString(line, health.endpoint);
      line += fmt::format(",\"health\":{},\"took\":", health.healthy);
      AppendJsonString(line, health.took);
      if (!health.error.empty()) {
        line += ",\"error\":";
        AppendJsonString(line, health.error);
      }
      line += '}';
    }
    return Line(line + "]");
  }

  Status Statuses(std::span<const EndpointStatus> endpoints) override {
    std::string line = "[";
    for (const auto& [endpoint, status] : endpoints)
      AppendEndpoint(line, endpoint, "Status", status);
    return Line(line + "]");
  }

  Status Hashes(std::span<const EndpointHashKv> endpoints) override {
    std::string line = "[";
    for (const auto& [endpoint, hash] : endpoints) AppendEndpoint(line, endpoint, "HashKV", hash);
    return Line(line + "]");
  }

  std::string_view format() const override { return "json"; }

 protected:
  Status Message(const google::protobuf::Message& message) override {
    std::string line;
    AppendJson(line, message);
    return Line(line);
  }

 private:
  static void AppendEndpoint(std::string& line, std::string_view endpoint, std::string_view name,
                             const google::protobuf::Message& message) {
    if (line.size() > 1) line += ',';
    line += "{\"Endpoint\":";
    AppendJsonString(line, endpoint);
    line += fmt::format(",\"{}\":", name);
    AppendJson(line, message);
    line += '}';
  }

  // The fields of a header, each with a comma behind it.
  static std::string Flat(const etcdserverpb::ResponseHeader& header) {
    std::string json;
    AppendJson(json, header);
    json = json.substr(1, json.size() - 2);
    return json.empty() ? json : json + ",";
  }

  Status Line(std::string_view text) {
    out_ << text << '\n';
    return OkStatus();
  }

  const PrinterOptions options_;
  std::ostream& out_;
};

}  // namespace

std::unique_ptr<Printer> MakeJsonPrinter(PrinterOptions options, std::ostream& out) {
  return std::make_unique<JsonPrinter>(options, out);
}

}  // namespace quoin::ctl

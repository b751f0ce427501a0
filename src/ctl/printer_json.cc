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

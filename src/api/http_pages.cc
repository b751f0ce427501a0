#include "api/http_pages.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "api/debug_vars.h"
#include "api/metrics.h"
#include "rpc/grpc_wire.h"
#include "rpc/gzip.h"
#include "server/server_version.h"

namespace quoin::api {
namespace {

using rpc::HttpRequest;
using rpc::HttpResponse;
using AlarmType = state::AlarmType;

constexpr char kPlain[] = "text/plain; charset=utf-8";

HttpResponse Text(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.headers = {{"Content-Type", kPlain}, {"X-Content-Type-Options", "nosniff"}};
  response.body = std::move(body);
  return response;
}

HttpResponse NotFound() { return Text(404, "404 page not found\n"); }

// Path and query apart; `parameters` holds name=value pairs as they stand ("verbose" has an empty
// value).
struct Target {
  explicit Target(std::string_view target) {
    const size_t mark = target.find('?');
    path = target.substr(0, mark);
    std::string_view query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
    while (!query.empty()) {
      const size_t end = std::min(query.find('&'), query.size());
      std::string_view pair = query.substr(0, end);
      const size_t equals = pair.find('=');
      parameters.emplace_back(pair.substr(0, equals), equals == std::string_view::npos
                                                          ? std::string_view()
                                                          : pair.substr(equals + 1));
      query.remove_prefix(std::min(end + 1, query.size()));
    }
  }
  bool Has(std::string_view name) const {
    return std::any_of(parameters.begin(), parameters.end(),
                       [&](const auto& p) { return p.first == name; });
  }
  bool Has(std::string_view name, std::string_view value) const {
    return std::any_of(parameters.begin(), parameters.end(),
                       [&](const auto& p) { return p.first == name && p.second == value; });
  }
  std::string_view path;
  std::vector<std::pair<std::string_view, std::string_view>> parameters;
};

// RFC 3986 §2.1; nullopt: a percent sign without two hexadecimal digits.
std::optional<std::string> Unescaped(std::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out += path[i];
      continue;
    }
    const std::optional<char> byte = rpc::EscapedByte(path, i);
    if (!byte) return std::nullopt;
    out += *byte;
    i += 2;
  }
  return out;
}

// A path without empty, "." and ".." parts, as Go's path.Clean leaves it; an ending slash stays.
std::string CleanPath(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::string_view rest = path; !rest.empty();) {
    const size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, end);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::string out;
  for (const std::string_view part : parts) out.append("/").append(part);
  if (out.empty() || path.ends_with('/')) out += '/';
  return out;
}

std::string HtmlEscaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// Go's http.Redirect: only who reads pages gets one.
HttpResponse Redirect(int status, std::string_view reason, const std::string& location,
                      const HttpRequest& request) {
  HttpResponse response;
  response.status = status;
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (reads) response.headers.emplace_back("Content-Type", "text/html; charset=utf-8");
  response.headers.emplace_back("Location", location);
  if (request.method == "GET") {
    response.body =
        "<a href=\"" + HtmlEscaped(location) + "\">" + std::string(reason) + "</a>.\n\n";
  }
  return response;
}

bool HasAlarm(const server::ClusterInfo& cluster, AlarmType type) {
  return std::any_of(cluster.alarms.begin(), cluster.alarms.end(),
                     [&](const auto& a) { return a.second == type; });
}

// Empty before the member has applied anything: probes may ask so early.
const server::ClusterInfo& ClusterOf(const server::Frontend& frontend) {
  static const server::ClusterInfo none;
  return frontend.cluster() == nullptr ? none : *frontend.cluster();
}

// One read of the smallest kind: proves that index and pages answer.
Status SerializableRead(server::Frontend& frontend) {
  EpochDomain::Guard guard(frontend.slot());
  mvcc::RangeQuery query;
  query.key = "a";
  query.limit = 1;
  Status status = frontend.store().Current(btree::OnMiss::kReport).Range(query).status();
  return absl::IsUnavailable(status) ? OkStatus() : status;  // not in memory: the file has it
}

// The checks behind /livez and /readyz.
enum class Check : uint8_t { kDataCorruption, kSerializableRead, kLinearizableRead, kNonLearner };
struct CheckRow {
  Check check;
  std::string_view name;
  bool live;  // part of /livez too
};
constexpr std::array<CheckRow, 4> kChecks = {
    {{Check::kDataCorruption, "data_corruption", false},
     {Check::kSerializableRead, "serializable_read", true},
     {Check::kLinearizableRead, "linearizable_read", false},
     {Check::kNonLearner, "non_learner", false}}};

class HttpPages final : public rpc::HttpHandler {
 public:
  HttpPages(const Context& context, PageSet pages, std::vector<std::string> arguments, Logger& log)
      : context_(context), pages_(pages), arguments_(std::move(arguments)), log_(log) {}

  void Handle(HttpRequest request, env::Executor& loop, Reply reply) override {
    Target target(request.target);
    server::Frontend& frontend = context_.FrontendOf(loop);
    if (const std::string clean = CleanPath(target.path); clean != target.path) {
      const std::string query = request.target.substr(target.path.size());
      return reply(Redirect(301, "Moved Permanently", clean + query, request));
    }
    const std::optional<std::string> path = Unescaped(target.path);
    if (!path) return reply(Text(400, "400 Bad Request"));
    target.path = *path;
    if (target.path == "/metrics") return reply(Metrics(frontend, request));
    const bool all = pages_ == PageSet::kAll;
    if (all && target.path == "/v3")
      return reply(Redirect(307, "Temporary Redirect", "/v3/", request));
    const bool known = IsProbe(target.path) || target.path == "/health" ||
                       (all && (target.path == "/version" || target.path == "/debug/vars"));
    if (!known) return reply(NotFound());
    if (request.method != "GET") {
      HttpResponse response = Text(405, "Method Not Allowed\n");
      response.headers.emplace_back("Allow", "GET");
      return reply(std::move(response));
    }
    if (target.path == "/debug/vars") return DebugVars(frontend, std::move(reply));
    if (target.path == "/version") return reply(Version(frontend));
    if (target.path == "/health") return Health(target, frontend, std::move(reply));
    Probe(target, frontend, std::move(reply));
  }

 private:
  HttpResponse Metrics(server::Frontend& frontend, const HttpRequest& request) const {
    HttpResponse response;
    response.headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}};
    response.body = RenderMetrics(context_, frontend);
    if (rpc::TakesGzip(request.header("Accept-Encoding").value_or(""))) {
      response.headers.emplace_back("Content-Encoding", "gzip");
      response.body = rpc::Gzip(response.body);
    }
    return response;
  }

  void DebugVars(server::Frontend& frontend, Reply reply) const {
    RenderDebugVars(context_, arguments_, frontend.loop(),
                    [reply = std::move(reply)](std::string body) mutable {
                      HttpResponse response;
                      response.headers = {{"Content-Type", "application/json; charset=utf-8"}};
                      response.body = std::move(body);
                      reply(std::move(response));
                    });
  }

  static HttpResponse Version(const server::Frontend& frontend) {
    const server::ClusterInfo& cluster = ClusterOf(frontend);
    HttpResponse response;
    response.headers = {{"Content-Type", "application/json"}};
    response.body = std::string("{\"etcdserver\":\"") + server::kServerVersion +
                    "\",\"etcdcluster\":\"" +
                    (cluster.cluster_version.empty() ? "not_decided" : cluster.cluster_version) +
                    "\",\"storage\":\"" +
                    (cluster.storage_version.empty() ? "unknown" : cluster.storage_version) + "\"}";
    return response;
  }

  // --- /health ---

  static HttpResponse HealthAnswer(const std::string& reason) {
    if (!reason.empty()) return Text(503, "{\"health\":\"false\",\"reason\":\"" + reason + "\"}\n");
    HttpResponse response;
    response.headers = {{"Content-Type", kPlain}};
    response.body = "{\"health\":\"true\",\"reason\":\"\"}";
    return response;
  }

  void Health(const Target& target, server::Frontend& frontend, Reply reply) {
    const server::ClusterInfo& cluster = ClusterOf(frontend);
    const bool serializable = target.Has("serializable", "true");
    if (!target.Has("exclude", "NOSPACE") && HasAlarm(cluster, AlarmType::kNoSpace)) {
      return reply(HealthAnswer("ALARM NOSPACE"));
    }
    if (!target.Has("exclude", "CORRUPT") && HasAlarm(cluster, AlarmType::kCorrupt)) {
      return reply(HealthAnswer("ALARM CORRUPT"));
    }
    if (!serializable && frontend.info().leader.load() == 0)
      return reply(HealthAnswer("RAFT NO LEADER"));
    auto finish = [&frontend, reply = std::move(reply)](Status status) mutable {
      if (status.ok()) status = SerializableRead(frontend);
      reply(HealthAnswer(status.ok() ? "" : "RANGE ERROR:" + std::string(status.message())));
    };
    if (serializable || frontend.ReadableNow()) return finish(OkStatus());
    // The reply knows whether its connection is still there.
    frontend.WaitReadable(std::move(finish)).Detach();
  }

  // --- /livez and /readyz ---

  static bool IsProbe(std::string_view path) {
    for (std::string_view root : {"/livez", "/readyz"}) {
      if (path == root) return true;
      for (const CheckRow& row : kChecks) {
        if ((root == "/readyz" || row.live) && path.starts_with(root) &&
            path.substr(root.size(), 1) == "/" && path.substr(root.size() + 1) == row.name) {
          return true;
        }
      }
    }
    return false;
  }

  void Probe(const Target& target, server::Frontend& frontend, Reply reply) {
    const bool live = target.path.starts_with("/livez");
    const size_t slash = target.path.find('/', 1);
    const bool root = slash == std::string_view::npos;
    std::vector<CheckRow> checks;
    for (const CheckRow& row : kChecks) {
      if (live && !row.live) continue;
      if (root ? target.Has("exclude", row.name) : target.path.substr(slash + 1) != row.name)
        continue;
      checks.push_back(row);
    }
    const bool verbose = target.Has("verbose");
    auto finish = [this, &frontend, checks, verbose, live,
                   reply = std::move(reply)](Status readable) mutable {
      reply(ProbeAnswer(frontend, checks, verbose, live, readable));
    };
    const bool needs_round = std::any_of(checks.begin(), checks.end(), [](const CheckRow& r) {
      return r.check == Check::kLinearizableRead;
    });
    if (!needs_round || frontend.ReadableNow()) return finish(OkStatus());
    // The reply knows whether its connection is still there; the pages outlive the loop.
    frontend.WaitReadable(std::move(finish)).Detach();
  }

  static Status RunCheck(Check check, server::Frontend& frontend, const Status& readable) {
    switch (check) {
      case Check::kDataCorruption:
        return HasAlarm(ClusterOf(frontend), AlarmType::kCorrupt)
                   ? absl::DataLossError("alarm activated: CORRUPT")
                   : OkStatus();
      case Check::kSerializableRead:
        return SerializableRead(frontend);
      case Check::kLinearizableRead:
        return readable.ok() ? SerializableRead(frontend) : readable;
      case Check::kNonLearner:
        return frontend.info().is_learner.load()
                   ? absl::FailedPreconditionError("not supported for learner")
                   : OkStatus();
    }
    return OkStatus();
  }

  HttpResponse ProbeAnswer(server::Frontend& frontend, const std::vector<CheckRow>& checks,
                           bool verbose, bool live, const Status& readable) const {
    std::string lines;
    bool ok = true;
    for (const CheckRow& row : checks) {
      Status status = RunCheck(row.check, frontend, readable);
      ok = ok && status.ok();
      lines += status.ok() ? "[+]" + std::string(row.name) + " ok\n"
                           : "[-]" + std::string(row.name) +
                                 " failed: " + std::string(status.message()) + "\n";
    }
    if (ok) return Text(200, (verbose ? lines : "") + "ok\n");
    log_.Error("Health check error", {{"path", live ? "/livez" : "/readyz"}, {"reason", lines}});
    return Text(503,
                lines + "\n");  // etcd's way of writing an error ends every text with a line end
  }

  const Context& context_;
  const PageSet pages_;
  const std::vector<std::string> arguments_;
  Logger& log_;
};

}  // namespace

std::unique_ptr<rpc::HttpHandler> NewHttpPages(const Context& context, PageSet pages,
                                               std::vector<std::string> arguments, Logger& log) {
  return std::make_unique<HttpPages>(context, pages, std::move(arguments), log);
}

}  // namespace quoin::api

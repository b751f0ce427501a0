#include "api/http_access.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace quoin::api {
namespace {

using rpc::HttpRequest;
using rpc::HttpResponse;

bool Allows(const std::vector<std::string>& list, std::string_view value) {
  return list.empty() || std::find(list.begin(), list.end(), "*") != list.end() ||
         std::find(list.begin(), list.end(), value) != list.end();
}

// A Host header without its port and brackets; all of it when there is no port.
std::string HostOf(std::string_view header) {
  const size_t colon = header.rfind(':');
  if (colon == std::string_view::npos) return std::string(header);
  std::string_view host = header.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    return std::string(host.substr(1, host.size() - 2));
  return std::string(host.find(':') == std::string_view::npos ? host : header);
}

// etcd's text, which people look for (CVE-2018-5702).
HttpResponse Misdirected(const std::string& host) {
  HttpResponse response;
  response.status = 421;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"},
                      {"X-Content-Type-Options", "nosniff"}};
  response.body =
      "\netcd received your request, but the Host header was unrecognized.\n\n"
      "To fix this, choose one of the following options:\n"
      "- Enable TLS, then any HTTPS request will be allowed.\n"
      "- Add the hostname you want to use to the whitelist in settings.\n"
      "  - e.g. etcd --host-whitelist \"" +
      host +
      "\"\n\n"
      "This requirement has been added to help prevent \"DNS Rebinding\" attacks "
      "(CVE-2018-5702).\n\n";
  return response;
}

class AccessControl final : public rpc::HttpHandler {
 public:
  AccessControl(AccessRules rules, rpc::HttpHandler& pages, Logger& log)
      : rules_(std::move(rules)), pages_(pages), log_(log) {}

  void Handle(HttpRequest request, env::Executor& loop, Reply reply) override {
    const std::string host = HostOf(request.header("Host").value_or(""));
    if (!Allows(rules_.hosts, host)) {
      log_.Warn("rejecting HTTP request to prevent DNS rebinding attacks", {{"host", host}});
      return reply(Misdirected(host));
    }
    std::optional<std::string> origin = AllowedOrigin(request);
    auto answer = [origin = std::move(origin),
                   reply = std::move(reply)](HttpResponse response) mutable {
      if (origin) {
        response.headers.insert(
            response.headers.begin(),
            {{"Access-Control-Allow-Headers", "accept, content-type, authorization"},
             {"Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE"},
             {"Access-Control-Allow-Origin", *origin}});
      }
      reply(std::move(response));
    };
    if (request.method == "OPTIONS") return answer(HttpResponse());
    pages_.Handle(std::move(request), loop, std::move(answer));
  }

  // A request that is answered as it comes passes the same door; only its answer has no CORS
  // headers.
  std::unique_ptr<rpc::HttpStreamHandler> Stream(const HttpRequest& request,
                                                 rpc::HttpExchange& exchange) override {
    const bool allowed = Allows(rules_.hosts, HostOf(request.header("Host").value_or("")));
    if (!allowed || request.method == "OPTIONS") return nullptr;  // Handle answers
    return pages_.Stream(request, exchange);
  }

 private:
  std::optional<std::string> AllowedOrigin(const HttpRequest& request) const {
    if (Allows(rules_.origins, "*")) return "*";
    const std::string origin(request.header("Origin").value_or(""));
    if (Allows(rules_.origins, origin)) return origin;
    return std::nullopt;
  }

  const AccessRules rules_;
  rpc::HttpHandler& pages_;
  Logger& log_;
};

}  // namespace

std::unique_ptr<rpc::HttpHandler> NewAccessControl(AccessRules rules, rpc::HttpHandler& pages,
                                                   Logger& log) {
  return std::make_unique<AccessControl>(std::move(rules), pages, log);
}

}  // namespace quoin::api

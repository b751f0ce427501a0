#include "client/endpoint.h"

#include <fmt/format.h>

namespace quoin::client {
namespace {

bool ConsumePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

StatusOr<Endpoint> ParseEndpoint(std::string_view text) {
  Endpoint endpoint;
  endpoint.text = text;
  std::string_view rest = text;
  if (ConsumePrefix(rest, "unixs:")) {
    endpoint.tls = true;
  } else if (!ConsumePrefix(rest, "unix:")) {
    endpoint.tls = ConsumePrefix(rest, "https://");
    if (!endpoint.tls) ConsumePrefix(rest, "http://");
    rest = rest.substr(0, rest.find('/'));
    const size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == rest.size()) {
      return absl::InvalidArgumentError(
          fmt::format("endpoint \"{}\": missing port in address", text));
    }
    endpoint.address = rest;
    endpoint.host = rest.substr(0, colon);
    if (endpoint.host.front() == '[' && endpoint.host.back() == ']') {
      endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
    }
    return endpoint;
  }
  ConsumePrefix(rest, "//");
  if (rest.empty())
    return absl::InvalidArgumentError(fmt::format("endpoint \"{}\": missing path", text));
  endpoint.address = fmt::format("unix:{}", rest);
  return endpoint;
}

}  // namespace quoin::client

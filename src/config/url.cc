#include "config/url.h"

#include <algorithm>
#include <optional>

#include "config/go_values.h"
#include "config/text.h"

namespace quoin::config {
namespace {

// "host:port" with an optional bracketed host, as net.SplitHostPort takes it; the error is its
// text.
Status CheckHostPort(std::string_view address) {
  auto fail = [&](std::string_view why) { return Invalid(Cat("address ", address, ": ", why)); };
  size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return fail("missing port in address");
  if (address.front() == '[') {
    size_t end = address.find(']');
    if (end == std::string_view::npos) return fail("missing ']' in address");
    if (end + 1 == address.size()) return fail("missing port in address");
    if (end + 1 != colon)
      return fail(address[end + 1] == ':' ? "too many colons in address"
                                          : "missing port in address");
    return OkStatus();
  }
  if (address.find(':') != colon) return fail("too many colons in address");
  if (address.find_first_of("[]") != std::string_view::npos)
    return fail("unexpected '[' or ']' in address");
  return OkStatus();
}

bool IsSchemeCharacter(char c) {
  return IsDigit(c) || IsLetter(c) || c == '+' || c == '-' || c == '.';
}

// The scheme in lower case, empty when `text` has none ("localhost" but not "localhost:2379").
std::string SchemeOf(std::string_view text) {
  size_t colon = 0;
  while (colon < text.size() && IsSchemeCharacter(text[colon])) ++colon;
  if (colon == 0 || colon == text.size() || text[colon] != ':') return "";
  if (!IsLetter(text[0])) return "";
  return ToLower(text.substr(0, colon));
}

// What url.Parse itself refuses before etcd's own checks.
std::optional<std::string> ParseError(std::string_view text) {
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return "net/url: invalid control character in URL";
  }
  if (!text.empty() && text.front() == ':') return "missing protocol scheme";
  size_t colon = text.find(':');
  if (colon != std::string_view::npos && text.find('/') > colon && SchemeOf(text).empty()) {
    return "first path segment in URL cannot contain colon";
  }
  return std::nullopt;
}

// url.Parse refuses ports that are not digits.
std::optional<std::string> PortError(std::string_view host) {
  size_t from = host.rfind(']');
  size_t colon = host.find(':', from == std::string_view::npos ? 0 : from);
  if (colon == std::string_view::npos) return std::nullopt;
  colon = host.rfind(':');
  std::string_view port = host.substr(colon + 1);
  if (std::all_of(port.begin(), port.end(), IsDigit)) {
    return std::nullopt;
  }
  return Cat("invalid port ", Quote(host.substr(colon)), " after host");
}

Status RefusedByGo(std::string_view text, std::string_view why) {
  return Invalid(Cat("parse ", Quote(text), ": ", why));
}

}  // namespace

std::string Url::text() const { return Cat(scheme, "://", host, path); }

std::string Url::address() const { return is_unix() ? Cat("unix:", host, path) : host; }

std::string Url::hostname() const {
  if (!host.empty() && host.front() == '[') return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

std::string Url::port() const {
  size_t from = host.find(']');
  size_t colon = host.find(':', from == std::string::npos ? 0 : from);
  return colon == std::string::npos ? "" : host.substr(colon + 1);
}

StatusOr<Url> ParseUrl(std::string_view text) {
  if (std::optional<std::string> why = ParseError(text)) return RefusedByGo(text, *why);
  Url url;
  url.scheme = SchemeOf(text);
  if (url.scheme != "http" && url.scheme != "https" && !url.is_unix()) {
    return Invalid(Cat("URL scheme must be http, https, unix, or unixs: ", text));
  }
  std::string_view rest = text.substr(url.scheme.size() + 1);
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    size_t slash = rest.find_first_of("/?#");
    url.host = std::string(rest.substr(0, slash));
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
    // user:password@host is dropped from Go's Host; etcd would go on without it, which can only be
    // a mistake here.
    if (url.host.find('@') != std::string::npos) {
      return RefusedByGo(text, "user information is not allowed");
    }
  }
  if (!url.is_unix()) {
    if (std::optional<std::string> why = PortError(url.host)) return RefusedByGo(text, *why);
    if (url.host.empty() || !CheckHostPort(url.host).ok()) {
      return Invalid(Cat("URL address does not have the form \"host:port\": ", text));
    }
    if (!rest.empty()) return Invalid(Cat("URL must not contain a path: ", text));
    return url;
  }
  url.path = std::string(rest);
  if (url.host.empty() && url.path.empty()) {
    return Invalid(Cat("URL names no socket: ", text));
  }
  return url;
}

StatusOr<std::vector<Url>> ParseUrls(std::string_view list) {
  std::vector<Url> urls;
  for (const std::string& item : Split(list, ',')) {
    ASSIGN_OR_RETURN(Url url, ParseUrl(TrimSpace(item)));
    urls.push_back(std::move(url));
  }
  std::sort(urls.begin(), urls.end(),
            [](const Url& a, const Url& b) { return a.text() < b.text(); });
  urls.erase(std::unique(urls.begin(), urls.end()), urls.end());
  return urls;
}

std::vector<std::string> UrlTexts(const std::vector<Url>& urls) {
  std::vector<std::string> texts;
  for (const Url& url : urls) texts.push_back(url.text());
  return texts;
}

}  // namespace quoin::config

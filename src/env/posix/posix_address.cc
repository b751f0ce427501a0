#include "env/posix/posix_address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "env/dialer.h"

namespace quoin::env {
namespace {

StatusOr<Address> UnixAddress(std::string_view path) {
  Address out;
  auto& address = reinterpret_cast<sockaddr_un&>(out.storage);
  if (path.size() >= sizeof address.sun_path)
    return absl::InvalidArgumentError("socket path too long");
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return out;
}

}  // namespace

Status CheckPort(const std::string& port) {
  uint16_t number = 0;  // the system's own reader takes a greater one modulo 65536
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size())
    return absl::InvalidArgumentError("address " + port + ": invalid port");
  return OkStatus();
}

StatusOr<Address> ParseAddress(const std::string& text) {
  if (text.starts_with(kUnix)) return UnixAddress(std::string_view(text).substr(kUnix.size()));
  const auto [host, port] = SplitHostPort(text);
  if (port.empty())
    return absl::InvalidArgumentError("address " + text + ": missing port in address");
  RETURN_IF_ERROR(CheckPort(port));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) return absl::InvalidArgumentError("address " + text + ": " + gai_strerror(error));
  Address out;
  std::memcpy(&out.storage, found->ai_addr, found->ai_addrlen);
  out.length = found->ai_addrlen;
  freeaddrinfo(found);
  return out;
}

std::string NetworkAndAddress(const std::string& address) {
  return address.starts_with(kUnix) ? "unix " + address.substr(kUnix.size()) : "tcp " + address;
}

std::string ErrnoText(int error) {
  std::string text = std::strerror(error);
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(text[0]));
  return text;
}

void SetStreamOptions(int fd, int family) {
  if (family == AF_UNIX) return;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

}  // namespace quoin::env

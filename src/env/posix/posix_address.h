// What sockets are bound to and connected to. Private to env/posix.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace quoin::env {

inline constexpr std::string_view kUnix = "unix:";

// A socket address. Value type.
struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

// 0 to 65535, in digits.
Status CheckPort(const std::string& port);
// "ip:port", "[ip]:port" or "unix:path"; never waits.
StatusOr<Address> ParseAddress(const std::string& text);
// "tcp 127.0.0.1:2379" or "unix /run/x": how Go names an address in errors.
std::string NetworkAndAddress(const std::string& address);

// "connection refused": with a small first letter, as Go writes them.
std::string ErrnoText(int error);

void SetStreamOptions(int fd, int family);

}  // namespace quoin::env

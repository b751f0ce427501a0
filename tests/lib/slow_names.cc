// getaddrinfo for tests, by LD_PRELOAD: names that end in ".slow.test" are 127.0.0.1. While a file
// of that name lies in the directory $SLOW_NAMES, a look-up takes five seconds and fails; it then
// adds a byte to the file.
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  auto real = reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  const char* directory = std::getenv("SLOW_NAMES");
  const size_t length = node == nullptr ? 0 : std::strlen(node);
  if (directory == nullptr || length < 10 || std::strcmp(node + length - 10, ".slow.test") != 0)
    return real(node, service, hints, found);
  char path[4096];
  std::snprintf(path, sizeof path, "%s/%s", directory, node);
  if (access(path, F_OK) != 0) return real("127.0.0.1", service, hints, found);
  sleep(5);
  int fd = open(path, O_WRONLY | O_APPEND);
  if (fd >= 0) {
    if (write(fd, "x", 1) != 1) std::abort();
    close(fd);
  }
  return EAI_AGAIN;
}

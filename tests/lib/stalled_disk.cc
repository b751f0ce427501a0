// Loaded into a server with LD_PRELOAD: syncs wait while the file that QUOIN_STALL names is there.
// With QUOIN_STALL_FILE, only those of files of that name.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

bool Stalls(int fd) {
  const char* name = std::getenv("QUOIN_STALL_FILE");
  if (name == nullptr) return true;
  char link[64], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t bytes = readlink(link, path, sizeof path);
  if (bytes <= 0) return false;
  const std::string_view file(path, static_cast<size_t>(bytes));
  return file.substr(file.rfind('/') + 1) == name;
}

}  // namespace

extern "C" int fdatasync(int fd) {
  static const auto next = reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, "fdatasync"));
  const char* flag = std::getenv("QUOIN_STALL");
  if (flag != nullptr && Stalls(fd)) {
    while (access(flag, F_OK) == 0) usleep(10'000);  // a poll of a file
  }
  return next(fd);
}

// Loaded into a server with LD_PRELOAD: syncs wait while the file that QUOIN_STALL names is there.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

extern "C" int fdatasync(int fd) {
  static const auto next = reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, "fdatasync"));
  const char* flag = std::getenv("QUOIN_STALL");
  while (flag != nullptr && access(flag, F_OK) == 0) usleep(10'000);  // a poll of a file
  return next(fd);
}

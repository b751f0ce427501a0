#include "base/check.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace quoin {

void CheckFailed(const char* file, int line, const std::string& message) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, message.c_str());
  std::fflush(stderr);
  std::abort();
}

void DieOnDiskError(const std::string& message) {
  std::fprintf(stderr, "quoin: disk error: %s\n", message.c_str());
  std::fflush(stderr);
  _exit(1);
}

}  // namespace quoin

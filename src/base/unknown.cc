#include "base/unknown.h"

#include <unistd.h>

#include <cstdio>

namespace quoin {

void DieOnUnknown(const std::string& message) {
  std::fprintf(stderr, "quoin: this version cannot go on: %s\n", message.c_str());
  std::fflush(stderr);
  _exit(1);
}

}  // namespace quoin

// What the operating system says about this process. Read by main (the only room that may ask)
// through a function.
#pragma once

#include <cstdint>

namespace quoin::api {

// Value type.
struct ProcessStats {
  double cpu_seconds = 0;
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  double start_time_seconds = 0;  // Unix time
  uint64_t open_files = 0;
  uint64_t files_max = 0;
};

}  // namespace quoin::api

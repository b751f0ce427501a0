// A model of what etcd 3.5 does to a log's last segment: it opens it, repairs it, and goes on.
//
// Thread: one. Value type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "wal/wal.h"

namespace quoin::wal {

// The last segment in etcd's hands. Value type.
struct EtcdLog {
  std::string bytes;   // the file
  std::string broken;  // the copy that a repair has left, else empty
  size_t end = 0;      // where the next record goes
  uint32_t crc = 0;

  // etcd's start: nullopt where it refuses. A record that fails with an empty sector inside, or
  // leads out of the file, is cut off with all behind it; a zero length is the end, and all behind
  // it is made zero.
  static std::optional<EtcdLog> Open(std::string bytes);

  // One write: entries first, then the state.
  void Append(const Writer::Batch& batch);
};

}  // namespace quoin::wal

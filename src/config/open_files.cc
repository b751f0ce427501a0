#include "config/open_files.h"

#include <algorithm>

namespace quoin::config {
namespace {

constexpr uint64_t kReserved = 150;  // etcd's number
constexpr uint64_t kFilesOfLoop = 2;
constexpr uint64_t kExtraMax = 1024;
constexpr uint64_t kPeersMin = 48;
constexpr uint64_t kProbesMin = 16;

// Loops, log, tree, listeners, snapshots on their way, connections to others.
static_assert(kReserved - kPeersMin - kProbesMin >= 80);

}  // namespace

ConnectionShares ShareOpenFiles(uint64_t files_max, uint64_t io_threads) {
  const uint64_t extra = std::min(files_max / 16, kExtraMax);
  const uint64_t reserved = kReserved + kFilesOfLoop * io_threads + extra;
  ConnectionShares shares;
  shares.clients = files_max > reserved ? files_max - reserved : 0;
  shares.peers = kPeersMin + extra / 4;
  shares.probes = kProbesMin + extra / 4;
  return shares;
}

}  // namespace quoin::config

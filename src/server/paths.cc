#include "server/paths.h"

namespace quoin::server {
namespace {

std::string Hex16(uint64_t value) {
  std::string out(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4) out[i] = "0123456789abcdef"[value & 15];
  return out;
}

}  // namespace

Paths::Paths(const NodeConfig& config)
    : member(config.data_dir + "/member"),
      snap(member + "/snap"),
      wal(config.wal_dir.empty() ? member + "/wal" : config.wal_dir),
      db(snap + "/db") {}

std::string Paths::ReceivedTree(Index index) const {
  return snap + "/" + Hex16(index.value()) + ".snap.db";
}

}  // namespace quoin::server

// How the files that a process may have open are shared out, so that no crowd of connections takes
// the ones that the member needs: a member that cannot open a file of its own ends.
//
// Thread: any.
#pragma once

#include <cstdint>

namespace quoin::config {

// Connections that are accepted at once; more wait in the kernel. Value type.
struct ConnectionShares {
  uint64_t clients = 0;  // all client listeners together; 0: too few files to serve anybody
  uint64_t peers = 0;
  uint64_t probes = 0;  // --listen-metrics-urls
};

// As etcd, clients get all but 150; besides, I/O loops have two files each, and a member that may
// have many files keeps a sixteenth of them, up to 1,024, for large clusters. From what clients do
// not get, peers and probes have their shares; files, loops and connections to others use the rest.
ConnectionShares ShareOpenFiles(uint64_t files_max, uint64_t io_threads);

}  // namespace quoin::config

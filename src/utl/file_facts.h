// FileFacts: how a data file is laid out on disk, without what opening it as a tree changes in
// memory (small buckets move out of their element there).
//
// Thread: one; waits for the disk.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "btree/meta.h"
#include "env/blocking.h"

namespace quoin::utl {

// Value type.
struct FileFacts {
  struct Bucket {
    std::string name;
    uint64_t pairs = 0;
    uint64_t pages = 0;  // 0: inside its element of the root tree
  };
  uint64_t file_bytes = 0;
  std::array<std::optional<btree::Meta>, 2> metas;  // nullopt = not valid
  size_t newest = 0;                                // which of them counts
  uint64_t pages_reachable = 0;                     // metas and a persisted free list included
  uint64_t pages_free = 0;
  std::vector<Bucket> buckets;

  const btree::Meta& meta() const { return *metas[newest]; }
  // Up to the high-water mark: what etcd calls the size of the database.
  uint64_t size_bytes() const { return meta().high_water * meta().page_size; }
};

// DataLoss with file and offset when a page is not what it should be.
StatusOr<FileFacts> ReadFileFacts(env::BlockingFileSystem& files, const std::string& path);

}  // namespace quoin::utl

// The data file page by page, as it lies on the disk: for looking at it, and for making another one
// like it.
//
// Thread: one; waits for the disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "btree/meta.h"
#include "btree/page.h"
#include "env/blocking.h"

namespace quoin::utl {

// Pages of one bucket, or of the whole file, by kind. Value type.
struct PageCounts {
  uint64_t branches = 0, leaves = 0;
  uint64_t overflow = 0;    // pages that continue the one before
  uint64_t depth = 0;       // levels from the root to the leaves
  uint64_t used_bytes = 0;  // of all of these pages: headers, elements, keys and values
};

// REQUIRES: btree::CheckFile has found nothing: what a page says is believed. Thread: one.
class DataFile {
 public:
  static StatusOr<DataFile> Open(env::BlockingFileSystem& files, const std::string& path);

  // The two meta pages; nullopt where there is no valid one.
  const std::optional<btree::Meta>& meta(size_t i) const { return metas_[i]; }
  const btree::Meta& newest() const { return *metas_[newest_]; }
  size_t newest_page() const { return newest_; }
  uint64_t file_bytes() const { return file_bytes_; }

  // Walks the directory of buckets; `visit` gets each one's name and what stands there for it.
  using Visit = absl::FunctionRef<Status(std::string_view key, std::string_view value)>;
  Status VisitBuckets(PageCounts& counts, Visit visit);
  // Walks one bucket, given what the directory has for it.
  Status VisitPairs(std::string_view bucket_value, PageCounts& counts, Visit visit);

 private:
  Status Walk(btree::PageId id, uint64_t depth, PageCounts& counts, Visit visit);

  std::unique_ptr<env::File> file_;
  std::optional<btree::Meta> metas_[2];
  size_t newest_ = 0;
  uint64_t file_bytes_ = 0;
};

}  // namespace quoin::utl

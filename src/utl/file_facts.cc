#include "utl/file_facts.h"

#include "absl/functional/function_ref.h"
#include "base/epoch.h"
#include "btree/page_cache.h"
#include "btree/walker.h"

namespace quoin::utl {
namespace {

constexpr uint64_t kCacheBytes = 16 << 20;

StatusOr<std::optional<btree::Meta>> ReadMeta(env::BlockingFile& file, uint64_t offset) {
  char bytes[btree::kPageHeaderBytes + btree::kMetaBytes] = {};
  ASSIGN_OR_RETURN(size_t got, file.Read(offset, bytes));
  return got == sizeof bytes ? btree::Meta::Decode(bytes) : std::nullopt;
}

Status ReadMetas(env::BlockingFile& file, const std::string& path, FileFacts& facts) {
  auto& [zero, one] = facts.metas;
  ASSIGN_OR_RETURN(zero, ReadMeta(file, 0));
  if (zero) {
    ASSIGN_OR_RETURN(one, ReadMeta(file, zero->page_size));
  } else {
    for (uint32_t size = btree::kPageSizeMin; size <= btree::kPageSizeMax && !one; size *= 2) {
      ASSIGN_OR_RETURN(one, ReadMeta(file, size));
      if (one && one->page_size != size) one.reset();
    }
  }
  if (zero && one && zero->page_size != one->page_size) one.reset();
  if (!zero && !one) return absl::DataLossError(path + ": neither meta page is valid");
  facts.newest = !zero || (one && one->txid > zero->txid) ? 1 : 0;
  return OkStatus();
}

// The pages of a free list that the file keeps.
StatusOr<uint64_t> FreelistPages(env::BlockingFile& file, const btree::Meta& meta) {
  if (meta.freelist == UINT64_MAX || meta.freelist >= meta.high_water) return 0;
  char header[btree::kPageHeaderBytes] = {};
  ASSIGN_OR_RETURN(size_t got, file.Read(meta.freelist * meta.page_size, header));
  if (got < sizeof header) return 0;
  return 1 + uint64_t{btree::PageView(header).overflow()};
}

StatusOr<uint64_t> CountPairs(btree::PageCache& cache, btree::PageId root,
                              btree::PageId high_water, EpochDomain::ReaderSlot& slot) {
  uint64_t pairs = 0;
  btree::Walker walker(cache, high_water, high_water);
  std::vector<btree::PageId> pages;
  auto note = [&](btree::PageId id, uint64_t) { pages.push_back(id); };
  absl::FunctionRef<void(btree::PageId, uint64_t)> visitor(note);
  walker.set_on_page(&visitor);
  {
    EpochDomain::Guard guard(slot);
    RETURN_IF_ERROR(walker.WalkBucket(root));
  }
  for (btree::PageId id : pages) {
    ASSIGN_OR_RETURN(std::unique_ptr<btree::Frame> frame, cache.ReadOwn(id, high_water));
    if (frame->view().is_leaf()) pairs += frame->view().count();
  }
  return pairs;
}

}  // namespace

StatusOr<FileFacts> ReadFileFacts(env::BlockingFileSystem& files, const std::string& path) {
  FileFacts facts;
  ASSIGN_OR_RETURN(std::unique_ptr<env::File> file, files.Open(path, env::OpenMode::kRead));
  ASSIGN_OR_RETURN(facts.file_bytes, file->blocking().Size());
  RETURN_IF_ERROR(ReadMetas(file->blocking(), path, facts));
  const btree::Meta& meta = facts.meta();
  EpochDomain epochs;
  EpochDomain::ReaderSlot slot(epochs);
  btree::PageCache cache(epochs, path, &file->blocking(), meta.page_size, kCacheBytes);
  const uint64_t file_pages = facts.file_bytes / meta.page_size;
  btree::Walker walker(cache, meta.high_water, file_pages);
  std::vector<btree::PageId> roots;
  {
    EpochDomain::Guard guard(slot);
    RETURN_IF_ERROR(
        walker.WalkDirectory(meta.root, [&](std::string_view name, std::string_view value) {
          FileFacts::Bucket bucket{std::string(name), 0, 0};
          const auto root = btree::Load<uint64_t>(value.data());
          value.remove_prefix(16);
          if (root == 0) {
            std::string problem = value.size() < btree::kPageHeaderBytes
                                      ? "is cut short"
                                      : btree::PageProblem(value.data(), value.size(), 0);
            if (!problem.empty()) return cache.Corrupt(meta.root, "holds a bucket that " + problem);
            bucket.pairs = btree::PageView(value.data()).count();
          }
          roots.push_back(root);
          facts.buckets.push_back(std::move(bucket));
          return OkStatus();
        }));
    for (size_t i = 0; i < roots.size(); ++i) {
      if (roots[i] == 0) continue;
      const uint64_t before = walker.reached_count();
      RETURN_IF_ERROR(walker.WalkBucket(roots[i]));
      facts.buckets[i].pages = walker.reached_count() - before;
    }
  }
  for (size_t i = 0; i < roots.size(); ++i) {
    if (roots[i] == 0) continue;
    ASSIGN_OR_RETURN(facts.buckets[i].pairs,
                     CountPairs(cache, roots[i], meta.high_water, slot));
  }
  ASSIGN_OR_RETURN(uint64_t freelist_pages, FreelistPages(file->blocking(), meta));
  facts.pages_reachable = walker.reached_count() + 2 + freelist_pages;
  facts.pages_free = meta.high_water > facts.pages_reachable
                         ? meta.high_water - facts.pages_reachable
                         : 0;
  return facts;
}

}  // namespace quoin::utl

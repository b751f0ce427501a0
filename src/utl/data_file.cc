#include "utl/data_file.h"

#include <algorithm>

namespace quoin::utl {
namespace {

uint64_t UsedBytes(const btree::PageView& page) {
  uint64_t bytes = btree::kPageHeaderBytes;
  for (size_t i = 0; i < page.count(); ++i) {
    bytes += btree::kElementBytes + page.key(i).size();
    if (page.is_leaf()) bytes += page.value(i).size();
  }
  return bytes;
}

Status VisitLeaf(const btree::PageView& page, DataFile::Visit visit) {
  for (size_t i = 0; i < page.count(); ++i) RETURN_IF_ERROR(visit(page.key(i), page.value(i)));
  return OkStatus();
}

}  // namespace

StatusOr<DataFile> DataFile::Open(env::BlockingFileSystem& files, const std::string& path) {
  DataFile out;
  ASSIGN_OR_RETURN(out.file_, files.Open(path, env::OpenMode::kRead));
  ASSIGN_OR_RETURN(out.file_bytes_, out.file_->blocking().Size());
  std::string page(btree::kPageHeaderBytes + btree::kMetaBytes, '\0');
  const auto read = [&](uint64_t at) -> StatusOr<std::optional<btree::Meta>> {
    ASSIGN_OR_RETURN(const size_t got, out.file_->blocking().Read(at, page));
    if (got < page.size()) return std::optional<btree::Meta>();
    return btree::Meta::Decode(page.data());
  };
  ASSIGN_OR_RETURN(out.metas_[0], read(0));
  // Where the second one stands depends on the page size.
  for (uint64_t size = btree::kPageSizeMin; size <= btree::kPageSizeMax; size *= 2) {
    if (out.metas_[0] && out.metas_[0]->page_size != size) continue;
    ASSIGN_OR_RETURN(out.metas_[1], read(size));
    if (out.metas_[1]) break;
  }
  if (!out.metas_[0] && !out.metas_[1])
    return absl::DataLossError(path + ": neither meta page is valid");
  out.newest_ = !out.metas_[0] || (out.metas_[1] && out.metas_[1]->txid > out.metas_[0]->txid);
  return out;
}

Status DataFile::VisitBuckets(PageCounts& counts, Visit visit) {
  return Walk(newest().root, 1, counts, visit);
}

Status DataFile::VisitPairs(std::string_view bucket_value, PageCounts& counts, Visit visit) {
  if (bucket_value.size() < btree::kBucketHeaderBytes)
    return absl::DataLossError("a bucket without a root");
  const auto root = btree::Load<uint64_t>(bucket_value.data());
  if (root != 0) return Walk(root, 1, counts, visit);
  // A small bucket of bbolt stands in its element, as a page.
  const std::string image(bucket_value.substr(btree::kBucketHeaderBytes));
  if (image.size() < btree::kPageHeaderBytes)
    return absl::DataLossError("a truncated inline bucket");
  const std::string problem = btree::PageProblem(image.data(), image.size(), 0);
  if (!problem.empty() || !btree::PageView(image.data()).is_leaf())
    return absl::DataLossError("an inline bucket that " +
                               (problem.empty() ? "is no leaf" : problem));
  return VisitLeaf(btree::PageView(image.data()), visit);
}

Status DataFile::Walk(btree::PageId id, uint64_t depth, PageCounts& counts, Visit visit) {
  const uint64_t page_size = newest().page_size;
  if (depth > btree::kDepthMax) {
    return absl::DataLossError("page " + std::to_string(id) +
                               " lies too deep: the tree has a cycle");
  }
  std::string image(page_size, '\0');
  if (counts.branches + counts.leaves >= file_bytes_ / page_size)
    return absl::DataLossError("page " + std::to_string(id) + " is referred to twice");
  if (id >= file_bytes_ / page_size)
    return absl::DataLossError("page " + std::to_string(id) + " lies beyond the end of the file");
  ASSIGN_OR_RETURN(size_t got, file_->blocking().Read(id * page_size, image));
  const uint64_t overflow = btree::PageView(image.data()).overflow();
  if (overflow > 0) {
    if ((id + overflow + 1) * page_size > file_bytes_)
      return absl::DataLossError("page " + std::to_string(id) + " leads out of the file");
    image.resize((overflow + 1) * page_size);
    ASSIGN_OR_RETURN(got, file_->blocking().Read(id * page_size, image));
  }
  if (got != image.size())
    return absl::DataLossError("the file ends within page " + std::to_string(id));
  if (const std::string problem = btree::PageProblem(image.data(), image.size(), id);
      !problem.empty()) {
    return absl::DataLossError("page " + std::to_string(id) + " " + problem);
  }
  const btree::PageView page(image.data());
  counts.overflow += overflow;
  counts.depth = std::max(counts.depth, depth);
  counts.used_bytes += UsedBytes(page);
  if (page.is_leaf()) {
    ++counts.leaves;
    return VisitLeaf(page, visit);
  }
  ++counts.branches;
  for (size_t i = 0; i < page.count(); ++i)
    RETURN_IF_ERROR(Walk(page.child(i), depth + 1, counts, visit));
  return OkStatus();
}

}  // namespace quoin::utl

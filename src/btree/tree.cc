#include "btree/tree.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "btree/walker.h"

namespace quoin::btree {
namespace {

std::string Parent(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// Two metas, an empty freelist and a root leaf with empty buckets, as a new file has them.
std::string FreshFile(uint32_t page_size, const std::vector<std::string>& buckets, Meta& durable) {
  Meta first{page_size, 3, 4, 0, 2};
  Meta second = first;
  second.txid = 1;
  durable = second;
  std::string list(page_size, '\0'), root(page_size, '\0');
  Store<uint64_t>(list.data(), 2);
  Store<uint16_t>(list.data() + 8, kFreelistFlag);
  uint32_t free_upper = 0, garbage = 0;
  PageEditor editor(root.data(), root.size(), free_upper, garbage);
  editor.Format(3, kLeafFlag, 0);
  const std::string value = BucketValue(0);
  size_t at = 0;
  for (const std::string& name : std::set<std::string>(buckets.begin(), buckets.end())) {
    Element element;
    element.key = name;
    element.value = value;
    element.flags = kBucketElementFlag;
    editor.Insert(at++, element);
  }
  return first.Encode(0) + second.Encode(1) + list + root;
}

// The newest meta may stand in the kernel's pages only, and pages that the one before reaches are
// about to be used anew. Written again it is synced even after a sync that failed.
Status Settle(env::BlockingFile& file, uint64_t meta_at, size_t page_size) {
  std::string page(page_size, '\0');
  ASSIGN_OR_RETURN(const size_t got, file.Read(meta_at, page));
  CHECK_EQ(got, page.size());
  RETURN_IF_ERROR(file.Write(meta_at, page));
  return file.Sync();
}

}  // namespace

Tree::Tree(std::string path, const Options& options)
    : path_(std::move(path)), options_(options), free_(epochs_) {}

Tree::~Tree() {
  writer_.reset();
  delete published_.load();
  for (auto& [stamp, root] : old_roots_) delete root;
}

StatusOr<std::unique_ptr<Tree>> Tree::Open(env::BlockingFileSystem& files, std::string path,
                                           const Options& options) {
  std::unique_ptr<Tree> tree(new Tree(std::move(path), options));
  StatusOr<env::FileInfo> info = files.Stat(tree->path_);
  if (!info.ok() && !absl::IsNotFound(info.status())) return info.status();
  const bool fresh = !info.ok() || info->size == 0;
  if (fresh) {
    RETURN_IF_ERROR(tree->CreateFile(files));
  } else {
    ASSIGN_OR_RETURN(tree->file_,
                     files.Open(tree->path_, options.read_only ? env::OpenMode::kRead
                                                               : env::OpenMode::kReadWrite));
    ASSIGN_OR_RETURN(tree->file_bytes_, tree->file_->blocking().Size());
    RETURN_IF_ERROR(tree->ReadMetas());
  }
  env::BlockingFile* file = tree->file_ == nullptr ? nullptr : &tree->file_->blocking();
  tree->cache_ = std::make_unique<PageCache>(tree->epochs_, tree->path_, file, tree->page_size_,
                                             options.cache_bytes);
  tree->writer_ = std::make_unique<Writer>(*tree);
  tree->relocator_ = std::make_unique<Relocator>(*tree);
  tree->high_water_ = tree->durable_.high_water;
  RETURN_IF_ERROR(tree->WalkAndCollectFree());
  if (!fresh && !options.read_only) {
    RETURN_IF_ERROR(Settle(*file, tree->durable_page_ * tree->page_size_, tree->page_size_));
  }
  return tree;
}

// The file gets its name when it is whole and durable.
Status Tree::CreateFile(env::BlockingFileSystem& files) {
  page_size_ = options_.page_size;
  const std::string content = FreshFile(page_size_, options_.new_buckets, durable_);
  durable_before_ = durable_;
  durable_page_ = 1;
  if (options_.read_only) return OkStatus();  // lives in memory only
  const std::string building = path_ + ".tmp.new";
  {
    ASSIGN_OR_RETURN(std::unique_ptr<env::File> file,
                     files.Open(building, env::OpenMode::kCreateTrunc));
    RETURN_IF_ERROR(file->blocking().Write(0, content));
    RETURN_IF_ERROR(file->blocking().Sync());
  }
  RETURN_IF_ERROR(files.Rename(building, path_));
  RETURN_IF_ERROR(files.SyncDirectory(Parent(path_)));
  ASSIGN_OR_RETURN(file_, files.Open(path_, env::OpenMode::kReadWrite));
  file_bytes_ = content.size();
  return OkStatus();
}

StatusOr<bool> Tree::IsDataFile(env::BlockingFileSystem& files, const std::string& path) {
  Tree tree(path, {});
  ASSIGN_OR_RETURN(tree.file_, files.Open(path, env::OpenMode::kRead));
  const Status status = tree.ReadMetas();
  if (!status.ok() && !absl::IsDataLoss(status)) return status;
  return status.ok();
}

// Meta 0 tells the page size; when it is damaged, meta 1 is looked for where each possible size
// would put it.
Status Tree::ReadMetas() {
  auto read = [this](uint64_t offset) -> StatusOr<std::optional<Meta>> {
    char bytes[kPageHeaderBytes + kMetaBytes] = {};
    ASSIGN_OR_RETURN(size_t got, file_->blocking().Read(offset, bytes));
    return got == sizeof bytes ? Meta::Decode(bytes) : std::nullopt;
  };
  ASSIGN_OR_RETURN(std::optional<Meta> zero, read(0));
  std::optional<Meta> one;
  if (zero) {
    ASSIGN_OR_RETURN(one, read(zero->page_size));
  } else {
    for (uint32_t size = kPageSizeMin; size <= kPageSizeMax && !one; size *= 2) {
      ASSIGN_OR_RETURN(one, read(size));
      if (one && one->page_size != size) one.reset();
    }
  }
  if (!zero && !one) {
    return absl::DataLossError(
        path_ + ": neither meta page (file offsets 0 and " + std::to_string(options_.page_size) +
        ") is valid: this is no data file of etcd or quoin, or both are damaged");
  }
  if (zero && one && zero->page_size != one->page_size) one.reset();
  const bool second_is_newer = !zero || (one && one->txid > zero->txid);
  durable_ = second_is_newer ? *one : *zero;
  durable_before_ = second_is_newer ? (zero ? *zero : *one) : (one ? *one : *zero);
  durable_page_ = second_is_newer ? 1 : 0;
  page_size_ = durable_.page_size;
  return OkStatus();
}

Status Tree::WalkAndCollectFree() {
  EpochDomain::ReaderSlot slot(epochs_);
  std::vector<std::pair<std::string, std::string>> inline_buckets;
  {
    EpochDomain::Guard guard(slot);
    const uint64_t file_pages = file_ == nullptr ? 4 : file_bytes_ / page_size_;
    if (file_ == nullptr) {  // read-only and absent: the empty root leaf exists in memory only
      std::unique_ptr<Frame> root = cache_->NewFrame(3, page_size_);
      std::memset(root->data, 0, root->bytes);
      root->editor().Format(3, kLeafFlag, 0);
      cache_->Add(std::move(root));
    }
    Walker walker(*cache_, high_water_, file_pages);
    std::vector<PageId> roots;
    RETURN_IF_ERROR(
        walker.WalkDirectory(durable_.root, [&](std::string_view name, std::string_view value) {
          const PageId root = Load<uint64_t>(value.data());
          if (root != 0)
            roots.push_back(root);
          else
            inline_buckets.emplace_back(name, value.substr(16));
          return OkStatus();
        }));
    for (PageId root : roots) RETURN_IF_ERROR(walker.WalkBucket(root));
    // What nothing refers to is free. The other meta may still refer to some of it, but only the
    // newest one counts.
    PageRun run{0, 0};
    // A damaged file may be shorter than the four pages that every file has.
    const PageId reached_end = std::min<PageId>(high_water_, walker.reached().size());
    const PageId end = std::max<PageId>(reached_end, 4);
    for (PageId id = 2; id <= end; ++id) {
      if (id < end && (id >= reached_end || !walker.reached()[id])) {
        if (run.count++ == 0) run.first = id;
      } else if (run.count > 0) {
        free_.Insert(std::exchange(run, PageRun{0, 0}));
      }
    }
    high_water_ = free_.Shrink(end);
    auto published = std::make_unique<PublishedRoot>();
    published->root = durable_.root;
    published->high_water = high_water_;
    published_.store(published.release(), std::memory_order_release);
  }
  RETURN_IF_ERROR(writer_->OpenBuckets(durable_.root));
  auto first = std::make_unique<PublishedRoot>(*published_.load());
  for (const auto& [name, bucket] : writer_->buckets_)
    first->buckets.emplace_back(name, bucket.root);
  delete published_.exchange(first.release());
  RETURN_IF_ERROR(ConvertInlineBuckets(inline_buckets));
  writer_->guard_.reset();
  UpdateStats();
  return OkStatus();
}

// Small buckets of bbolt live inside their element of the root tree. Here every bucket that is not
// empty has pages of its own, which the format allows; they move out in memory now and on disk with
// the next checkpoint.
Status Tree::ConvertInlineBuckets(const std::vector<std::pair<std::string, std::string>>& buckets) {
  for (const auto& [name, image] : buckets) {
    if (image.size() < kPageHeaderBytes)
      return cache_->Corrupt(durable_.root, "holds a truncated inline bucket");
    if (std::string problem = PageProblem(image.data(), image.size(), 0); !problem.empty()) {
      return cache_->Corrupt(durable_.root, "holds an inline bucket that " + problem);
    }
    const PageView page(image.data());
    if (!page.is_leaf())
      return cache_->Corrupt(durable_.root, "holds an inline bucket that is no leaf");
    for (size_t i = 0; i < page.count(); ++i) {
      if (page.element_flags(i) != 0)
        return cache_->Corrupt(durable_.root, "holds a bucket within a bucket");
      RETURN_IF_ERROR(writer_->Put(name, page.key(i), page.value(i)));
    }
  }
  writer_->Publish();
  return OkStatus();
}

PageId Tree::Allocate(uint64_t pages) {
  if (PageId id = free_.Take(pages); id != 0) return id;
  const PageId id = high_water_;
  high_water_ += pages;
  return id;
}

void Tree::AddDirty(Frame* frame) {
  frame->dirty_at = dirty_.size();
  dirty_.push_back(frame);
  dirty_bytes_ += frame->bytes;
}

void Tree::DropDirty(Frame* frame) {
  if (frame->dirty_at == SIZE_MAX) return;
  Frame* last = dirty_.back();
  dirty_[frame->dirty_at] = last;
  last->dirty_at = frame->dirty_at;
  dirty_.pop_back();
  frame->dirty_at = SIZE_MAX;
  dirty_bytes_ -= frame->bytes;
}

void Tree::FreeFrame(Frame* frame) {
  const PageRun run{frame->id, frame->bytes / page_size_, frame->generation, generation_};
  DropDirty(frame);
  if (frame->generation == generation_) {
    freed_in_batch_.push_back(run);
  } else {
    held_.push_back(run);
    held_pages_ += run.count;
  }
}

void Tree::PublishRoot(std::unique_ptr<PublishedRoot> published) {
  const PublishedRoot* old = published_.load(std::memory_order_relaxed);
  published->version = old->version + 1;
  published_.store(published.release(), std::memory_order_seq_cst);
  old_roots_.emplace_back(epochs_.Advance(), old);
  for (PageRun run : std::exchange(freed_in_batch_, {})) free_.Release(run);
  CollectFree();
  cache_->Shrink();
  UpdateStats();
}

// Takes back what no reader can reach any more: page ids, their frames, old roots.
void Tree::CollectFree() {
  free_.Collect([this](PageRun run) { cache_->Remove(run.first); });
  high_water_ = free_.Shrink(high_water_);
  const uint64_t safe = epochs_.SafeEpoch();
  while (!old_roots_.empty() && old_roots_.front().first < safe) {
    delete old_roots_.front().second;
    old_roots_.pop_front();
  }
}

void Tree::UpdateStats() {
  const uint64_t unused =
      free_.free_count() + free_.waiting_count() + held_pages_ + held_for_frozen_pages_;
  stat_file_bytes_.store(high_water_ * page_size_, std::memory_order_relaxed);
  stat_in_use_bytes_.store((high_water_ - unused) * page_size_, std::memory_order_relaxed);
  stat_dirty_bytes_.store(dirty_bytes_, std::memory_order_relaxed);
  stat_writing_bytes_.store(writing_bytes_, std::memory_order_relaxed);
}

Stats Tree::stats() const {
  Stats out;
  out.file_bytes = stat_file_bytes_.load(std::memory_order_relaxed);
  out.in_use_bytes = stat_in_use_bytes_.load(std::memory_order_relaxed);
  out.dirty_bytes = stat_dirty_bytes_.load(std::memory_order_relaxed);
  out.writing_bytes = stat_writing_bytes_.load(std::memory_order_relaxed);
  out.cache_bytes = cache_->bytes() + cache_->retired_bytes();
  return out;
}

CheckReport Tree::Check() {
  CheckReport report;
  EpochDomain::ReaderSlot slot(epochs_);
  EpochDomain::Guard guard(slot);
  const PublishedRoot* root = published_.load(std::memory_order_acquire);
  Walker walker(*cache_, root->high_water, root->high_water);
  walker.set_strict(true);
  auto note = [&](const Status& status) {
    if (!status.ok()) report.problems.emplace_back(status.message());
  };
  note(walker.WalkDirectory(root->root, [](auto, auto) { return OkStatus(); }));
  for (const auto& [name, bucket_root] : root->buckets) {
    if (bucket_root != 0) note(walker.WalkBucket(bucket_root));
  }
  report.pages_reachable = walker.reached_count();
  // Every page is reached, or in exactly one of the lists of pages to reuse.
  std::vector<bool> taken = walker.reached();
  auto claim = [&](PageRun run) {
    for (PageId id = run.first; id < run.first + run.count; ++id) {
      if (id >= taken.size()) continue;  // taken beyond the published mark by the batch under way
      if (taken[id])
        report.problems.push_back("page " + std::to_string(id) + " is in use and free");
      taken[id] = true;
      ++report.pages_free;
    }
  };
  for (const auto& [first, count] : free_.runs()) claim({first, count});
  free_.ForEachWaiting(claim);
  for (const auto* list : {&held_, &held_by_checkpoint_, &held_for_frozen_, &freed_in_batch_}) {
    for (PageRun run : *list) claim(run);
  }
  for (PageId id = 2; id < std::min<PageId>(taken.size(), high_water_); ++id) {
    if (!taken[id])
      report.problems.push_back("page " + std::to_string(id) + " is neither in use nor free");
  }
  return report;
}

CheckReport CheckFile(env::BlockingFileSystem& files, const std::string& path) {
  CheckReport report;
  if (!files.Exists(path)) {
    report.problems.push_back(path + ": no such file");
    return report;
  }
  Options options;
  options.read_only = true;
  StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files, path, options);
  if (!tree.ok()) {
    report.problems.emplace_back(tree.status().message());
    return report;
  }
  return (*tree)->Check();
}

}  // namespace quoin::btree

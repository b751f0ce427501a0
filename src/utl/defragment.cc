#include "utl/defragment.h"

#include "btree/tree.h"
#include "utl/data_file.h"
#include "utl/snapshot_file.h"

namespace quoin::utl {
namespace {

constexpr uint64_t kSliceBytes = 16 << 20;  // copied at a time: bounds the memory

// Copies pairs behind `after`, which becomes the last one's key; false when there are no more.
StatusOr<bool> CopySlice(btree::Tree& from, btree::Tree& to, const std::string& bucket,
                         EpochDomain::ReaderSlot& slot, std::optional<std::string>& after) {
  EpochDomain::Guard guard(slot);
  btree::Cursor cursor = from.Current().NewCursor(bucket, btree::OnMiss::kLoad);
  RETURN_IF_ERROR(after ? cursor.Seek(*after) : cursor.SeekFirst());
  if (after && cursor.Valid()) RETURN_IF_ERROR(cursor.Next());
  for (uint64_t bytes = 0; cursor.Valid() && bytes < kSliceBytes;) {
    RETURN_IF_ERROR(to.writer().Put(bucket, cursor.key(), cursor.value()));
    bytes += cursor.key().size() + cursor.value().size();
    after = std::string(cursor.key());
    RETURN_IF_ERROR(cursor.Next());
  }
  to.writer().Publish();
  // One checkpoint less is some free pages less in the new file.
  if (cursor.Valid()) RETURN_IF_ERROR(to.CheckpointNow());
  return cursor.Valid();
}

std::vector<std::string> BucketsOf(btree::Tree& tree, EpochDomain::ReaderSlot& slot) {
  EpochDomain::Guard guard(slot);
  return tree.Current().Buckets();
}

Status CopyBuckets(btree::Tree& from, btree::Tree& to) {
  EpochDomain::ReaderSlot slot(from.epochs());
  for (const std::string& bucket : BucketsOf(from, slot)) {
    RETURN_IF_ERROR(to.writer().CreateBucket(bucket));
    std::optional<std::string> after;
    for (bool more = true; more;) {
      ASSIGN_OR_RETURN(more, CopySlice(from, to, bucket, slot, after));
    }
  }
  return to.CheckpointNow();
}

Status WriteAnew(env::BlockingFileSystem& files, const std::string& path, const std::string& anew,
                 uint32_t page_size) {
  btree::Options options;
  options.read_only = true;
  ASSIGN_OR_RETURN(std::unique_ptr<btree::Tree> from, btree::Tree::Open(files, path, options));
  options.read_only = false;
  options.page_size = page_size;
  ASSIGN_OR_RETURN(std::unique_ptr<btree::Tree> to, btree::Tree::Open(files, anew, options));
  return CopyBuckets(*from, *to);
}

}  // namespace

StatusOr<Defragmented> Defragment(env::BlockingFileSystem& files, const std::string& data_dir) {
  const std::string dir = data_dir + "/member/snap", path = dir + "/db";
  RETURN_IF_ERROR(CheckDatabase(files, path).status());
  ASSIGN_OR_RETURN(const DataFile before, DataFile::Open(files, path));
  const std::string anew = dir + "/db.tmp.defrag";  // a server's start removes what is left of it
  RETURN_IF_ERROR(files.RemoveAll(anew));
  RETURN_IF_ERROR(WriteAnew(files, path, anew, before.newest().page_size));
  if (const btree::CheckReport report = btree::CheckFile(files, anew); !report.problems.empty())
    return absl::InternalError("the new file is not sound: " + report.problems.front());
  ASSIGN_OR_RETURN(const DataFile after, DataFile::Open(files, anew));
  if (after.file_bytes() >= before.file_bytes()) {  // bbolt packs small buckets closer than we do
    RETURN_IF_ERROR(files.Remove(anew));
    return Defragmented{before.file_bytes(), before.file_bytes()};
  }
  RETURN_IF_ERROR(files.Rename(anew, path));
  RETURN_IF_ERROR(files.SyncDirectory(dir));
  return Defragmented{before.file_bytes(), after.file_bytes()};
}

}  // namespace quoin::utl

// The appending half of the log: group commit, segment cuts, release of old segments.

#include <algorithm>
#include <deque>

#include "base/check.h"
#include "base/limits.h"
#include "raft_types/codec.h"
#include "wal/mark.h"
#include "wal/record.h"
#include "wal/segment.h"
#include "wal/wal.h"

namespace quoin::wal {
namespace {

constexpr size_t kBufferKeepBytes = 4 << 20;  // a larger buffer is given back after use
constexpr size_t kReserveFromBytes = 64 * 1024;
constexpr size_t kEntryFrameBytes = 80;  // an entry's frame beside its data, at most

// Writes batches as frames. Every write ends with a state record: readers that know no marks see
// writes by it.
class BatchEncoder {
 public:
  void Reset(uint32_t crc, Metadata metadata, raft::HardState hard_state) {
    frames_.set_crc(crc);
    metadata_ = metadata;
    hard_state_ = hard_state;
  }
  // What a segment begins with, of which all is durable before the segment has its name: the
  // chain's value, and two writes, of which the second is empty and says so of the first.
  // `snapshot` and `first`: of a new log.
  void AppendHead(uint64_t sequence, const SnapshotRecord* snapshot, const Writer::Batch* first,
                  std::string& out) {
    frames_.AppendCrc(out);
    BeginWrite();
    std::string records;
    frames_.Append(RecordType::kMetadata, EncodeMetadata(metadata_), records);
    if (snapshot != nullptr) AppendSnapshot(*snapshot, records);
    if (first != nullptr) Append(*first, records);
    AppendState(records);
    AppendMarkOf(records, sequence, out.size(), out);
    out.append(records);
    BeginWrite();
    AppendMarkOf("", sequence, out.size(), out);
  }
  void AppendState(std::string& out) {
    if (hard_state_.empty()) return;
    scratch_.clear();
    raft::EncodeHardState(hard_state_, scratch_);
    frames_.Append(RecordType::kState, scratch_, out);
  }
  void AppendSnapshot(const SnapshotRecord& snapshot, std::string& out) {
    frames_.Append(RecordType::kSnapshot, EncodeSnapshotRecord(snapshot), out);
  }
  void Append(const Writer::Batch& batch, std::string& out) {
    // Entries behind a received snapshot follow on it.
    const bool snapshot_first = batch.snapshot && !batch.entries.empty() &&
                                batch.entries.front().index > batch.snapshot->index;
    if (snapshot_first) AppendSnapshot(*batch.snapshot, out);
    AppendEntries(batch.entries, out);
    if (batch.snapshot && !snapshot_first) AppendSnapshot(*batch.snapshot, out);
    if (batch.hard_state) hard_state_ = *batch.hard_state;
  }
  // Between the two stands what belongs to one write; `records` are all of it.
  void BeginWrite() { before_write_ = frames_; }
  void AppendMarkOf(std::string_view records, uint64_t sequence, uint64_t offset,
                    std::string& out) const {
    AppendMark(before_write_, sequence, offset, records, out);
  }

 private:
  void AppendEntries(const std::vector<raft::Entry>& entries, std::string& out) {
    for (const raft::Entry& entry : entries) {
      scratch_.clear();
      raft::EncodeEntry(entry, scratch_);
      frames_.Append(RecordType::kEntry, scratch_, out);
    }
  }

  FrameWriter frames_, before_write_;
  Metadata metadata_;
  raft::HardState hard_state_;
  std::string scratch_;
};

class SegmentWriter final : public Writer {
 public:
  SegmentWriter(env::FileSystem& files, std::string dir, const Options& options,
                env::Executor& loop, Logger& log)
      : files_(files), dir_(std::move(dir)), options_(options), loop_(loop), log_(log) {}

  // --- before the loops run ---

  Status CreateLog(const Metadata& metadata, const Batch& first) {
    env::BlockingFileSystem& files = files_.blocking();
    const std::string building = dir_ + ".tmp";
    RETURN_IF_ERROR(files.RemoveAll(building));
    RETURN_IF_ERROR(files.MakeDurableDirectory(building));
    segments_.push_back({0, Index(0)});
    ASSIGN_OR_RETURN(file_,
                     files.Open(building + "/" + segments_.back().text(), env::OpenMode::kCreate));
    RETURN_IF_ERROR(file_->blocking().Allocate(options_.segment_bytes));
    encoder_.Reset(0, metadata, {});
    const SnapshotRecord nothing;
    encoder_.AppendHead(segments_.back().sequence, &nothing, &first, buffer_);
    RETURN_IF_ERROR(file_->blocking().Write(0, buffer_));
    if (options_.fsync) RETURN_IF_ERROR(file_->blocking().Sync());
    RETURN_IF_ERROR(files.SyncDirectory(building));
    RETURN_IF_ERROR(files.Rename(building, dir_));
    RETURN_IF_ERROR(files.SyncDirectory(ParentOf(dir_)));
    offset_ = buffer_.size();
    allocated_ = options_.segment_bytes;
    buffer_.clear();
    NoteEntries(first);
    ASSIGN_OR_RETURN(file_,
                     files.Open(dir_ + "/" + segments_.back().text(), env::OpenMode::kReadWrite));
    return OkStatus();
  }

  Status OpenLog(const Recovered& recovered) {
    env::BlockingFileSystem& files = files_.blocking();
    ASSIGN_OR_RETURN(segments_, ListSegments(files, dir_));
    RETURN_IF_ERROR(RemoveUnfinished(files));
    ASSIGN_OR_RETURN(file_, files.Open(recovered.end.path, env::OpenMode::kReadWrite));
    ASSIGN_OR_RETURN(allocated_, file_->blocking().Size());
    if (allocated_ < options_.segment_bytes) {  // etcd's repair leaves a short file
      RETURN_IF_ERROR(file_->blocking().Allocate(options_.segment_bytes));
      if (options_.fsync) RETURN_IF_ERROR(file_->blocking().Sync());
      allocated_ = options_.segment_bytes;
    }
    offset_ = recovered.end.offset;
    encoder_.Reset(recovered.end.crc, recovered.metadata, recovered.hard_state);
    last_index_ =
        recovered.entries.empty() ? recovered.start.index : recovered.entries.back().index;
    return OkStatus();
  }

  // --- the wal loop ---

  void Append(Batch batch, env::DoneStatus done) override {
    waiting_.push_back({std::move(batch), std::move(done)});
    if (!busy_) WriteWaiting();
  }

  void ReleaseTo(Index index, size_t keep_max) override {
    while (segments_.size() > std::max<size_t>(keep_max, 1) && segments_[1].first_index <= index) {
      const std::string path = dir_ + "/" + segments_.front().text();
      segments_.erase(segments_.begin());
      files_.Remove(path, loop_, [this, path](Status status) {
        if (!status.ok()) log_.Warn("failed to remove a released log segment", {{"path", path}});
      });
    }
  }

  void Close(env::DoneStatus done) override {
    on_idle_ = std::move(done);
    if (!busy_) Finish();
  }

  void set_on_fsync(absl::AnyInvocable<void(env::Duration)> observer) override {
    on_fsync_ = std::move(observer);
  }

 private:
  struct Waiting {
    Batch batch;
    env::DoneStatus done;
  };

  // Segments being prepared when the process ended.
  Status RemoveUnfinished(env::BlockingFileSystem& files) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, files.List(dir_));
    for (const std::string& name : names) {
      if (name.ends_with(".tmp")) RETURN_IF_ERROR(files.Remove(dir_ + "/" + name));
    }
    return OkStatus();
  }

  void NoteEntries(const Batch& batch) {
    if (!batch.entries.empty()) last_index_ = batch.entries.back().index;
    if (batch.snapshot) last_index_ = std::max(last_index_, batch.snapshot->index);
  }

  // Memory for what WriteWaiting will take, at once: by doubling a big write would take it twice.
  void MakeRoom() {
    size_t bytes = 0;
    for (const Waiting& next : waiting_) {
      for (const raft::Entry& entry : next.batch.entries)
        bytes += entry.data.size() + kEntryFrameBytes;
      if (bytes >= limits::kAppendBatchBytesMax) break;
    }
    if (bytes > kReserveFromBytes) buffer_.reserve(bytes);
  }

  // All that waits becomes one write and one sync.
  void WriteWaiting() {
    busy_ = true;
    bool must_sync = false;
    size_t bytes = 0;
    encoder_.BeginWrite();
    MakeRoom();
    while (!waiting_.empty() && bytes < limits::kAppendBatchBytesMax) {
      Waiting& next = waiting_.front();
      encoder_.Append(next.batch, buffer_);
      bytes = buffer_.size();
      NoteEntries(next.batch);
      must_sync |= next.batch.must_sync || next.batch.snapshot.has_value();
      done_.push_back(std::move(next.done));
      waiting_.pop_front();
    }
    // A commit index that moved alone waits for the next write: written without a sync it could be
    // lost or torn in front of one that is not, and nobody could tell that from damage.
    state_held_ = buffer_.empty() && !must_sync;
    if (state_held_) return loop_.Post([this] { Written(); });
    Write();
  }

  // A mark, the buffer, the state behind it, and one sync.
  void Write() {
    encoder_.AppendState(buffer_);
    mark_.clear();
    encoder_.AppendMarkOf(buffer_, segments_.back().sequence, offset_, mark_);
    const uint64_t end = offset_ + mark_.size() + buffer_.size();
    if (end <= allocated_) return WriteOut();
    // The last write of a segment. The file's new length is durable first, so that a file which
    // ends within a write is damaged.
    if (Status status = file_->blocking().Allocate(end); !status.ok()) return Fail(status);
    allocated_ = end;
    if (!options_.fsync) return WriteOut();
    file_->Sync(loop_, Then([this] { WriteOut(); }));
  }

  void WriteOut() {
    file_->Write(offset_, {mark_, buffer_}, loop_, [this](Status status) {
      if (!status.ok()) return Fail(status);
      offset_ += mark_.size() + buffer_.size();
      if (buffer_.capacity() > kBufferKeepBytes) buffer_ = std::string();
      buffer_.clear();
      unproven_ = true;
      if (!options_.fsync) return Written();
      const env::Duration start = loop_.clock().Now();
      file_->Sync(loop_, [this, start](Status synced) {
        if (!synced.ok()) return Fail(synced);
        if (on_fsync_) on_fsync_(loop_.clock().Now() - start);
        Written();
      });
    });
  }

  void Written() {
    for (env::DoneStatus& done : std::exchange(done_, {})) done(OkStatus());
    if (offset_ >= options_.segment_bytes) return Cut();
    Continue();
  }

  void Continue() {
    busy_ = false;
    if (!waiting_.empty()) return WriteWaiting();
    if (on_idle_) Finish();
  }

  // Nothing is under way. One more write carries what was held, and says by its mark that what
  // stands before it is durable.
  void Finish() {
    if (closed_ || !(state_held_ || unproven_)) return std::exchange(on_idle_, nullptr)(OkStatus());
    closed_ = true;
    busy_ = true;
    encoder_.BeginWrite();
    Write();
  }

  // A disk that failed once cannot be believed again: everybody who waits now or later hears it.
  void Fail(const Status& status) {
    for (env::DoneStatus& done : std::exchange(done_, {})) done(status);
    for (Waiting& waiting : std::exchange(waiting_, {})) waiting.done(status);
  }

  // The next segment's head continues the chain: whatever stands before it, commit-only records
  // too, must be on the disk first, or a crash would leave a chain with a hole.
  void Cut() {
    file_->Sync(loop_, Then([this] { BuildNext(); }));
  }

  // The next segment is complete under another name before it takes its place.
  void BuildNext() {
    const SegmentName name{segments_.back().sequence + 1, last_index_ + 1};
    const std::string building = dir_ + "/next.tmp";
    files_.Open(building, env::OpenMode::kCreateTrunc, loop_, [this, name, building](auto file) {
      if (!file.ok()) return Fail(file.status());
      next_ = *std::move(file);
      if (Status status = next_->blocking().Allocate(options_.segment_bytes); !status.ok())
        return Fail(status);
      encoder_.AppendHead(name.sequence, nullptr, nullptr, buffer_);
      next_->Write(0, {buffer_}, loop_, Then([this, name, building] { SyncNext(name, building); }));
    });
  }

  void SyncNext(const SegmentName& name, const std::string& building) {
    next_->Sync(loop_, Then([this, name, building] {
                  files_.Rename(building, dir_ + "/" + name.text(), loop_, Then([this, name] {
                                  files_.SyncDirectory(dir_, loop_,
                                                       Then([this, name] { Switch(name); }));
                                }));
                }));
  }

  void Switch(const SegmentName& name) {
    offset_ = buffer_.size();
    allocated_ = options_.segment_bytes;
    unproven_ = false;
    buffer_.clear();
    file_ = std::move(next_);
    segments_.push_back(name);
    log_.Info("created a new WAL segment", {{"path", dir_ + "/" + name.text()}});
    Continue();
  }

  template <typename F>
  env::DoneStatus Then(F next) {
    return [this, next](Status status) { status.ok() ? next() : Fail(status); };
  }

  env::FileSystem& files_;
  const std::string dir_;
  const Options options_;
  env::Executor& loop_;
  Logger& log_;
  std::vector<SegmentName> segments_;
  std::unique_ptr<env::File> file_, next_;
  uint64_t offset_ = 0, allocated_ = 0;
  Index last_index_;
  BatchEncoder encoder_;
  std::string buffer_, mark_;  // of one write
  std::deque<Waiting> waiting_;
  std::vector<env::DoneStatus> done_;  // of the write under way
  bool busy_ = false;
  bool state_held_ = false;  // a commit index that no write has carried yet
  bool unproven_ = false;    // no mark says yet that the last write is durable
  bool closed_ = false;
  env::DoneStatus on_idle_;
  absl::AnyInvocable<void(env::Duration)> on_fsync_;
};

}  // namespace

StatusOr<std::unique_ptr<Writer>> Writer::Create(env::FileSystem& files, const std::string& dir,
                                                 const Metadata& metadata, const Batch& first,
                                                 const Options& options, env::Executor& loop,
                                                 Logger& log) {
  auto writer = std::make_unique<SegmentWriter>(files, dir, options, loop, log);
  RETURN_IF_ERROR(writer->CreateLog(metadata, first));
  return std::unique_ptr<Writer>(std::move(writer));
}

StatusOr<std::unique_ptr<Writer>> Writer::Open(env::FileSystem& files, const std::string& dir,
                                               const Recovered& recovered, const Options& options,
                                               env::Executor& loop, Logger& log) {
  auto writer = std::make_unique<SegmentWriter>(files, dir, options, loop, log);
  RETURN_IF_ERROR(writer->OpenLog(recovered));
  return std::unique_ptr<Writer>(std::move(writer));
}

}  // namespace quoin::wal

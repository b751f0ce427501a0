#include "env/sim/sim_disk.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "env/sim/sim_world.h"

namespace quoin::env {
namespace {

constexpr uint64_t kSectorBytes = 512;

std::string Parent(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

bool IsBelow(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

// The bytes of one sector of a file, zero-filled to its end.
std::string Sector(const std::string& content, uint64_t sector) {
  std::string out(kSectorBytes, '\0');
  const uint64_t at = sector * kSectorBytes;
  if (at < content.size()) content.copy(out.data(), kSectorBytes, at);
  return out;
}

}  // namespace

// An open file. Dead after a crash of its disk.
class SimFile final : public File, public BlockingFile {
 public:
  SimFile(SimDisk& disk, std::string path, std::shared_ptr<SimDisk::Inode> inode)
      : disk_(disk), path_(std::move(path)), inode_(std::move(inode)), life_(disk.life_) {}

  void Read(uint64_t offset, std::span<char> into, Executor& on, DoneStatus done) override {
    StatusOr<size_t> got = Read(offset, into);
    Status status = got.status();
    if (got.ok() && *got < into.size())
      status = absl::OutOfRangeError(path_ + ": the file ends before");
    Finish(on, false, std::move(done), std::move(status));
  }
  void Write(uint64_t offset, std::vector<std::string_view> pieces, Executor& on,
             DoneStatus done) override {
    Status status = Begin();
    for (std::string_view piece : pieces) {
      if (status.ok()) Put(offset, piece);
      offset += piece.size();
    }
    Finish(on, false, std::move(done), std::move(status));
  }
  // What was written before the call is durable when it completes, and not a moment earlier.
  void Sync(Executor& on, DoneStatus done) override {
    Status status = Begin();
    if (!status.ok()) return Finish(on, true, std::move(done), std::move(status));
    auto at_call = std::make_shared<SimDisk::Inode>(*inode_);
    disk_.Complete(on, true,
                   [this, life = life_, disk = &disk_, inode = inode_, at_call,
                    done = std::move(done)]() mutable {
                     if (life == disk->life_) {
                       for (uint64_t sector : at_call->dirty)
                         CopySector(at_call->seen, sector, inode->durable);
                       inode->durable.resize(at_call->seen.size());
                       Recount(*inode);
                     }
                     done(OkStatus());
                   });
  }
  void Resize(uint64_t size, Executor& on, DoneStatus done) override {
    Finish(on, false, std::move(done), Resize(size));
  }
  BlockingFile& blocking() override { return *this; }
  const std::string& path() const override { return path_; }

  StatusOr<size_t> Read(uint64_t offset, std::span<char> into) override {
    if (life_ != disk_.life_) return absl::AbortedError(path_ + ": the machine went down");
    if (offset >= inode_->seen.size()) return 0;
    return inode_->seen.copy(into.data(), into.size(), offset);
  }
  Status Write(uint64_t offset, std::string_view data) override {
    RETURN_IF_ERROR(Begin());
    Put(offset, data);
    return OkStatus();
  }
  Status Sync() override {
    RETURN_IF_ERROR(Begin());
    SimDisk::SyncInode(*inode_);
    return OkStatus();
  }
  Status Resize(uint64_t size) override {
    RETURN_IF_ERROR(Begin());
    // What is cut off reads as zeros when the file grows again: the sector at the cut changes.
    if (size < inode_->seen.size()) inode_->dirty.insert(size / kSectorBytes);
    inode_->seen.resize(size);
    inode_->length_differs = true;
    return OkStatus();
  }
  Status Allocate(uint64_t size) override {
    return size <= inode_->seen.size() ? OkStatus() : Resize(size);
  }
  StatusOr<uint64_t> Size() override { return inode_->seen.size(); }

 private:
  Status Begin() {
    if (life_ != disk_.life_) return absl::AbortedError(path_ + ": the machine went down");
    return disk_.Count();
  }
  void Finish(Executor& on, bool sync, DoneStatus done, Status status) {
    disk_.Complete(on, sync, [done = std::move(done), status = std::move(status)]() mutable {
      done(std::move(status));
    });
  }
  void Put(uint64_t offset, std::string_view data) {
    if (data.empty()) return;
    if (offset + data.size() > inode_->seen.size()) {
      inode_->seen.resize(offset + data.size());
      inode_->length_differs = true;
    }
    std::memcpy(inode_->seen.data() + offset, data.data(), data.size());
    for (uint64_t s = offset / kSectorBytes; s <= (offset + data.size() - 1) / kSectorBytes; ++s)
      inode_->dirty.insert(s);
  }
  static void CopySector(const std::string& from, uint64_t sector, std::string& to) {
    const uint64_t at = sector * kSectorBytes;
    if (at >= from.size()) return;
    if (to.size() < from.size()) to.resize(from.size());
    const std::string bytes = Sector(from, sector);
    std::memcpy(to.data() + at, bytes.data(), std::min<uint64_t>(kSectorBytes, to.size() - at));
  }
  // Sectors written again since the sync began still differ.
  static void Recount(SimDisk::Inode& inode) {
    std::erase_if(inode.dirty,
                  [&](uint64_t s) { return Sector(inode.seen, s) == Sector(inode.durable, s); });
    inode.length_differs = inode.seen.size() != inode.durable.size();
  }

  friend class SimDisk;
  SimDisk& disk_;
  const std::string path_;
  std::shared_ptr<SimDisk::Inode> inode_;
  const uint64_t life_;
};

class SimLock final : public FileLock {
 public:
  SimLock(SimDisk& disk, std::string path)
      : disk_(disk), path_(std::move(path)), life_(disk.life_) {}
  ~SimLock() override {
    if (life_ == disk_.life_) disk_.locks_.erase(path_);
  }

 private:
  SimDisk& disk_;
  const std::string path_;
  const uint64_t life_;
};

Status SimDisk::Count() {
  const uint64_t number = operations_++;
  if (number >= power_fails_at_) return absl::AbortedError("the power is gone");
  if (fails_at_ && fails_at_->first == number) return fails_at_->second;
  return OkStatus();
}

void SimDisk::SyncInode(Inode& inode) {
  inode.durable = inode.seen;
  inode.dirty.clear();
  inode.length_differs = false;
}

void SimDisk::Note(Change change) {
  Carry(change, seen_);
  changes_.push_back(std::move(change));
}

void SimDisk::Carry(const Change& change, Names& names) {
  if (change.inode != nullptr) {
    names[change.to] = change.inode;
    return;
  }
  Names moved;
  for (auto at = names.begin(); at != names.end();) {
    const bool same = at->first == change.from;
    if (!same && !IsBelow(at->first, change.from)) {
      ++at;
      continue;
    }
    if (!change.to.empty()) moved[change.to + at->first.substr(change.from.size())] = at->second;
    at = names.erase(at);
  }
  for (auto& [path, inode] : moved) names[path] = inode;
}

void SimDisk::Crash(Prng& random) {
  ++life_;
  locks_.clear();
  power_fails_at_ = UINT64_MAX;
  fails_at_.reset();
  // Namespace changes reach the journal in order: a first part of them has happened.
  const uint64_t happened = random.Below(changes_.size() + 1);
  for (uint64_t i = 0; i < happened; ++i) Carry(changes_[i], durable_);
  changes_.clear();
  seen_ = durable_;
  std::set<Inode*> done;
  for (auto& [path, inode] : seen_) {
    if (!done.insert(inode.get()).second) continue;
    std::string after = inode->durable;
    if (inode->length_differs && random.Chance(0.5)) after.resize(inode->seen.size());
    for (uint64_t sector : inode->dirty) {
      const uint64_t at = sector * kSectorBytes;
      if (at >= after.size() || !random.Chance(0.5)) continue;
      const std::string bytes = Sector(inode->seen, sector);
      std::memcpy(after.data() + at, bytes.data(),
                  std::min<uint64_t>(kSectorBytes, after.size() - at));
    }
    inode->seen = after;
    SyncInode(*inode);
  }
}

Duration SimDisk::DrawTime(bool sync) {
  Prng& random = world_->random();
  if (sync)
    return std::chrono::nanoseconds(random.Between(sync_least_.count(), sync_most_.count()));
  return std::chrono::nanoseconds(random.Between(1'000, 50'000));
}

void SimDisk::Complete(Executor& on, bool sync, Task task) {
  if (world_ == nullptr) return on.Post(std::move(task));
  on.Post([this, &on, sync, task = std::move(task)]() mutable {
    on.RunAfter(DrawTime(sync), std::move(task));
  });
}

void SimDisk::Open(std::string path, OpenMode mode, Executor& on,
                   absl::AnyInvocable<void(StatusOr<std::unique_ptr<File>>)> done) {
  Complete(on, false, [done = std::move(done), file = Open(path, mode, 0600)]() mutable {
    done(std::move(file));
  });
}
void SimDisk::Rename(std::string from, std::string to, Executor& on, DoneStatus done) {
  Complete(on, false, [done = std::move(done), status = Rename(from, to)]() mutable {
    done(std::move(status));
  });
}
void SimDisk::Remove(std::string path, Executor& on, DoneStatus done) {
  Complete(on, false,
           [done = std::move(done), status = Remove(path)]() mutable { done(std::move(status)); });
}
void SimDisk::SyncDirectory(std::string path, Executor& on, DoneStatus done) {
  Complete(on, true, [done = std::move(done), status = SyncDirectory(path)]() mutable {
    done(std::move(status));
  });
}

StatusOr<std::unique_ptr<File>> SimDisk::Open(const std::string& path, OpenMode mode, uint32_t) {
  auto found = seen_.find(path);
  const bool exists = found != seen_.end();
  if (!exists && (mode == OpenMode::kRead || mode == OpenMode::kReadWrite))
    return absl::NotFoundError("open " + path);
  if (exists && mode == OpenMode::kCreate) return absl::AlreadyExistsError("open " + path);
  if (!exists) {
    if (!directories_.contains(Parent(path)) && !Parent(path).empty())
      return absl::NotFoundError("open " + path);
    RETURN_IF_ERROR(Count());
    Note({"", path, std::make_shared<Inode>()});
    found = seen_.find(path);
  }
  auto file = std::make_unique<SimFile>(*this, path, found->second);
  if (exists && mode == OpenMode::kCreateTrunc) RETURN_IF_ERROR(file->Resize(0));
  return std::unique_ptr<File>(std::move(file));
}

Status SimDisk::Rename(const std::string& from, const std::string& to) {
  const bool directory = directories_.contains(from);
  if (!directory && !seen_.contains(from)) return absl::NotFoundError("rename " + from);
  RETURN_IF_ERROR(Count());
  if (directory) directories_.insert(to);
  Note({from, to, nullptr});
  return OkStatus();
}

Status SimDisk::Remove(const std::string& path) {
  if (!seen_.contains(path)) return absl::NotFoundError("remove " + path);
  RETURN_IF_ERROR(Count());
  Note({path, "", nullptr});
  return OkStatus();
}

Status SimDisk::RemoveAll(const std::string& path) {
  const bool any = std::any_of(seen_.begin(), seen_.end(), [&](const auto& entry) {
    return entry.first == path || IsBelow(entry.first, path);
  });
  if (!any) return OkStatus();
  RETURN_IF_ERROR(Count());
  Note({path, "", nullptr});
  return OkStatus();
}

Status SimDisk::MakeDirectory(const std::string& path, uint32_t) {
  for (std::string at = path; !at.empty(); at = Parent(at)) directories_.insert(at);
  return OkStatus();
}

Status SimDisk::SyncDirectory(const std::string& path) {
  RETURN_IF_ERROR(Count());
  // The journal keeps order: with the last change of this directory go all that came before it.
  size_t covered = 0;
  for (size_t i = 0; i < changes_.size(); ++i) {
    if (Parent(changes_[i].to) == path || Parent(changes_[i].from) == path) covered = i + 1;
  }
  for (size_t i = 0; i < covered; ++i) Carry(changes_[i], durable_);
  changes_.erase(changes_.begin(), changes_.begin() + static_cast<std::ptrdiff_t>(covered));
  return OkStatus();
}

StatusOr<std::vector<std::string>> SimDisk::List(const std::string& path) {
  std::set<std::string> names;
  auto add = [&](const std::string& full) {
    if (IsBelow(full, path))
      names.insert(full.substr(path.size() + 1, full.find('/', path.size() + 1) - path.size() - 1));
  };
  for (const auto& [full, inode] : seen_) add(full);
  if (names.empty() && !directories_.contains(path)) return absl::NotFoundError("list " + path);
  return std::vector<std::string>(names.begin(), names.end());
}

StatusOr<FileInfo> SimDisk::Stat(const std::string& path) {
  auto found = seen_.find(path);
  if (found != seen_.end()) return FileInfo{found->second->seen.size(), false, 0600};
  if (directories_.contains(path)) return FileInfo{0, true, 0700};
  return absl::NotFoundError("stat " + path);
}

StatusOr<std::unique_ptr<FileLock>> SimDisk::Lock(const std::string& path, bool) {
  if (!seen_.contains(path)) return absl::NotFoundError("lock " + path);
  if (!locks_.insert(path).second)
    return absl::FailedPreconditionError("cannot lock " + path + ": another process uses it");
  return std::unique_ptr<FileLock>(new SimLock(*this, path));
}

}  // namespace quoin::env

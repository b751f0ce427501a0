#include "env/sim/sim_disk.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "env/sim/sim_file.h"
#include "env/sim/sim_world.h"

namespace quoin::env {
namespace {

Status PowerIsGone(const std::string& what) {
  return absl::AbortedError(what + ": the power is gone");
}

// Of `path` and the directories above it, the first that is there. REQUIRES: a clean path.
std::string FirstThere(const SimNames& names, std::string path) {
  while (names.Find(path) == nullptr) path = ParentPath(path);
  return path;
}

// Why `path` is not found, or is no directory, in env/posix's words.
Status NotFound(const SimNames& names, const std::string& what, const std::string& path) {
  const bool is_file = !names.IsDirectory(FirstThere(names, path));
  return absl::NotFoundError(what +
                             (is_file ? ": not a directory" : ": no such file or directory"));
}

}  // namespace

SimDisk::SimDisk(SimWorld* world) : world_(world) {}
SimDisk::~SimDisk() = default;

// --- faults ---

void SimDisk::FailNth(Kind kind, uint64_t nth, Status status) {
  CHECK(nth > 0);
  CHECK(!status.ok());
  faults_.push_back({kind, nth, std::move(status)});
}

Status SimDisk::TakeFault(Kind kind, const std::string& what) {
  for (auto fault = faults_.begin(); fault != faults_.end(); ++fault) {
    if (fault->kind != kind || --fault->left > 0) continue;
    Status status(fault->status.code(), what + ": " + std::string(fault->status.message()));
    faults_.erase(fault);
    return status;
  }
  return OkStatus();
}

Status SimDisk::Begin(Kind kind, const std::string& what) {
  if (world_ != nullptr) world_->CheckMayWait(what);
  if (power_is_out_) return PowerIsGone(what);
  const uint64_t number = operations_++;
  if (number >= power_fails_at_) {
    power_is_out_ = true;
    return PowerIsGone(what);
  }
  Trace(what, number);
  if (fails_at_ && fails_at_->first == number) return std::exchange(fails_at_, {})->second;
  return TakeFault(kind, what);
}

Status SimDisk::BeginRead(const std::string& what) {
  if (world_ != nullptr) world_->CheckMayWait(what);
  if (power_is_out_) return PowerIsGone(what);
  return TakeFault(Kind::kRead, what);
}

uint64_t SimDisk::space_bytes() const {
  std::set<const SimInode*> counted;  // looked up only
  uint64_t sum = 0;
  for (const auto& [path, inode] : core_->names.seen()) {
    if (counted.insert(inode.get()).second) sum += inode->space_bytes();
  }
  return sum;
}

Status SimDisk::CheckSpace(uint64_t more_bytes, const std::string& what) const {
  if (space_bytes_max_ == UINT64_MAX || space_bytes() + more_bytes <= space_bytes_max_)
    return OkStatus();
  return absl::ResourceExhaustedError(what + ": no space left on device");
}

Status SimDisk::DamageSector(const std::string& path, uint64_t sector, Damage damage,
                             uint64_t seed) {
  const std::shared_ptr<SimInode> inode = core_->names.Find(CleanPath(path));
  if (inode == nullptr) return absl::NotFoundError("damage " + path);
  std::string bytes(kSectorBytes, '\0');
  bytes.resize(inode->seen().Read(sector * kSectorBytes, bytes));
  if (bytes.empty()) return absl::OutOfRangeError("damage " + path + ": the file ends before");
  if (damage == Damage::kZero) {
    bytes.assign(bytes.size(), '\0');
  } else {
    Prng random(seed);
    char& byte = bytes[random.Below(bytes.size())];
    byte = static_cast<char>(byte ^ (1 << random.Below(8)));
  }
  inode->Damage(sector * kSectorBytes, bytes);
  return OkStatus();
}

// --- crashes ---

void SimDisk::Crash(Prng& random) {
  ++core_->life;
  locks_.clear();
  power_fails_at_ = UINT64_MAX;
  power_is_out_ = false;
  fails_at_.reset();
  faults_.clear();
  core_->names.Crash(random, tears_sectors_);
}

void SimDisk::Restart(uint64_t seed) {
  Prng random(seed);
  Crash(random);
}

std::unique_ptr<SimDisk> SimDisk::Clone() const {
  auto out = std::make_unique<SimDisk>();
  out->core_->names = core_->names.Clone();
  out->operations_ = operations_;
  out->tears_sectors_ = tears_sectors_;
  out->space_bytes_max_ = space_bytes_max_;
  return out;
}

// --- completions ---

void SimDisk::Trace(std::string_view what, uint64_t number) {
  if (world_ != nullptr) world_->Note(Crc32c(static_cast<uint32_t>(number), what));
}

Duration SimDisk::DrawTime(Kind kind) {
  Prng& random = world_->random();
  auto draw = [&](const SimTimes& times) {
    return Duration(random.Between(times.least.count(), times.most.count()));
  };
  const SimTimes& times = kind == Kind::kRead    ? times_.read
                          : kind == Kind::kWrite ? times_.write
                          : kind == Kind::kSync  ? times_.sync
                                                 : times_.names;
  Duration time = draw(times);
  if (times_.stall_chance > 0 && random.Chance(times_.stall_chance)) time += draw(times_.stall);
  return time;
}

void SimDisk::Complete(Executor& on, Kind kind, Task effect, Task task) {
  if (world_ == nullptr) {
    if (effect != nullptr) effect();
    return on.Post(std::move(task));
  }
  const Duration at = world_->Now() + DrawTime(kind);
  if (effect != nullptr) world_->Schedule(at, std::move(effect));
  SimExecutor::Of(on).PostAt(at, std::move(task));
}

void SimDisk::Open(std::string path, OpenMode mode, Executor& on,
                   absl::AnyInvocable<void(StatusOr<std::unique_ptr<File>>)> done) {
  Complete(
      on, Kind::kNames, nullptr,
      [done = std::move(done), file = Open(path, mode, 0600)]() mutable { done(std::move(file)); });
}

void SimDisk::Rename(std::string from, std::string to, Executor& on, DoneStatus done) {
  Complete(
      on, Kind::kNames, nullptr,
      [done = std::move(done), status = Rename(from, to)]() mutable { done(std::move(status)); });
}

void SimDisk::Remove(std::string path, Executor& on, DoneStatus done) {
  Complete(on, Kind::kNames, nullptr,
           [done = std::move(done), status = Remove(path)]() mutable { done(std::move(status)); });
}

void SimDisk::SyncDirectory(std::string path, Executor& on, DoneStatus done) {
  const std::string directory = CleanPath(path);
  Status status = Begin(Kind::kSync, "fsync directory " + path);
  if (status.ok() && !core_->names.IsDirectory(directory))
    status = NotFound(core_->names, "open directory " + path, directory);
  const uint64_t mark = status.ok() ? core_->names.LastChange(directory) : 0;
  Complete(
      on, Kind::kSync,
      [core = core_, life = core_->life, mark, lies = DirectoryLies(directory)] {
        if (core->life == life && !lies) core->names.Sync(mark);
      },
      [done = std::move(done), status]() mutable { done(std::move(status)); });
}

// --- names ---

StatusOr<std::unique_ptr<File>> SimDisk::Open(const std::string& path, OpenMode mode,
                                              uint32_t permissions) {
  const std::string what = "open " + path;
  const std::string clean = CleanPath(path);
  if (power_is_out_) return PowerIsGone(what);
  std::shared_ptr<SimInode> inode = core_->names.Find(clean);
  const bool existed = inode != nullptr;
  if (!existed && (mode == OpenMode::kRead || mode == OpenMode::kReadWrite))
    return NotFound(core_->names, what, clean);
  if (existed && mode == OpenMode::kCreate) return absl::AlreadyExistsError(what + ": file exists");
  if (existed && inode->is_directory()) return absl::DataLossError(what + ": is a directory");
  if (!existed) {
    if (!core_->names.IsDirectory(ParentPath(clean))) return NotFound(core_->names, what, clean);
    RETURN_IF_ERROR(Begin(Kind::kNames, what));
    inode = std::make_shared<SimInode>(permissions);
    core_->names.Add(clean, inode);
  }
  auto file = std::make_unique<SimFile>(*this, path, inode, mode != OpenMode::kRead);
  if (existed && mode == OpenMode::kCreateTrunc) RETURN_IF_ERROR(file->Resize(0));
  return std::unique_ptr<File>(std::move(file));
}

Status SimDisk::Rename(const std::string& from, const std::string& to) {
  const std::string what = "rename " + from + " to " + to;
  const std::string old_path = CleanPath(from), new_path = CleanPath(to);
  SimNames& names = core_->names;
  RETURN_IF_ERROR(Begin(Kind::kNames, what));
  for (const std::string& parent : {ParentPath(old_path), ParentPath(new_path)}) {
    if (!names.IsDirectory(parent)) return NotFound(names, what, parent);
  }
  const std::shared_ptr<SimInode> inode = names.Find(old_path);
  if (inode == nullptr) return NotFound(names, what, old_path);
  if (inode->is_directory() && IsBelow(new_path, old_path))
    return absl::DataLossError(what + ": invalid argument");
  if (IsBelow(old_path, new_path)) return absl::DataLossError(what + ": directory not empty");
  if (const std::shared_ptr<SimInode> other = names.Find(new_path);
      other != nullptr && other != inode) {
    if (!other->is_directory() && inode->is_directory())
      return absl::NotFoundError(what + ": not a directory");
    if (other->is_directory() && !inode->is_directory())
      return absl::DataLossError(what + ": is a directory");
    if (other->is_directory() && !names.IsEmpty(new_path))
      return absl::DataLossError(what + ": directory not empty");
  }
  names.Rename(old_path, new_path);
  return OkStatus();
}

Status SimDisk::Remove(const std::string& path) {
  const std::string what = "remove " + path;
  const std::string clean = CleanPath(path);
  RETURN_IF_ERROR(Begin(Kind::kNames, what));
  const std::shared_ptr<SimInode> inode = core_->names.Find(clean);
  if (inode == nullptr) return NotFound(core_->names, what, clean);
  if (inode->is_directory() && !core_->names.IsEmpty(clean))
    return absl::DataLossError(what + ": directory not empty");
  core_->names.Remove(clean);
  return OkStatus();
}

Status SimDisk::RemoveAll(const std::string& path) {
  if (power_is_out_) return PowerIsGone("remove " + path);
  const std::string clean = CleanPath(path);
  std::vector<std::string> doomed;
  for (const auto& [name, inode] : core_->names.seen()) {
    if (name == clean || IsBelow(name, clean)) doomed.push_back(name);
  }
  // What is below a directory sorts behind it and goes first.
  for (auto name = doomed.rbegin(); name != doomed.rend(); ++name) RETURN_IF_ERROR(Remove(*name));
  return OkStatus();
}

Status SimDisk::MakeDirectory(const std::string& path, uint32_t permissions) {
  const std::string what = "make directory " + path;
  const std::string clean = CleanPath(path);
  if (power_is_out_) return PowerIsGone(what);
  if (const std::shared_ptr<SimInode> inode = core_->names.Find(clean); inode != nullptr) {
    return inode->is_directory() ? OkStatus()
                                 : absl::AlreadyExistsError(path + " is not a directory");
  }
  if (!core_->names.IsDirectory(FirstThere(core_->names, clean)))
    return NotFound(core_->names, what, clean);
  RETURN_IF_ERROR(MakeDirectory(ParentPath(clean), permissions));
  RETURN_IF_ERROR(Begin(Kind::kNames, what));
  core_->names.Add(clean, std::make_shared<SimInode>(permissions, /*is_directory=*/true));
  return OkStatus();
}

Status SimDisk::SyncDirectory(const std::string& path) {
  const std::string directory = CleanPath(path);
  RETURN_IF_ERROR(Begin(Kind::kSync, "fsync directory " + path));
  if (!core_->names.IsDirectory(directory))
    return NotFound(core_->names, "open directory " + path, directory);
  if (!DirectoryLies(directory)) core_->names.Sync(core_->names.LastChange(directory));
  return OkStatus();
}

StatusOr<std::vector<std::string>> SimDisk::List(const std::string& path) {
  if (world_ != nullptr) world_->CheckMayWait("list " + path);
  if (power_is_out_) return PowerIsGone("list " + path);
  const std::string clean = CleanPath(path);
  if (!core_->names.IsDirectory(clean)) return NotFound(core_->names, "list " + path, clean);
  std::vector<std::string> out;
  for (const auto& [name, inode] : core_->names.seen()) {
    if (ParentPath(name) == clean) out.push_back(name.substr(name.find_last_of('/') + 1));
  }
  std::sort(out.begin(), out.end());
  return out;
}

StatusOr<FileInfo> SimDisk::Stat(const std::string& path) {
  if (world_ != nullptr) world_->CheckMayWait("stat " + path);
  if (power_is_out_) return PowerIsGone("stat " + path);
  const std::string clean = CleanPath(path);
  const std::shared_ptr<SimInode> inode = core_->names.Find(clean);
  if (inode == nullptr) return NotFound(core_->names, "stat " + path, clean);
  return FileInfo{inode->seen().size(), inode->is_directory(), inode->mode()};
}

StatusOr<std::unique_ptr<FileLock>> SimDisk::Lock(const std::string& path, bool exclusive) {
  if (world_ != nullptr) world_->CheckMayWait("lock " + path);
  if (power_is_out_) return PowerIsGone("lock " + path);
  const std::string clean = CleanPath(path);
  const std::shared_ptr<SimInode> inode = core_->names.Find(clean);
  if (inode == nullptr) return NotFound(core_->names, "open " + path, clean);
  if (auto held = locks_.find(inode.get());
      held != locks_.end() && (exclusive || held->second.exclusive))
    return absl::FailedPreconditionError("cannot lock " + path + ": another process uses it");
  return std::unique_ptr<FileLock>(new SimLock(*this, inode, exclusive));
}

}  // namespace quoin::env

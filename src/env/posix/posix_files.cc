#include "env/posix/posix_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "env/posix/posix_address.h"

namespace quoin::env {
namespace {

Status ErrnoStatus(const std::string& what, int error) {
  const std::string text = what + ": " + ErrnoText(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(text);
    case EEXIST:
      return absl::AlreadyExistsError(text);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(text);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::DataLossError(text);
  }
}

// Calls `call` until no signal interrupts it: some file systems let one interrupt any call.
template <typename F>
auto AgainOnSignal(F call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

std::string At(const std::string& path, uint64_t offset) {
  return path + " at offset " + std::to_string(offset);
}

void PostStatus(Executor& on, DoneStatus done, Status status) {
  on.Post(
      [done = std::move(done), status = std::move(status)]() mutable { done(std::move(status)); });
}

class PosixFile final : public File, public BlockingFile {
 public:
  PosixFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~PosixFile() override { close(fd_); }

  void Read(uint64_t offset, std::span<char> into, Executor& on, DoneStatus done) override {
    StatusOr<size_t> got = Read(offset, into);
    Status status = got.status();
    if (got.ok() && *got < into.size())
      status = absl::OutOfRangeError(At(path_, offset) + ": the file ends before");
    PostStatus(on, std::move(done), std::move(status));
  }
  void Write(uint64_t offset, std::vector<std::string_view> pieces, Executor& on,
             DoneStatus done) override {
    PostStatus(on, std::move(done), WritePieces(offset, pieces));
  }
  void Sync(Executor& on, DoneStatus done) override { PostStatus(on, std::move(done), Sync()); }
  void Resize(uint64_t size, Executor& on, DoneStatus done) override {
    PostStatus(on, std::move(done), Resize(size));
  }
  BlockingFile& blocking() override { return *this; }
  const std::string& path() const override { return path_; }

  StatusOr<size_t> Read(uint64_t offset, std::span<char> into) override {
    size_t got = 0;
    while (got < into.size()) {
      const ssize_t n = AgainOnSignal([&] {
        return pread(fd_, into.data() + got, into.size() - got, static_cast<off_t>(offset + got));
      });
      if (n < 0) return ErrnoStatus("read " + At(path_, offset + got), errno);
      if (n == 0) break;
      got += static_cast<size_t>(n);
    }
    return got;
  }
  StatusOr<size_t> ReadNow(uint64_t offset, std::span<char> into) override {
    const iovec vector{into.data(), into.size()};
    const ssize_t n = AgainOnSignal(
        [&] { return preadv2(fd_, &vector, 1, static_cast<off_t>(offset), RWF_NOWAIT); });
    if (n == static_cast<ssize_t>(into.size())) return into.size();
    // Also what only a waiting read may judge: an error, the end of the file.
    return absl::UnavailableError(At(path_, offset) + " is not in the kernel's memory");
  }
  void StartWriteback(uint64_t offset, uint64_t bytes) override {
    // An error shows at the Sync that follows.
    (void)sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                          SYNC_FILE_RANGE_WRITE);
  }
  Status Write(uint64_t offset, std::string_view data) override {
    std::vector<std::string_view> pieces = {data};
    return WritePieces(offset, pieces);
  }
  Status Sync() override {
    const int result = AgainOnSignal([&] { return fdatasync(fd_); });
    return result == 0 ? OkStatus() : ErrnoStatus("fdatasync " + path_, errno);
  }
  Status Resize(uint64_t size) override {
    if (AgainOnSignal([&] { return ftruncate(fd_, static_cast<off_t>(size)); }) == 0)
      return OkStatus();
    return ErrnoStatus("resize " + path_ + " to " + std::to_string(size), errno);
  }
  Status Allocate(uint64_t size) override {
    int error;  // returned, not set
    do {
      error = posix_fallocate(fd_, 0, static_cast<off_t>(size));
    } while (error == EINTR);
    return error == 0
               ? OkStatus()
               : ErrnoStatus("allocate " + std::to_string(size) + " bytes for " + path_, error);
  }
  StatusOr<uint64_t> Size() override {
    struct stat info;
    if (fstat(fd_, &info) != 0) return ErrnoStatus("stat " + path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  Status WritePieces(uint64_t offset, const std::vector<std::string_view>& pieces) {
    std::vector<iovec> vectors;
    for (std::string_view piece : pieces) {
      if (!piece.empty()) vectors.push_back({const_cast<char*>(piece.data()), piece.size()});
    }
    size_t first = 0;
    while (first < vectors.size()) {
      const int count = static_cast<int>(std::min<size_t>(vectors.size() - first, IOV_MAX));
      const ssize_t n = AgainOnSignal(
          [&] { return pwritev(fd_, &vectors[first], count, static_cast<off_t>(offset)); });
      if (n < 0) return ErrnoStatus("write " + At(path_, offset), errno);
      if (n == 0)
        return absl::ResourceExhaustedError("write " + At(path_, offset) + ": nothing was taken");
      offset += static_cast<uint64_t>(n);
      auto left = static_cast<size_t>(n);
      while (first < vectors.size() && left >= vectors[first].iov_len)
        left -= vectors[first++].iov_len;
      if (left > 0) {
        vectors[first].iov_base = static_cast<char*>(vectors[first].iov_base) + left;
        vectors[first].iov_len -= left;
      }
    }
    return OkStatus();
  }

  const std::string path_;
  const int fd_;
};

class PosixLock final : public FileLock {
 public:
  explicit PosixLock(int fd) : fd_(fd) {}
  ~PosixLock() override { close(fd_); }

 private:
  const int fd_;
};

int Flags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY;
    case OpenMode::kReadWrite:
      return O_RDWR;
    case OpenMode::kCreate:
      return O_RDWR | O_CREAT | O_EXCL;
    case OpenMode::kCreateTrunc:
      return O_RDWR | O_CREAT | O_TRUNC;
  }
  return O_RDONLY;
}

}  // namespace

void PosixFileSystem::Open(std::string path, OpenMode mode, Executor& on,
                           absl::AnyInvocable<void(StatusOr<std::unique_ptr<File>>)> done) {
  on.Post(
      [done = std::move(done), file = Open(path, mode, 0600)]() mutable { done(std::move(file)); });
}

void PosixFileSystem::Rename(std::string from, std::string to, Executor& on, DoneStatus done) {
  PostStatus(on, std::move(done), Rename(from, to));
}

void PosixFileSystem::Remove(std::string path, Executor& on, DoneStatus done) {
  PostStatus(on, std::move(done), Remove(path));
}

void PosixFileSystem::SyncDirectory(std::string path, Executor& on, DoneStatus done) {
  PostStatus(on, std::move(done), SyncDirectory(path));
}

StatusOr<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path, OpenMode mode,
                                                      uint32_t permissions) {
  const int fd =
      AgainOnSignal([&] { return open(path.c_str(), Flags(mode) | O_CLOEXEC, permissions); });
  if (fd < 0) return ErrnoStatus("open " + path, errno);
  return std::unique_ptr<File>(new PosixFile(path, fd));
}

Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return OkStatus();
  return ErrnoStatus("rename " + from + " to " + to, errno);
}

Status PosixFileSystem::Remove(const std::string& path) {
  return remove(path.c_str()) == 0 ? OkStatus() : ErrnoStatus("remove " + path, errno);
}

Status PosixFileSystem::RemoveAll(const std::string& path) {
  StatusOr<FileInfo> info = Stat(path);
  if (absl::IsNotFound(info.status())) return OkStatus();
  RETURN_IF_ERROR(info.status());
  if (info->is_directory) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, List(path));
    for (const std::string& name : names) RETURN_IF_ERROR(RemoveAll(path + "/" + name));
  }
  return Remove(path);
}

Status PosixFileSystem::MakeDirectory(const std::string& path, uint32_t permissions) {
  if (path.empty() || mkdir(path.c_str(), permissions) == 0) return OkStatus();
  if (errno == EEXIST) {
    StatusOr<FileInfo> info = Stat(path);
    RETURN_IF_ERROR(info.status());
    return info->is_directory ? OkStatus() : absl::AlreadyExistsError(path + " is not a directory");
  }
  if (errno != ENOENT) return ErrnoStatus("make directory " + path, errno);
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos || slash == 0)
    return ErrnoStatus("make directory " + path, ENOENT);
  RETURN_IF_ERROR(MakeDirectory(path.substr(0, slash), permissions));
  return mkdir(path.c_str(), permissions) == 0 || errno == EEXIST
             ? OkStatus()
             : ErrnoStatus("make directory " + path, errno);
}

Status PosixFileSystem::SyncDirectory(const std::string& path) {
  const int fd = AgainOnSignal(
      [&] { return open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return ErrnoStatus("open directory " + path, errno);
  const int result = AgainOnSignal([&] { return fsync(fd); });
  const int error = errno;
  close(fd);
  return result == 0 ? OkStatus() : ErrnoStatus("fsync directory " + path, error);
}

StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& path) {
  DIR* directory;
  do {
    directory = opendir(path.c_str());
  } while (directory == nullptr && errno == EINTR);
  if (directory == nullptr) return ErrnoStatus("list " + path, errno);
  std::vector<std::string> names;
  errno = 0;  // readdir says the end and an error alike; only an error sets it
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  closedir(directory);
  if (error != 0) return ErrnoStatus("list " + path, error);
  std::sort(names.begin(), names.end());
  return names;
}

StatusOr<FileInfo> PosixFileSystem::Stat(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus("stat " + path, errno);
  return FileInfo{static_cast<uint64_t>(info.st_size), S_ISDIR(info.st_mode), info.st_mode & 07777};
}

StatusOr<std::unique_ptr<FileLock>> PosixFileSystem::Lock(const std::string& path, bool exclusive) {
  const int fd = AgainOnSignal([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (fd < 0) return ErrnoStatus("open " + path, errno);
  if (AgainOnSignal([&] { return flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB); }) == 0) {
    return std::unique_ptr<FileLock>(new PosixLock(fd));
  }
  const int error = errno;
  close(fd);
  if (error != EWOULDBLOCK) return ErrnoStatus("lock " + path, error);
  return absl::FailedPreconditionError("cannot lock " + path + ": another process uses it");
}

}  // namespace quoin::env

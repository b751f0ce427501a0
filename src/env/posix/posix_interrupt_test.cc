// System calls that a signal interrupts, and a listing that an error cuts short. This program's own
// definitions stand in front of the C library's, and fail when a test has asked for it.

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <filesystem>

#include "env/posix/posix_env.h"

namespace {

std::atomic<int> interrupted{0};  // calls that a signal still interrupts
std::atomic<int> names_left{-1};  // names that a listing still gives; -1: all

bool Interrupts() {
  if (interrupted.load() <= 0) return false;
  interrupted.fetch_sub(1);
  errno = EINTR;
  return true;
}

template <typename F>
F Real(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  static const auto real = Real<int (*)(const char*, int, mode_t)>("open");
  return Interrupts() ? -1 : real(path, flags, mode);
}

int ftruncate(int fd, off_t size) noexcept {
  static const auto real = Real<int (*)(int, off_t)>("ftruncate");
  return Interrupts() ? -1 : real(fd, size);
}

int posix_fallocate(int fd, off_t offset, off_t size) {
  static const auto real = Real<int (*)(int, off_t, off_t)>("posix_fallocate");
  return Interrupts() ? EINTR : real(fd, offset, size);
}

int fsync(int fd) {
  static const auto real = Real<int (*)(int)>("fsync");
  return Interrupts() ? -1 : real(fd);
}

int fdatasync(int fd) {
  static const auto real = Real<int (*)(int)>("fdatasync");
  return Interrupts() ? -1 : real(fd);
}

int flock(int fd, int operation) noexcept {
  static const auto real = Real<int (*)(int, int)>("flock");
  return Interrupts() ? -1 : real(fd, operation);
}

DIR* opendir(const char* path) {
  static const auto real = Real<DIR* (*)(const char*)>("opendir");
  return Interrupts() ? nullptr : real(path);
}

dirent* readdir(DIR* directory) {
  static const auto real = Real<dirent* (*)(DIR*)>("readdir");
  if (names_left.load() == 0) {
    errno = EIO;
    return nullptr;
  }
  if (names_left.load() > 0) names_left.fetch_sub(1);
  return real(directory);
}

}  // extern "C"

namespace quoin::env {
namespace {

class Interrupted : public testing::Test {
 protected:
  Interrupted() {
    std::string pattern = (std::filesystem::temp_directory_path() / "quoin-files-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
  }
  ~Interrupted() override {
    interrupted = 0;
    names_left = -1;
    std::filesystem::remove_all(dir_);
  }
  // `call` goes well although signals interrupt it, and did meet them.
  template <typename F>
  void ExpectGoesOn(F call, const char* what) {
    interrupted = 3;
    const Status status = call();
    EXPECT_TRUE(status.ok()) << what << ": " << status;
    EXPECT_EQ(interrupted.exchange(0), 0) << what;
  }

  std::unique_ptr<FileSystem> files_ = NewPosixFileSystem();
  BlockingFileSystem& fs_ = files_->blocking();
  std::string dir_;
};

TEST_F(Interrupted, EveryCallGoesOn) {
  std::unique_ptr<File> file;
  ExpectGoesOn(
      [&] {
        StatusOr<std::unique_ptr<File>> opened = fs_.Open(dir_ + "/f", OpenMode::kCreate);
        if (opened.ok()) file = *std::move(opened);
        return opened.status();
      },
      "open");
  ASSERT_NE(file, nullptr);
  ExpectGoesOn([&] { return file->blocking().Resize(4096); }, "resize");
  ExpectGoesOn([&] { return file->blocking().Allocate(8192); }, "allocate");
  ExpectGoesOn([&] { return file->blocking().Sync(); }, "sync");
  ExpectGoesOn([&] { return fs_.SyncDirectory(dir_); }, "sync a directory");
  ExpectGoesOn([&] { return fs_.List(dir_).status(); }, "list");
  ExpectGoesOn([&] { return fs_.Lock(dir_ + "/f", true).status(); }, "lock");
}

TEST_F(Interrupted, AListingThatAnErrorCutsShortIsAnError) {
  for (const char* name : {"a", "b", "c"})
    ASSERT_TRUE(fs_.Open(dir_ + "/" + name, OpenMode::kCreate).ok());
  ASSERT_EQ(fs_.List(dir_)->size(), 3u);
  for (int names = 0; names < 5; ++names) {
    names_left = names;
    EXPECT_FALSE(fs_.List(dir_).ok()) << names;
  }
  names_left = -1;
  EXPECT_EQ(fs_.List(dir_)->size(), 3u);
}

}  // namespace
}  // namespace quoin::env

#include "env/posix/posix_env.h"

#include <sys/random.h>

#include "base/check.h"
#include "env/posix/posix_executor.h"
#include "env/posix/posix_files.h"
#include "env/posix/posix_network.h"

namespace quoin::env {
namespace {

class PosixEnv final : public Env {
 public:
  Clock& clock() override { return clock_; }
  FileSystem& files() override { return files_; }
  Network& network() override { return network_; }
  uint64_t Random() override {
    uint64_t value;
    CHECK_EQ(getrandom(&value, sizeof value, 0), static_cast<ssize_t>(sizeof value));
    return value;
  }
  std::unique_ptr<Executor> NewExecutor(std::string_view name) override {
    return std::make_unique<PosixExecutor>(name);
  }

 private:
  PosixClock clock_;
  PosixFileSystem files_;
  PosixNetwork network_;
};

}  // namespace

std::unique_ptr<Env> NewPosixEnv() { return std::make_unique<PosixEnv>(); }
std::unique_ptr<FileSystem> NewPosixFileSystem() { return std::make_unique<PosixFileSystem>(); }

}  // namespace quoin::env

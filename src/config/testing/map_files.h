// MapFiles: files to read that are strings in a map. For tests of what reads a few small files.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "env/blocking.h"

namespace quoin::config {

// Thread: the test's. Everything but Open for reading answers Unimplemented.
class MapFiles final : public env::BlockingFileSystem {
 public:
  void Put(std::string path, std::string text) { files_[std::move(path)] = std::move(text); }

  StatusOr<std::unique_ptr<env::File>> Open(const std::string& path, env::OpenMode mode,
                                            uint32_t permissions) override;
  Status Rename(const std::string&, const std::string&) override { return Unimplemented(); }
  Status Remove(const std::string&) override { return Unimplemented(); }
  Status RemoveAll(const std::string&) override { return Unimplemented(); }
  Status MakeDirectory(const std::string&, uint32_t) override { return Unimplemented(); }
  Status SyncDirectory(const std::string&) override { return Unimplemented(); }
  StatusOr<std::vector<std::string>> List(const std::string&) override { return Unimplemented(); }
  StatusOr<env::FileInfo> Stat(const std::string&) override { return Unimplemented(); }
  StatusOr<std::unique_ptr<env::FileLock>> Lock(const std::string&, bool) override {
    return Unimplemented();
  }

 private:
  static Status Unimplemented() { return absl::UnimplementedError("read-only test files"); }

  std::map<std::string, std::string> files_;
};

}  // namespace quoin::config

#include "config/testing/map_files.h"

#include "base/check.h"

namespace quoin::config {
namespace {

class TextFile final : public env::File, private env::BlockingFile {
 public:
  TextFile(std::string path, std::string text) : path_(std::move(path)), text_(std::move(text)) {}

  env::BlockingFile& blocking() override { return *this; }
  const std::string& path() const override { return path_; }

 private:
  void Read(uint64_t, std::span<char>, env::Executor&, env::DoneStatus) override { CHECK(false); }
  void Write(uint64_t, std::vector<std::string_view>, env::Executor&, env::DoneStatus) override {
    CHECK(false);
  }
  void Sync(env::Executor&, env::DoneStatus) override { CHECK(false); }
  void Resize(uint64_t, env::Executor&, env::DoneStatus) override { CHECK(false); }

  StatusOr<size_t> Read(uint64_t offset, std::span<char> into) override {
    if (offset >= text_.size()) return size_t{0};
    return text_.copy(into.data(), into.size(), offset);
  }
  Status Write(uint64_t, std::string_view) override { return ReadOnly(); }
  Status Sync() override { return ReadOnly(); }
  Status Resize(uint64_t) override { return ReadOnly(); }
  Status Allocate(uint64_t) override { return ReadOnly(); }
  StatusOr<uint64_t> Size() override { return uint64_t{text_.size()}; }

  static Status ReadOnly() { return absl::PermissionDeniedError("read-only test file"); }

  const std::string path_;
  const std::string text_;
};

}  // namespace

StatusOr<std::unique_ptr<env::File>> MapFiles::Open(const std::string& path, env::OpenMode mode,
                                                    uint32_t) {
  auto found = files_.find(path);
  if (found == files_.end() || mode != env::OpenMode::kRead) return absl::NotFoundError(path);
  return std::make_unique<TextFile>(path, found->second);
}

}  // namespace quoin::config

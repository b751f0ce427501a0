#include "ctl/snapshot_file.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

constexpr size_t kDigestBytes = 32;
constexpr uint64_t kSectorBytes = 512;

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string Hex(std::string_view bytes) {
  std::string text;
  for (unsigned char c : bytes) text += fmt::format("{:02x}", c);
  return text;
}

}  // namespace

class SnapshotFile::Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    CHECK_EQ(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr), 1);
  }
  ~Sha256() { EVP_MD_CTX_free(context_); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(std::string_view bytes) {
    CHECK_EQ(EVP_DigestUpdate(context_, bytes.data(), bytes.size()), 1);
  }
  std::string Finish() {
    std::string digest(kDigestBytes, '\0');
    CHECK_EQ(EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(digest.data()), nullptr),
             1);
    return digest;
  }

 private:
  EVP_MD_CTX* context_;
};

SnapshotFile::SnapshotFile(env::FileSystem& files, std::string path)
    : files_(files.blocking()),
      path_(std::move(path)),
      part_path_(path_ + ".part"),
      hash_(std::make_unique<Sha256>()) {}

StatusOr<std::unique_ptr<SnapshotFile>> SnapshotFile::Create(env::FileSystem& files,
                                                             std::string path) {
  if (const auto there = files.blocking().Stat(path); there.ok() && there->is_directory)
    return absl::InvalidArgumentError(fmt::format("could not save to {} (is a directory)", path));
  std::unique_ptr<SnapshotFile> snapshot(new SnapshotFile(files, std::move(path)));
  StatusOr<std::unique_ptr<env::File>> file =
      snapshot->files_.Open(snapshot->part_path_, env::OpenMode::kCreateTrunc, 0600);
  if (!file.ok()) {
    return Status(file.status().code(), fmt::format("could not open {} ({})", snapshot->part_path_,
                                                    Message(file.status())));
  }
  snapshot->file_ = *std::move(file);
  return snapshot;
}

SnapshotFile::~SnapshotFile() {
  if (file_ == nullptr) return;
  file_.reset();
  (void)files_.Remove(
      part_path_);  // half a snapshot is of no use, and nobody waits for this answer
}

Status SnapshotFile::Append(std::string_view bytes) {
  RETURN_IF_ERROR(file_->blocking().Write(size_, bytes));
  size_ += bytes.size();
  tail_.append(bytes);
  if (tail_.size() > kDigestBytes) {
    const size_t settled = tail_.size() - kDigestBytes;
    hash_->Update(std::string_view(tail_).substr(0, settled));
    tail_.erase(0, settled);
  }
  return OkStatus();
}

Status SnapshotFile::CheckDigest() {
  if (size_ % kSectorBytes != kDigestBytes) {
    return absl::DataLossError(fmt::format("sha256 checksum not found [bytes: {}]", size_));
  }
  const std::string digest = hash_->Finish();
  if (digest == tail_) return OkStatus();
  return absl::DataLossError(
      fmt::format("expected sha256 [{}], got [{}]", Hex(tail_), Hex(digest)));
}

Status SnapshotFile::Commit() {
  RETURN_IF_ERROR(CheckDigest());
  RETURN_IF_ERROR(file_->blocking().Sync());
  if (Status status = files_.Rename(part_path_, path_); !status.ok()) {
    return Status(status.code(), fmt::format("could not rename {} to {} ({})", part_path_, path_,
                                             Message(status)));
  }
  file_.reset();
  return files_.SyncDirectory(DirectoryOf(path_));
}

}  // namespace quoin::ctl

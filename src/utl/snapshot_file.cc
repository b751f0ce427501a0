#include "utl/snapshot_file.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "btree/tree.h"
#include "utl/data_file.h"

namespace quoin::utl {
namespace {

constexpr size_t kDigestBytes = 32;
constexpr size_t kReadBytes = 1 << 20;

bool HasDigest(uint64_t size) { return size % 512 == kDigestBytes; }

StatusOr<std::string> DigestOf(env::BlockingFile& file, uint64_t bytes) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  CHECK_EQ(EVP_DigestInit_ex(context, EVP_sha256(), nullptr), 1);
  std::string buffer(kReadBytes, '\0');
  Status status;
  for (uint64_t at = 0; at < bytes && status.ok();) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(kReadBytes, bytes - at));
    const StatusOr<size_t> got = file.Read(at, std::span<char>(buffer.data(), wanted));
    status = got.status();
    if (status.ok()) EVP_DigestUpdate(context, buffer.data(), *got);
    at += wanted;
  }
  std::string digest(kDigestBytes, '\0');
  EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(digest.data()), nullptr);
  EVP_MD_CTX_free(context);
  RETURN_IF_ERROR(status);
  return digest;
}

// [0 255 …]: bytes as Go prints them.
std::string ByteList(std::string_view bytes) {
  std::string out;
  for (const unsigned char c : bytes) out += fmt::format("{}{}", out.empty() ? "" : " ", c);
  return "[" + out + "]";
}

Status Invalid(const std::string& path, std::string_view reason) {
  return absl::DataLossError(fmt::format("invalid database: {}: {}", path, reason));
}

// Without the path in front, which errors of the tree begin with.
std::string_view WithoutPath(std::string_view text, const std::string& path) {
  if (text.starts_with(path + ": ")) text.remove_prefix(path.size() + 2);
  return text;
}

}  // namespace

StatusOr<uint64_t> LengthWithoutDigest(env::BlockingFileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(const env::FileInfo info, files.Stat(path));
  return HasDigest(info.size) ? info.size - kDigestBytes : info.size;
}

StatusOr<uint64_t> CheckDigest(env::BlockingFileSystem& files, const std::string& path,
                               bool required) {
  ASSIGN_OR_RETURN(const std::unique_ptr<env::File> file, files.Open(path, env::OpenMode::kRead));
  ASSIGN_OR_RETURN(const uint64_t size, file->blocking().Size());
  if (!HasDigest(size)) {
    if (required)
      return absl::InvalidArgumentError("snapshot missing hash but --skip-hash-check=false");
    return size;
  }
  const uint64_t content = size - kDigestBytes;
  ASSIGN_OR_RETURN(const std::string digest, DigestOf(file->blocking(), content));
  std::string stored(kDigestBytes, '\0');
  RETURN_IF_ERROR(file->blocking().Read(content, stored).status());
  if (digest != stored) {
    return absl::DataLossError(
        fmt::format("expected sha256 {}, got {}", ByteList(stored), ByteList(digest)));
  }
  return content;
}

StatusOr<uint64_t> CheckDatabase(env::BlockingFileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(const env::FileInfo info, files.Stat(path));
  if (info.is_directory) return Invalid(path, "is a directory");
  if (info.size == 0) return Invalid(path, "the file is empty");
  ASSIGN_OR_RETURN(const bool has_meta, btree::Tree::IsDataFile(files, path));
  if (!has_meta) return Invalid(path, "no valid meta page: not a database file");
  if (const btree::CheckReport report = btree::CheckFile(files, path); !report.problems.empty())
    return Invalid(path, WithoutPath(report.problems.front(), path));
  ASSIGN_OR_RETURN(DataFile file, DataFile::Open(files, path));
  std::set<std::string, std::less<>> buckets;
  PageCounts counts;
  RETURN_IF_ERROR(file.VisitBuckets(counts, [&](std::string_view name, std::string_view) {
    buckets.emplace(name);
    return OkStatus();
  }));
  for (const std::string_view name : {"key", "meta"}) {
    if (!buckets.contains(name))
      return Invalid(path, fmt::format("no bucket {}: another program's database", name));
  }
  return file.newest().high_water * file.newest().page_size;
}

}  // namespace quoin::utl

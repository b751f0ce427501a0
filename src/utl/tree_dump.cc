#include "utl/tree_dump.h"

#include <fmt/format.h>

#include <vector>

#include "base/wire.h"
#include "btree/tree.h"
#include "mvcc/store.h"
#include "proto/auth.pb.h"
#include "utl/data_file.h"
#include "utl/text.h"

namespace quoin::utl {
namespace {

using Print = absl::FunctionRef<void(std::string_view)>;

uint64_t BigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string DescribeRevision(std::string_view key, std::string_view value) {
  const std::optional<mvcc::ParsedRevisionKey> parsed = mvcc::ParseRevisionKey(key);
  mvcc::KeyValue kv;
  if (!parsed || !mvcc::DecodeRecord(value, kv))
    return "malformed " + Quoted(key) + ": " + Quoted(value);
  const std::string at = fmt::format("{}.{}", parsed->at.main, parsed->at.sub);
  if (parsed->tombstone) return fmt::format("{} delete {}", at, Quoted(kv.key));
  return fmt::format("{} put {} = {}, created {}, modified {}, version {}, lease {:x}", at,
                     Quoted(kv.key), Quoted(kv.value), kv.create_revision, kv.mod_revision,
                     kv.version, static_cast<uint64_t>(kv.lease));
}

std::string DescribeLease(std::string_view key, std::string_view value) {
  int64_t ttl = 0, remaining = 0;
  wire::Reader reader(value);
  for (wire::Field field; reader.Next(field);) {
    if (field.number == 2) ttl = field.int64();
    if (field.number == 3) remaining = field.int64();
  }
  return fmt::format("{:x} TTL {}, remaining {}", BigEndian(key), ttl, remaining);
}

std::string DescribeUser(std::string_view key, std::string_view value) {
  authpb::User user;
  if (!user.ParseFromArray(value.data(), static_cast<int>(value.size())))
    return Quoted(key) + " malformed";
  return fmt::format("{}{}, roles {}", Quoted(key), user.password().empty() ? ", no password" : "",
                     fmt::join(user.roles(), " "));
}

std::string DescribeRole(std::string_view key, std::string_view value) {
  authpb::Role role;
  if (!role.ParseFromArray(value.data(), static_cast<int>(value.size())))
    return Quoted(key) + " malformed";
  std::string out = Quoted(key);
  for (const authpb::Permission& permission : role.keypermission()) {
    out += fmt::format(", {} {}", authpb::Permission::Type_Name(permission.permtype()),
                       Quoted(permission.key()));
    if (!permission.range_end().empty()) out += " to " + Quoted(permission.range_end());
  }
  return out;
}

std::string DescribeMeta(std::string_view key, std::string_view value) {
  if ((key == "consistent_index" || key == "term") && value.size() == 8)
    return fmt::format("{} {}", key, BigEndian(value));
  if (key == "scheduledCompactRev" || key == "finishedCompactRev") {
    if (const auto parsed = mvcc::ParseRevisionKey(value))
      return fmt::format("{} {}.{}", key, parsed->at.main, parsed->at.sub);
  }
  return fmt::format("{} {}", key, Quoted(value));
}

std::string DescribePair(std::string_view bucket, std::string_view key, std::string_view value) {
  if (bucket == "key") return DescribeRevision(key, value);
  if (bucket == "meta") return DescribeMeta(key, value);
  if (bucket == "lease") return DescribeLease(key, value);
  if (bucket == "authUsers") return DescribeUser(key, value);
  if (bucket == "authRoles") return DescribeRole(key, value);
  if (bucket == "auth" && key == "authRevision") return fmt::format("{} {}", key, BigEndian(value));
  // Whole: members' rows are longer than others.
  if (bucket == "members") return fmt::format("{} {}", key, value);
  return Quoted(key) + (value.empty() ? "" : " = " + Quoted(value));
}

void PrintMeta(const DataFile& file, size_t i, Print print) {
  const std::optional<btree::Meta>& meta = file.meta(i);
  if (!meta) return print(fmt::format("meta {}: not valid", i));
  print(fmt::format("meta {}: transaction {}, root page {}, {} pages to the high-water mark{}", i,
                    meta->txid, meta->root, meta->high_water,
                    i == file.newest_page() ? ", the newest" : ""));
}

struct Bucket {
  std::string name, value;
  uint64_t pairs = 0, pair_bytes = 0;
  PageCounts pages;
};

void PrintPages(const DataFile& file, const PageCounts& all, Print print) {
  const uint64_t used = all.branches + all.leaves + all.overflow;
  const uint64_t page_size = file.newest().page_size;
  print(
      fmt::format("pages of {} bytes: 2 meta, {} branch, {} leaf, {} overflow, {} free; {} % of "
                  "branches and leaves is filled",
                  page_size, all.branches, all.leaves, all.overflow,
                  file.newest().high_water - used - 2, all.used_bytes * 100 / (used * page_size)));
}

void PrintBucket(const Bucket& bucket, Print print) {
  print(fmt::format(
      "bucket {}: {} pairs of {} bytes, {}", bucket.name, bucket.pairs, bucket.pair_bytes,
      bucket.pages.depth == 0
          ? "within the root"
          : fmt::format("{} branch, {} leaf, {} overflow pages, depth {}", bucket.pages.branches,
                        bucket.pages.leaves, bucket.pages.overflow, bucket.pages.depth)));
}

}  // namespace

Status DumpTree(env::BlockingFileSystem& files, const std::string& path, Print print) {
  const btree::CheckReport report = btree::CheckFile(files, path);
  if (!report.problems.empty()) return absl::DataLossError(report.problems.front());
  ASSIGN_OR_RETURN(DataFile file, DataFile::Open(files, path));
  std::vector<Bucket> buckets;
  PageCounts all;
  RETURN_IF_ERROR(file.VisitBuckets(all, [&](std::string_view name, std::string_view value) {
    buckets.push_back({std::string(name), std::string(value), 0, 0, {}});
    return OkStatus();
  }));
  for (Bucket& bucket : buckets) {
    RETURN_IF_ERROR(file.VisitPairs(bucket.value, bucket.pages,
                                    [&](std::string_view key, std::string_view value) {
                                      ++bucket.pairs;
                                      bucket.pair_bytes += key.size() + value.size();
                                      return OkStatus();
                                    }));
    all.branches += bucket.pages.branches;
    all.leaves += bucket.pages.leaves;
    all.overflow += bucket.pages.overflow;
    all.used_bytes += bucket.pages.used_bytes;
  }
  print(fmt::format("{}: {} bytes", path, file.file_bytes()));
  for (const size_t i : {0, 1}) PrintMeta(file, i, print);
  PrintPages(file, all, print);
  for (const Bucket& bucket : buckets) {
    PrintBucket(bucket, print);
    PageCounts again;
    RETURN_IF_ERROR(
        file.VisitPairs(bucket.value, again, [&](std::string_view key, std::string_view value) {
          print("  " + DescribePair(bucket.name, key, value));
          return OkStatus();
        }));
  }
  return OkStatus();
}

}  // namespace quoin::utl

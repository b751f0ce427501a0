#include "utl/migrate.h"

#include <fmt/format.h>

#include <algorithm>

#include "btree/tree.h"
#include "proto/raft_internal.pb.h"
#include "state/command.h"
#include "utl/snapshot_file.h"
#include "wal/wal.h"

namespace quoin::utl {
namespace {

constexpr Version kOldest{3, 5, 0}, kFirstThatNamesIt{3, 6, 0}, kNewest{3, 7, 0};

std::string Short(const Version& version) {
  return fmt::format("{}.{}", version.major, version.minor);
}

// What the file says, or the one version that says nothing and keeps a term.
StatusOr<Version> CurrentVersion(btree::Writer& meta) {
  ASSIGN_OR_RETURN(const auto stored, meta.Get("meta", "storageVersion"));
  if (stored) {
    const std::optional<Version> version = ParseVersion(*stored);
    if (!version) return absl::DataLossError(fmt::format("storage version \"{}\"", *stored));
    return *version;
  }
  for (const auto& [key, what] : {std::pair("term", "term"), std::pair("confState", "confstate")}) {
    ASSIGN_OR_RETURN(const auto value, meta.Get("meta", key));
    if (!value) {
      return absl::FailedPreconditionError(
          fmt::format("cannot detect storage schema version: missing {} information", what));
    }
  }
  return kOldest;
}

// The oldest version that knows every entry. Only etcd's own test entry says more than the oldest
// that is supported: all other operations are known to 3.5.
StatusOr<Version> VersionOfLog(env::BlockingFileSystem& files, const std::string& dir) {
  NullLogger quiet;
  ASSIGN_OR_RETURN(const wal::Recovered log,
                   wal::Recover(files, dir, wal::ReadMode::kReadOnly, Index(), quiet));
  Version needed = kOldest;
  for (const raft::Entry& entry : log.entries) {
    if (entry.type != raft::EntryType::kNormal || entry.data.empty()) continue;
    etcdserverpb::InternalRaftRequest request;
    if (!state::ParseDeep(entry.data, request) || !request.has_downgrade_version_test()) continue;
    const std::optional<Version> version = ParseVersion(request.downgrade_version_test().ver());
    if (version) needed = std::max(needed, *version);
  }
  return needed;
}

Status CheckTarget(const Version& target, const Version& log) {
  if (target > kNewest) {
    return absl::FailedPreconditionError(
        fmt::format("version \"{}\" is not supported", target.text()));
  }
  if (target >= log) return OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "cannot downgrade storage, WAL contains newer entries, as the target version ({}) "
      "is lower than the version ({}) detected from WAL logs",
      target.text(), log.text()));
}

}  // namespace

StatusOr<Version> ParseTarget(std::string_view text) {
  if (std::count(text.begin(), text.end(), '.') != 1) {
    return absl::InvalidArgumentError(
        fmt::format("wrong target version format, expected \"X.Y\", got \"{}\"", text));
  }
  const std::optional<Version> version = ParseVersion(text);
  if (!version)
    return absl::InvalidArgumentError(fmt::format("failed to parse target version: {}.0", text));
  if (*version < kOldest) {
    return absl::InvalidArgumentError(
        fmt::format("target version \"{}\" not supported. Minimal \"3.5\"", Short(*version)));
  }
  return *version;
}

Status Migrate(env::BlockingFileSystem& files, const std::string& data_dir, const Version& target,
               Force force, Logger& log) {
  const std::string path = data_dir + "/member/snap/db";
  RETURN_IF_ERROR(CheckDatabase(files, path).status());
  ASSIGN_OR_RETURN(const Version needed, VersionOfLog(files, data_dir + "/member/wal"));
  ASSIGN_OR_RETURN(const std::unique_ptr<btree::Tree> tree, btree::Tree::Open(files, path, {}));
  btree::Writer& writer = tree->writer();
  ASSIGN_OR_RETURN(const Version current, CurrentVersion(writer));
  if (current.Minor() == target) {
    log.Info("storage version up-to-date", {{"storage-version", Short(current)}});
    return OkStatus();
  }
  if (const Status fits = CheckTarget(target, needed); !fits.ok()) {
    if (force == Force::kNo) return fits;
    log.Warn("the version does not fit, and is set by force",
             {{"reason", std::string(fits.message())}});
  }
  if (target < kFirstThatNamesIt) {
    RETURN_IF_ERROR(writer.Delete("meta", "storageVersion"));
  } else {
    RETURN_IF_ERROR(writer.Put("meta", "storageVersion", target.text()));
  }
  writer.Publish();
  RETURN_IF_ERROR(tree->CheckpointNow());
  log.Info("updated storage version", {{"new-storage-version", target.text()}});
  return OkStatus();
}

}  // namespace quoin::utl

// defrag, migrate, repair, snapshot restore: they make or change directories.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "cli/go_text.h"
#include "cli/strings.h"
#include "config/initial_cluster.h"
#include "utl/defragment.h"
#include "utl/invocation.h"
#include "utl/migrate.h"
#include "utl/repair.h"
#include "utl/restore.h"
#include "utl/text.h"

namespace quoin::utl {
namespace {

// The names and URLs of the new cluster, as a server would check them.
Status TakeCluster(Invocation& invocation, RestoreOptions& options) {
  const cli::Flags& flags = invocation.flags();
  config::Config own;
  own.name = options.name;
  ASSIGN_OR_RETURN(own.initial_advertise_peer_urls,
                   config::ParseUrls(flags.String("initial-advertise-peer-urls")));
  const StatusOr<config::InitialCluster> cluster =
      config::ParseInitialCluster(flags.String("initial-cluster"));
  if (!cluster.ok()) {
    std::string_view text = cli::Message(cluster.status());
    constexpr std::string_view kPrefix = "error setting up initial cluster: ";
    if (text.starts_with(kPrefix)) text.remove_prefix(kPrefix.size());
    return absl::InvalidArgumentError(std::string(text));
  }
  RETURN_IF_ERROR(config::CheckBootstrap(own, *cluster));
  for (const auto& [name, urls] : *cluster) options.initial_cluster[name] = config::UrlTexts(urls);
  return OkStatus();
}

StatusOr<RestoreOptions> OptionsOf(Invocation& invocation) {
  const cli::Flags& flags = invocation.flags();
  RestoreOptions options;
  options.snapshot = invocation.arguments()[0];
  options.name = flags.String("name");
  options.data_dir = flags.String("data-dir");
  if (options.data_dir.empty()) options.data_dir = options.name + ".etcd";
  options.wal_dir = flags.String("wal-dir");
  options.cluster_token = flags.String("initial-cluster-token");
  options.skip_hash_check = flags.Bool("skip-hash-check");
  options.bump_revision = static_cast<uint64_t>(flags.Int("bump-revision"));
  options.mark_compacted = flags.Bool("mark-compacted");
  RETURN_IF_ERROR(TakeCluster(invocation, options));
  return options;
}

}  // namespace

ExitCode RunSnapshotRestore(Invocation& invocation) {
  if (invocation.arguments().size() != 1) {
    return invocation.Fail(ExitCode::kBadArguments,
                           "snapshot restore requires exactly one argument");
  }
  const int64_t bump = invocation.flags().Int("bump-revision");
  if (bump < 0) return invocation.Fail(ExitCode::kBadArguments, "--bump-revision is below zero");
  if ((bump > 0) != invocation.flags().Bool("mark-compacted")) {
    return invocation.Fail(ExitCode::kBadArguments,
                           "--mark-compacted required if --revision-bump > 0");
  }
  const StatusOr<RestoreOptions> options = OptionsOf(invocation);
  if (!options.ok()) return invocation.Fail(options.status());
  const auto say = [&](std::string_view what) {
    invocation.log().Info(
        what, {{"path", options->snapshot},
               {"data-dir", options->data_dir},
               {"wal-dir",
                options->wal_dir.empty() ? options->data_dir + "/member/wal" : options->wal_dir}});
  };
  say("restoring snapshot");
  NullLogger quiet;
  const Status status = Restore(invocation.env(), *options, quiet);
  if (!status.ok()) return invocation.Fail(status);
  say("restored snapshot");
  return ExitCode::kOk;
}

ExitCode RunDefrag(Invocation& invocation) {
  constexpr std::string_view kNeeded[] = {"data-dir"};
  if (!invocation.HasFlags(kNeeded)) return ExitCode::kError;
  const std::string& data_dir = invocation.flags().String("data-dir");
  const env::Duration started = invocation.env().clock().Now();
  const StatusOr<Defragmented> done = [&]() -> StatusOr<Defragmented> {
    const std::string path = data_dir + "/member/snap/db";
    if (!invocation.files().Exists(path))
      return absl::NotFoundError("cannot open database at " + path + ": no such file");
    ASSIGN_OR_RETURN(const auto lock, invocation.Lock(path, /*exclusive=*/true));
    return Defragment(invocation.files(), data_dir);
  }();
  if (!done.ok()) {
    return invocation.Fail(ExitCode::kError, fmt::format("Failed to defragment etcd data[{}] ({})",
                                                         data_dir, cli::Message(done.status())));
  }
  // The words for which scripts wait, on a run that changed nothing too.
  invocation.log().Info(
      "finished defragmenting directory",
      {{"path", data_dir + "/member/snap/db"},
       {"current-db-size-bytes-diff",
        static_cast<int64_t>(done->bytes_after) - static_cast<int64_t>(done->bytes_before)},
       {"current-db-size-bytes", done->bytes_after},
       {"current-db-size", HumanBytes(done->bytes_after)},
       {"took", cli::FormatDuration(invocation.env().clock().Now() - started)}});
  return ExitCode::kOk;
}

ExitCode RunMigrate(Invocation& invocation) {
  constexpr std::string_view kNeeded[] = {"data-dir", "target-version"};
  if (!invocation.HasFlags(kNeeded)) return ExitCode::kError;
  const StatusOr<Version> target = ParseTarget(invocation.flags().String("target-version"));
  if (!target.ok()) return invocation.Fail(ExitCode::kBadArguments, cli::Message(target.status()));
  const std::string& data_dir = invocation.flags().String("data-dir");
  const Status status = [&] {
    const std::string path = data_dir + "/member/snap/db";
    ASSIGN_OR_RETURN(const auto lock, invocation.Lock(path, /*exclusive=*/true));
    return Migrate(invocation.files(), data_dir, *target,
                   invocation.flags().Bool("force") ? Force::kYes : Force::kNo, invocation.log());
  }();
  return status.ok() ? ExitCode::kOk : invocation.Fail(status);
}

ExitCode RunRepair(Invocation& invocation) {
  constexpr std::string_view kNeeded[] = {"data-dir"};
  if (!invocation.HasFlags(kNeeded)) return ExitCode::kError;
  const std::string& data_dir = invocation.flags().String("data-dir");
  std::string wal_dir = invocation.flags().String("wal-dir");
  if (wal_dir.empty()) wal_dir = data_dir + "/member/wal";
  const bool cut = invocation.flags().Bool("cut");
  const StatusOr<RepairPlan> repair = [&]() -> StatusOr<RepairPlan> {
    std::unique_ptr<env::FileLock> lock;  // the data file stands for the directory
    const std::string path = data_dir + "/member/snap/db";
    if (invocation.files().Exists(path)) {
      ASSIGN_OR_RETURN(lock, invocation.Lock(path, /*exclusive=*/true));
    }
    ASSIGN_OR_RETURN(RepairPlan found, PlanRepair(invocation.files(), data_dir, wal_dir));
    if (cut) RETURN_IF_ERROR(CarryOut(invocation.env(), found, invocation.log()));
    return found;
  }();
  if (!repair.ok()) return invocation.Fail(repair.status());
  invocation.out() << Describe(*repair, cut ? Tense::kDone : Tense::kWouldBe);
  const bool stays = repair->way != RepairPlan::Way::kNone && !cut;
  return stays ? ExitCode::kError : ExitCode::kOk;
}

}  // namespace quoin::utl

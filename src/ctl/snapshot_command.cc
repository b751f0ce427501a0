// snapshot save.
#include <fmt/format.h>

#include <optional>
#include <ostream>

#include "client/error_text.h"
#include "ctl/families.h"
#include "ctl/snapshot_file.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

// A line that is drawn over itself on a terminal.
class Progress {
 public:
  Progress(World& world) : world_(world), enabled_(world.console.err_is_terminal) {}
  ~Progress() {
    if (shown_) world_.console.err << "\r\x1b[K" << std::flush;
  }

  void Show(uint64_t received, uint64_t remaining) {
    const env::Duration now = world_.env.clock().Now();
    if (!enabled_ || (shown_ && now - last_ < std::chrono::milliseconds(100))) return;
    const uint64_t total = received + remaining;
    world_.console.err << fmt::format("\r\x1b[K{} of {} ({}%)", HumanBytes(received),
                                      HumanBytes(total), total == 0 ? 100 : received * 100 / total)
                       << std::flush;
    shown_ = true;
    last_ = now;
  }

 private:
  World& world_;
  const bool enabled_;
  bool shown_ = false;
  env::Duration last_{};
};

struct Saved {
  uint64_t bytes = 0;
  std::string version;  // the store's, when the server tells it
};

StatusOr<Saved> Fetch(Invocation& invocation, SnapshotFile& file) {
  std::optional<env::Duration> timeout;
  if (invocation.flags().Changed("command-timeout")) timeout = invocation.command_timeout();
  Progress progress(invocation.world());
  Saved saved;
  RETURN_IF_ERROR(invocation.client().ReadStream(
      client::kSnapshot, pb::SnapshotRequest(), timeout, [&](pb::SnapshotResponse part) -> Status {
        if (!part.version().empty()) saved.version = part.version();
        RETURN_IF_ERROR(file.Append(part.blob()));
        progress.Show(file.size(), part.remaining_bytes());
        return OkStatus();
      }));
  saved.bytes = file.size();
  RETURN_IF_ERROR(file.Commit());
  return saved;
}

StatusOr<Saved> Save(Invocation& invocation, const std::string& path) {
  const std::vector<std::string>& endpoints = invocation.endpoints();
  if (endpoints.size() != 1) {
    return absl::InvalidArgumentError(
        fmt::format("snapshot must be requested to one selected node, not multiple [{}]",
                    fmt::join(endpoints, " ")));
  }
  env::Clock& clock = invocation.world().env.clock();
  const env::Duration started = clock.Now();
  ASSIGN_OR_RETURN(const auto file, SnapshotFile::Create(invocation.world().env.files(), path));
  invocation.Log("info", "created temporary db file", {{"path", file->part_path()}});
  invocation.Log("info", "fetching snapshot", {{"endpoint", endpoints[0]}});
  ASSIGN_OR_RETURN(Saved saved, Fetch(invocation, *file));
  invocation.Log("info", "fetched snapshot",
                 {{"endpoint", endpoints[0]},
                  {"size", HumanBytes(saved.bytes)},
                  {"took", FormatDuration(clock.Now() - started)}});
  invocation.Log("info", "saved", {{"path", path}});
  return saved;
}

// Errors of the disk and of the snapshot itself have no gRPC code that a reader would want to see.
std::string SaveErrorText(const Status& status) {
  switch (status.code()) {
    case StatusCode::kUnavailable:
    case StatusCode::kUnknown:
    case StatusCode::kUnimplemented:
    case StatusCode::kDeadlineExceeded:
    case StatusCode::kCancelled:
      return client::ErrorText(status);
    default:
      return std::string(status.message());
  }
}

}  // namespace

ExitCode RunSnapshotSave(Invocation& invocation) {
  if (invocation.arguments().size() != 1) {
    return invocation.Fail(ExitCode::kBadArguments, "snapshot save expects one argument");
  }
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const std::string& path = invocation.arguments()[0];
  const StatusOr<Saved> saved = Save(invocation, path);
  if (!saved.ok()) return invocation.Fail(ExitCode::kInterrupted, SaveErrorText(saved.status()));
  invocation.out() << "Snapshot saved at " << path << '\n';
  if (!saved->version.empty()) invocation.out() << "Server version " << saved->version << '\n';
  return ExitCode::kOk;
}

}  // namespace quoin::ctl

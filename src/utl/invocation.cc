#include "utl/invocation.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <utility>

#include "base/release.h"
#include "cli/help.h"
#include "cli/pause.h"
#include "cli/program.h"
#include "cli/strings.h"
#include "utl/console_log.h"

namespace quoin::utl {
namespace {

constexpr std::string_view kFormats[] = {"simple", "fields", "json", "protobuf", "table"};
// A lock that another process holds gives no sign when it is free.
constexpr env::Duration kLockRetry = std::chrono::milliseconds(50);

}  // namespace

Invocation::Invocation(env::Env& env, Console& console, std::vector<const Command*> path,
                       cli::Flags flags, std::vector<std::string> arguments)
    : cli::Invocation(TheProgram(), console, std::move(path), std::move(flags),
                      std::move(arguments)),
      env_(env),
      log_(NewConsoleLog(env.clock(), console.err)) {}

ExitCode Invocation::Fail(const Status& status) {
  return Fail(ExitCode::kError, cli::Message(status));
}

bool Invocation::HasFlags(std::span<const std::string_view> names) {
  std::vector<std::string> missing;
  for (const std::string_view name : names) {
    if (!flags().Changed(name)) missing.push_back(fmt::format("\"{}\"", name));
  }
  if (missing.empty()) return true;
  Fail(ExitCode::kError, fmt::format("required flag(s) {} not set", fmt::join(missing, ", ")));
  err() << cli::HelpText(program(), path());
  return false;
}

bool Invocation::HasFormat() {
  if (std::find(std::begin(kFormats), std::end(kFormats), format()) != std::end(kFormats))
    return true;
  Fail(ExitCode::kBadFeature, "unsupported output format");
  return false;
}

ExitCode Invocation::UnsupportedFormat() {
  return Fail(ExitCode::kBadFeature, fmt::format("{} not supported as output format", format()));
}

StatusOr<std::unique_ptr<env::FileLock>> Invocation::Lock(const std::string& path, bool exclusive) {
  const env::Duration timeout = flags().Duration("timeout");
  const env::Duration started = env_.clock().Now();
  std::unique_ptr<env::Executor> loop;
  while (true) {
    StatusOr<std::unique_ptr<env::FileLock>> lock = files().Lock(path, exclusive);
    if (!absl::IsFailedPrecondition(lock.status())) return lock;
    const bool forever = timeout <= env::Duration::zero();
    const env::Duration left = timeout - (env_.clock().Now() - started);
    if (!forever && left <= env::Duration::zero()) {
      return absl::FailedPreconditionError(fmt::format("timeout: {}", cli::Message(lock.status())));
    }
    if (loop == nullptr) loop = env_.NewExecutor("lock");
    cli::Pause(*loop, forever ? kLockRetry : std::min(left, kLockRetry));
  }
}

ExitCode RunProgram(env::Env& env, Console& console, std::span<const std::string> arguments) {
  return cli::RunProgram(
      TheProgram(), console, arguments,
      [&](std::vector<const Command*> path, cli::Flags flags, std::vector<std::string> rest) {
        Invocation invocation(env, console, std::move(path), std::move(flags), std::move(rest));
        return invocation.command().run(invocation);
      });
}

ExitCode RunSnapshotSave(Invocation& invocation) {
  return invocation.Fail(ExitCode::kBadArguments,
                         "a running member gives its snapshot to `quoinctl snapshot save <file>`");
}

ExitCode RunVersion(Invocation& invocation) {
  invocation.out() << "etcdutl version: " << kEtcdVersion << "\nAPI version: " << kApiVersion
                   << "\nquoinutl version: " << kQuoinVersion << '\n';
  return ExitCode::kOk;
}

}  // namespace quoin::utl

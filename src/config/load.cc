// Load: command line, then environment, then either the config file or the rules for flags; and
// what the process is to say and do when one of them fails.
#include "base/check.h"
#include "config/command_line.h"
#include "config/config.h"
#include "config/config_file.h"
#include "config/draft.h"
#include "config/environment.h"
#include "config/go_values.h"
#include "config/help.h"
#include "config/text.h"
#include "config/validate.h"

namespace quoin::config {
namespace {

Loaded Leave(int code, std::string out, std::string err) {
  Loaded loaded;
  loaded.exit_code = code;
  loaded.out = std::move(out);
  loaded.err = std::move(err);
  return loaded;
}

// Ends with the draft's notices and one more; the log's settings are used when they were right.
Loaded LeaveWithNotice(Draft draft, Notice last) {
  Loaded loaded;
  loaded.exit_code = 1;
  loaded.notices = std::move(draft.notices);
  loaded.notices.push_back(std::move(last));
  loaded.config.logging = draft.config.logging;
  return loaded;
}

Notice Running(const std::vector<std::string>& arguments) {
  return {LogLevel::kInfo, "Running: ", {{"args", arguments}}};
}

Loaded FailedToVerify(Draft draft, const std::vector<std::string>& arguments,
                      const Status& status) {
  draft.notices.push_back(Running(arguments));
  Notice failed{LogLevel::kWarn, "failed to verify flags", {{"error", Message(status)}}};
  if (Message(status) == kAdvertiseUrlsMissing) {
    draft.notices.push_back(failed);
    failed.message = "advertise client URLs are not set";
  }
  return LeaveWithNotice(std::move(draft), std::move(failed));
}

// Validates and resolves what has been read.
Loaded Finish(Draft draft, const std::vector<std::string>& arguments,
              const Environment& environment, env::BlockingFileSystem& files) {
  if (Status status = Validate(draft); !status.ok())
    return FailedToVerify(std::move(draft), arguments, status);
  draft.notices.push_back(Running(arguments));
  Resolve(draft, files);
  draft.config.verify_all = Lookup(environment, "ETCD_VERIFY") == "all";
  if (Status status = ValidateLate(draft); !status.ok()) {
    return LeaveWithNotice(std::move(draft),
                           {LogLevel::kFatal, "discovery failed", {{"error", Message(status)}}});
  }
  Loaded loaded;
  loaded.config = std::move(draft.config);
  loaded.notices = std::move(draft.notices);
  return loaded;
}

// The log is set up before anything else is checked; its failures do not use the settings that they
// complain about.
std::optional<Loaded> FinishLogging(Draft& draft, const std::vector<std::string>& arguments) {
  Status status = ValidateLogging(draft);
  if (status.ok()) return std::nullopt;
  if (absl::IsAborted(status)) return Leave(2, "", Cat("panic: ", Message(status), "\n"));
  draft.config.logging = Logging();
  return FailedToVerify(std::move(draft), arguments, status);
}

Loaded LoadFile(const std::string& path, const std::vector<std::string>& arguments,
                const Environment& environment, env::BlockingFileSystem& files) {
  Draft draft;
  draft.config_file = path;
  StatusOr<std::string> text = ReadConfigFile(files, path);
  Status status = text.ok() ? ApplyConfigFile(*text, draft) : text.status();
  if (absl::IsAborted(status)) return Leave(1, "", Cat(Message(status), "\n"));
  if (!status.ok()) return FailedToVerify(Draft(), arguments, status);
  if (std::optional<Loaded> left = FinishLogging(draft, arguments)) return *std::move(left);
  draft.notices.push_back(
      {LogLevel::kInfo,
       "loaded server configuration, other configuration command line flags and environment "
       "variables will be ignored if provided",
       {{"path", path}}});
  return Finish(std::move(draft), arguments, environment, files);
}

}  // namespace

Loaded Load(const std::vector<std::string>& arguments, const Environment& environment,
            env::BlockingFileSystem& files) {
  CHECK(!arguments.empty());
  Draft draft;
  CommandLineResult parsed = ParseCommandLine({arguments.begin() + 1, arguments.end()}, draft);
  switch (parsed.end) {
    case CommandLineEnd::kHelp:
      return Leave(0, HelpText(), UsageText());
    case CommandLineEnd::kBad:
      return Leave(2, "", Cat(parsed.message, "\n", UsageText()));
    case CommandLineEnd::kLeftOver:
      return FailedToVerify(std::move(draft), arguments,
                            Invalid(Cat(Quote(parsed.message), " is not a valid flag")));
    case CommandLineEnd::kParsed:
      break;
  }
  if (draft.version) return Leave(0, VersionText(), "");
  std::string file = draft.config_file;
  if (file.empty()) file = std::string(Lookup(environment, "ETCD_CONFIG_FILE"));
  if (!file.empty()) return LoadFile(file, arguments, environment, files);

  Status status = ApplyEnvironment(environment, draft);
  if (absl::IsFailedPrecondition(status)) {
    return LeaveWithNotice(
        std::move(draft), {LogLevel::kFatal,
                           "conflicting environment variable is shadowed by corresponding "
                           "command-line flag (either unset environment variable or disable flag))",
                           {{"environment-variable", Message(status)}}});
  }
  if (!status.ok()) return FailedToVerify(std::move(draft), arguments, status);
  if (std::optional<Loaded> left = FinishLogging(draft, arguments)) return *std::move(left);
  return Finish(std::move(draft), arguments, environment, files);
}

}  // namespace quoin::config

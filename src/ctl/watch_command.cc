// watch: changes as they come, on the command line or as commands read from standard input.
#include <fmt/format.h>

#include <algorithm>
#include <istream>
#include <mutex>
#include <ostream>
#include <thread>

#include "client/requests.h"
#include "client/watcher.h"
#include "ctl/families.h"
#include "ctl/go_text.h"
#include "ctl/process.h"
#include "ctl/strings.h"
#include "ctl/txn_grammar.h"

namespace quoin::ctl {
namespace {

// How often a thread that waits for events looks whether it is wanted elsewhere.
constexpr env::Duration kGlance = std::chrono::milliseconds(200);

// One watch as asked for. Value type.
struct Wanted {
  client::WatchOptions options;
  std::vector<std::string> command;  // to run for each event
};

// Arguments in front of "--" are key and range end, those behind it the command.
StatusOr<Wanted> ParseWanted(const Flags& flags, std::vector<std::string> arguments,
                             const std::map<std::string, std::string>& environment) {
  Wanted wanted;
  if (flags.arguments_before_dashes()) {
    const auto dashes =
        arguments.begin() + static_cast<std::ptrdiff_t>(*flags.arguments_before_dashes());
    wanted.command.assign(dashes, arguments.end());
    arguments.erase(dashes, arguments.end());
  }
  const auto key = environment.find("ETCDCTL_WATCH_KEY");
  if (key != environment.end() && !key->second.empty()) {
    if (!arguments.empty())
      return absl::InvalidArgumentError(
          "ETCDCTL_WATCH_KEY and arguments are given: only one of them can say what to watch");
    arguments.push_back(key->second);
    const auto end = environment.find("ETCDCTL_WATCH_RANGE_END");
    if (end != environment.end() && !end->second.empty()) arguments.push_back(end->second);
  }
  const bool prefix = flags.Bool("prefix");
  if (arguments.empty() && !prefix)
    return absl::InvalidArgumentError("watch needs a key, or --prefix");
  if (arguments.size() > 2) return absl::InvalidArgumentError("too many arguments");
  if (arguments.size() == 2 && prefix) {
    return absl::InvalidArgumentError(
        "`range_end` and `--prefix` cannot be set at the same time, choose one");
  }
  wanted.options.key = arguments.empty() ? "" : arguments[0];
  if (arguments.size() == 2) wanted.options.range_end = arguments[1];
  if (prefix) wanted.options.range_end = client::PrefixEnd(wanted.options.key);
  if (wanted.options.key.empty()) wanted.options.key = std::string(1, '\0');
  wanted.options.start_revision = flags.Int("rev");
  wanted.options.prev_kv = flags.Bool("prev-kv");
  wanted.options.progress_notify = flags.Bool("progress-notify");
  return wanted;
}

ExitCode RunForEach(Invocation& invocation, const Wanted& wanted,
                    const etcdserverpb::WatchResponse& response) {
  for (const mvccpb::Event& event : response.events()) {
    const StatusOr<int> code =
        RunProcess(wanted.command,
                   {{"ETCD_WATCH_REVISION", std::to_string(response.header().revision())},
                    {"ETCD_WATCH_EVENT_TYPE", Quote(mvccpb::Event::EventType_Name(event.type()))},
                    {"ETCD_WATCH_KEY", Quote(event.kv().key())},
                    {"ETCD_WATCH_VALUE", Quote(event.kv().value())}});
    if (!code.ok()) return invocation.Fail(ExitCode::kError, Message(code.status()));
    if (*code != 0) return invocation.Fail(ExitCode::kError, fmt::format("exit status {}", *code));
  }
  return ExitCode::kOk;
}

ExitCode Show(Invocation& invocation, const Wanted& wanted,
              const etcdserverpb::WatchResponse& response) {
  if (response.events_size() == 0) {
    invocation.out() << "progress notify: " << response.header().revision() << '\n' << std::flush;
    return ExitCode::kOk;
  }
  if (ExitCode code = invocation.Printed(invocation.printer().Watch(response));
      code != ExitCode::kOk) {
    return code;
  }
  return wanted.command.empty() ? ExitCode::kOk : RunForEach(invocation, wanted, response);
}

// Until the server ends it.
ExitCode Follow(Invocation& invocation, const Wanted& wanted) {
  client::Watch watch(invocation.client(), wanted.options);
  for (;;) {
    const auto response = watch.Next(std::nullopt);
    if (!response.ok()) {
      invocation.err() << fmt::format("watch was canceled ({})\n", Message(response.status()));
      return invocation.Fail(ExitCode::kInterrupted, "watch is canceled by the server");
    }
    if (ExitCode code = Show(invocation, wanted, **response); code != ExitCode::kOk) return code;
  }
}

// Watches that are asked for line by line; all of them print.
class Session {
 public:
  explicit Session(Invocation& invocation) : invocation_(invocation) {}
  ~Session() { reader_.join(); }

  ExitCode Run() {
    StartReading();
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        for (std::string& line : std::exchange(lines_, {})) {
          if (Status status = Take(line); !status.ok())
            return invocation_.Fail(ExitCode::kInvalidInput, Message(status));
        }
      }
      if (ExitCode code = Look(); code != ExitCode::kOk) return code;
      const std::lock_guard lock(mutex_);
      if (ended_ && lines_.empty() && watches_.empty()) return ExitCode::kOk;
    }
  }

 private:
  struct Open {
    Wanted wanted;
    std::unique_ptr<client::Watch> watch;
  };
  // Standard input is read on a thread of its own, which ends with it.
  void StartReading() {
    reader_ = std::thread([this] {
      for (std::string line; std::getline(invocation_.in(), line);) {
        const std::lock_guard lock(mutex_);
        lines_.push_back(std::move(line));
      }
      const std::lock_guard lock(mutex_);
      ended_ = true;
    });
  }

  Status Take(const std::string& line) {
    ASSIGN_OR_RETURN(std::vector<std::string> words, SplitWords(line));
    if (words.empty()) return OkStatus();
    if (words[0] == "progress") return OkStatus();  // each watch tells its progress by itself
    if (words[0] != "watch")
      return absl::InvalidArgumentError("only `watch …` and `progress` are understood: " + line);
    words.erase(words.begin());
    Flags flags({invocation_.command().flags});
    ASSIGN_OR_RETURN(std::vector<std::string> arguments, flags.Parse(words));
    ASSIGN_OR_RETURN(Wanted wanted, ParseWanted(flags, std::move(arguments), {}));
    Open open;
    open.watch = std::make_unique<client::Watch>(invocation_.client(), wanted.options);
    open.wanted = std::move(wanted);
    watches_.push_back(std::move(open));
    return OkStatus();
  }

  // One look at each watch.
  ExitCode Look() {
    if (watches_.empty()) client::Pause(invocation_.world().loop, kGlance);
    for (Open& open : watches_) {
      const auto response = open.watch->Next(kGlance);
      if (!response.ok()) {
        invocation_.err() << fmt::format("watch was canceled ({})\n", Message(response.status()));
        return invocation_.Fail(ExitCode::kInterrupted, "watch is canceled by the server");
      }
      if (!*response) continue;
      if (ExitCode code = Show(invocation_, open.wanted, **response); code != ExitCode::kOk)
        return code;
    }
    return ExitCode::kOk;
  }

  Invocation& invocation_;
  std::vector<Open> watches_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  bool ended_ = false;
  std::thread reader_;
};

}  // namespace

ExitCode RunWatch(Invocation& invocation) {
  if (invocation.flags().Bool("interactive")) {
    if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
    return Session(invocation).Run();
  }
  const StatusOr<Wanted> wanted =
      ParseWanted(invocation.flags(), invocation.arguments(), invocation.world().environment);
  if (!wanted.ok()) return invocation.Fail(ExitCode::kBadArguments, Message(wanted.status()));
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  return Follow(invocation, *wanted);
}

}  // namespace quoin::ctl

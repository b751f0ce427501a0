// watch: changes as they come, on the command line or as commands read from standard input.
#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <istream>
#include <mutex>
#include <ostream>
#include <thread>
#include <vector>

#include "client/requests.h"
#include "client/watcher.h"
#include "ctl/families.h"
#include "ctl/process.h"
#include "ctl/text.h"
#include "ctl/txn_grammar.h"

namespace quoin::ctl {
namespace {

// One watch as asked for. Value type.
struct Wanted {
  client::WatchOptions options;
  std::vector<std::string> command;  // to run for each event
};

std::string Variable(const std::map<std::string, std::string>& environment,
                     const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

// Arguments in front of "--" are key and range end, those behind it the command.
StatusOr<Wanted> ParseWanted(const Flags& flags, std::vector<std::string> arguments,
                             const std::map<std::string, std::string>& environment) {
  Wanted wanted;
  if (flags.arguments_before_dashes()) {
    const auto dashes =
        arguments.begin() + static_cast<std::ptrdiff_t>(*flags.arguments_before_dashes());
    wanted.command.assign(dashes, arguments.end());
    arguments.erase(dashes, arguments.end());
    if (wanted.command.empty()) {
      return absl::InvalidArgumentError(
          "bad number of arguments (found separator --, but no commands)");
    }
  }
  const std::string key = Variable(environment, "ETCDCTL_WATCH_KEY");
  const std::string end = Variable(environment, "ETCDCTL_WATCH_RANGE_END");
  if (key.empty() && !end.empty())
    return absl::InvalidArgumentError(
        fmt::format("ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={}", Quote(end)));
  if (!key.empty()) {
    if (!arguments.empty())
      return absl::InvalidArgumentError(
          "bad number of arguments (found conflicting environment key)");
    arguments.push_back(key);
    if (!end.empty()) arguments.push_back(end);
  }
  if (arguments.empty() || arguments.size() > 2)
    return absl::InvalidArgumentError("bad number of arguments");
  const bool prefix = flags.Bool("prefix");
  if (arguments.size() == 2 && prefix)
    return absl::InvalidArgumentError("`range_end` and `--prefix` are mutually exclusive");
  wanted.options.key = arguments[0];
  if (arguments.size() == 2) wanted.options.range_end = arguments[1];
  if (prefix) wanted.options.range_end = client::PrefixEnd(wanted.options.key);
  if (wanted.options.key.empty()) wanted.options.key = std::string(1, '\0');
  wanted.options.start_revision = flags.Int("rev");
  wanted.options.prev_kv = flags.Bool("prev-kv");
  wanted.options.progress_notify = flags.Bool("progress-notify");
  return wanted;
}

// As Go's %q writes a list.
std::string QuoteEach(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words) quoted.push_back(Quote(word));
  return fmt::format("[{}]", fmt::join(quoted, " "));
}

ExitCode RunForEach(Invocation& invocation, const Wanted& wanted,
                    const etcdserverpb::WatchResponse& response) {
  for (const mvccpb::Event& event : response.events()) {
    const StatusOr<Ended> ended =
        RunProcess(wanted.command,
                   {{"ETCD_WATCH_REVISION", std::to_string(response.header().revision())},
                    {"ETCD_WATCH_EVENT_TYPE", Quote(mvccpb::Event::EventType_Name(event.type()))},
                    {"ETCD_WATCH_KEY", Quote(event.kv().key())},
                    {"ETCD_WATCH_VALUE", Quote(event.kv().value())}});
    if (ended.ok() && ended->code == 0) continue;
    const std::string why = ended.ok() ? ended->text : std::string(Message(ended.status()));
    invocation.err() << fmt::format("command {} error ({})\n", QuoteEach(wanted.command), why);
    return ExitCode::kError;
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

// What the main thread of an interactive watch waits for. Outlives the program's interest in it:
// the thread that reads standard input cannot be interrupted.
class Inbox {
 public:
  // Thread: any.
  void AddLine(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_one();
  }
  void EndLines() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_one();
  }
  void Wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_one();
  }

  struct Contents {
    std::deque<std::string> lines;
    bool ended = false;  // no further line will come
  };
  // Thread: the main one. Waits until there is a line, the end of them, or something in a watch.
  Contents Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return woken_ || ended_ || !lines_.empty(); });
    woken_ = false;
    return {std::exchange(lines_, {}), ended_};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  bool ended_ = false;
  bool woken_ = false;
};

// Watches that are asked for line by line; all of them print.
class Session {
 public:
  explicit Session(Invocation& invocation)
      : invocation_(invocation), inbox_(std::make_shared<Inbox>()) {}

  ExitCode Run() {
    std::thread([inbox = inbox_, in = &invocation_.in()] {
      for (std::string line; std::getline(*in, line);) inbox->AddLine(std::move(line));
      inbox->EndLines();
    }).detach();
    for (;;) {
      const Inbox::Contents contents = inbox_->Wait();
      for (const std::string& line : contents.lines) {
        if (ExitCode code = Take(line); code != ExitCode::kOk) return code;
      }
      if (ExitCode code = ShowAll(); code != ExitCode::kOk) return code;
      if (contents.ended)
        return invocation_.Fail(ExitCode::kInvalidInput, "error reading watch request line: EOF");
    }
  }

 private:
  struct Open {
    Wanted wanted;
    std::unique_ptr<client::Watch> watch;
  };

  // A line that means nothing is said so; a flag or an argument that is wrong ends the program.
  ExitCode Take(const std::string& line) {
    StatusOr<std::vector<std::string>> words = SplitWords(line);
    if (!words.ok() || words->empty())
      return Complain(fmt::format("Invalid command: {} (watch and progress supported)", line));
    const std::string command = words->front();
    words->erase(words->begin());
    if (command == "progress") {
      for (const Open& open : watches_) open.watch->RequestProgress();
      return ExitCode::kOk;
    }
    if (command != "watch")
      return Complain(fmt::format("Invalid command {} (only support watch)", line));
    Flags flags({invocation_.command().flags});
    const auto arguments = flags.Parse(*words);
    if (!arguments.ok())
      return invocation_.Fail(ExitCode::kBadArguments, Message(arguments.status()));
    const auto wanted = ParseWanted(flags, *arguments, invocation_.world().environment);
    if (!wanted.ok())
      return Complain(fmt::format("Invalid command {} ({})", line, Message(wanted.status())));
    watches_.push_back(
        {*wanted, std::make_unique<client::Watch>(invocation_.client(), wanted->options,
                                                  [inbox = inbox_] { inbox->Wake(); })});
    return ExitCode::kOk;
  }

  ExitCode Complain(const std::string& what) {
    invocation_.err() << what << '\n' << std::flush;
    return ExitCode::kOk;
  }

  // All that has come meanwhile. A watch that the server ended leaves the others alone.
  ExitCode ShowAll() {
    for (auto open = watches_.begin(); open != watches_.end();) {
      const auto response = open->watch->Next(env::Duration(0));
      if (!response.ok()) {
        invocation_.err() << fmt::format("watch was canceled ({})\n", Message(response.status()));
        open = watches_.erase(open);
      } else if (!*response) {
        ++open;
      } else if (ExitCode code = Show(invocation_, open->wanted, **response);
                 code != ExitCode::kOk) {
        return code;
      }
    }
    return ExitCode::kOk;
  }

  Invocation& invocation_;
  const std::shared_ptr<Inbox> inbox_;
  std::vector<Open> watches_;
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

// Command: one row of a program's table of commands; and Invocation: what a running command is
// given. quoinctl and quoinutl are both made of such a table.
//
// A table is static data: names, flags and help of every command, and the function that runs it.
// Help, completion scripts and flag parsing are made from it.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/status.h"
#include "cli/flags.h"

namespace quoin::cli {

// The exit codes of etcdctl and etcdutl: scripts tell failures apart by them.
enum class ExitCode : uint8_t {
  kOk = 0,
  kError = 1,
  kBadConnection = 2,
  kInvalidInput = 3,
  kBadFeature = 4,
  kInterrupted = 5,
  kIo = 6,
  kBadArguments = 128,
};

class Invocation;

struct Command {
  std::string_view name;
  std::string_view arguments;              // after the name in the usage line
  std::string_view summary;                // one line, for lists
  std::string_view help;                   // paragraphs; empty = the summary says it all
  std::string_view examples;               // one per line, without the program's name
  std::string_view group;                  // heading in the list of commands; only top-level
  std::span<const FlagSpec> flags;         // of this command alone
  std::span<const FlagSpec> shared_flags;  // of this command and its subcommands
  std::span<const Command> children;
  ExitCode (*run)(Invocation&) = nullptr;
  // Not in lists and completions: it is there to say something about itself.
  bool hidden = false;
};

// What belongs to a program as a whole. Value type; refers to static data.
struct Program {
  const Command& root;  // its children are the top-level commands
  std::span<const FlagSpec> global_flags;
  std::string_view notes;         // after the list of commands in the program's help
  std::string_view options_note;  // one sentence on where else global options may come from
};

// The outside of a program, so that tests can be it.
struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
  // Asks for a secret without echo.
  absl::AnyInvocable<StatusOr<std::string>(std::string_view prompt)> ask_secret;
};

// A running command. Thread: the main one.
class Invocation {
 public:
  // `path` is the command with its parents, root first.
  Invocation(const Program& program, Console& console, std::vector<const Command*> path,
             Flags flags, std::vector<std::string> arguments);

  const Program& program() const { return program_; }
  const Command& command() const { return *path_.back(); }
  const std::vector<const Command*>& path() const { return path_; }
  const Flags& flags() const { return flags_; }
  const std::vector<std::string>& arguments() const { return arguments_; }
  Console& console() { return console_; }
  std::istream& in() { return console_.in; }
  std::ostream& out() { return console_.out; }
  std::ostream& err() { return console_.err; }

  // Prints "Error: …" and returns `code`.
  ExitCode Fail(ExitCode code, std::string_view message);

 protected:
  Flags& mutable_flags() { return flags_; }

 private:
  const Program& program_;
  Console& console_;
  std::vector<const Command*> path_;
  Flags flags_;
  std::vector<std::string> arguments_;
};

// A command that takes its program's own Invocation, as the table wants it.
template <auto kRun>
ExitCode In(Invocation& invocation) {
  const auto run = []<typename Own>(ExitCode (*command)(Own&), Invocation& of) {
    return command(static_cast<Own&>(of));
  };
  return run(kRun, invocation);
}

}  // namespace quoin::cli

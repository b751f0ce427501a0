// Command: one row of quoinctl's table of commands; and Invocation: what a running command is
// given.
//
// The table (commands.cc) is static data: names, flags and help of every command, and the function
// that runs it. Help, completion scripts and flag parsing are made from it.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/status.h"
#include "client/client.h"
#include "ctl/flags.h"
#include "ctl/printer.h"
#include "env/env.h"

namespace quoin::ctl {

// etcdctl's exit codes: scripts tell failures apart by them.
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
};

// The root: its children are the top-level commands.
const Command& RootCommand();
std::span<const FlagSpec> GlobalFlags();

// The outside of the program, so that tests can be it.
struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
  // Asks for a secret without echo.
  absl::AnyInvocable<StatusOr<std::string>(std::string_view prompt)> ask_secret;
};

struct World {
  env::Env& env;
  env::Executor& loop;  // runs on a thread of its own: carries the connections
  Console& console;
  std::map<std::string, std::string> environment;
};

// A running command. Thread: the main one.
class Invocation {
 public:
  // `path` is the command with its parents, root first.
  Invocation(World& world, std::vector<const Command*> path, Flags flags,
             std::vector<std::string> arguments);

  const Command& command() const { return *path_.back(); }
  const std::vector<const Command*>& path() const { return path_; }
  const Flags& flags() const { return flags_; }
  const std::vector<std::string>& arguments() const { return arguments_; }
  World& world() { return world_; }
  std::istream& in() { return world_.console.in; }
  std::ostream& out() { return world_.console.out; }
  std::ostream& err() { return world_.console.err; }

  // Prints "Error: …" and returns `code`.
  ExitCode Fail(ExitCode code, std::string_view message);
  // For a request that could not be made of the arguments (see kv_requests.h).
  ExitCode FailRequest(const Status& status);
  // For a call that failed: the client's log line goes before the error.
  ExitCode FailCall(const Status& status);

  // Takes what the environment says into the flags, checks them, makes the printer. What stands
  // below needs it; commands that never talk to a server do without. Returns kOk, or the exit code
  // after printing the error.
  ExitCode Connect();

  // Endpoints as the user gave them.
  const std::vector<std::string>& endpoints() const { return flags_.List("endpoints"); }
  // A client over all endpoints.
  client::Client& client();
  // A client for one endpoint alone.
  StatusOr<std::unique_ptr<client::Client>> ClientFor(std::string_view endpoint);
  env::Duration command_timeout() const { return flags_.Duration("command-timeout"); }
  // Calls with the command's timeout.
  template <typename Method>
  StatusOr<typename Method::Response> Call(const Method& method,
                                           const typename Method::Request& request) {
    return client().Call(method, request, command_timeout());
  }

  Printer& printer() { return *printer_; }
  // Turns a printer's refusal into an exit code.
  ExitCode Printed(const Status& status);

  // One line of the client's log on stderr: JSON, in the form of the servers' logs.
  using LogFields = std::vector<std::pair<std::string_view, std::string>>;
  void Log(std::string_view level, std::string_view message, const LogFields& fields);
  // The same for a call to `endpoint` that failed or was refused.
  void LogFailedCall(std::string_view endpoint, const Status& status);

 private:
  ExitCode TakeEnvironment();
  StatusOr<client::ClientOptions> MakeClientOptions(std::span<const std::string> endpoints);
  // --user and --password, asking on the terminal when the password is missing.
  Status TakeCredentials(client::ClientOptions& options);

  World& world_;
  std::vector<const Command*> path_;
  Flags flags_;
  std::vector<std::string> arguments_;
  std::unique_ptr<Printer> printer_;
  client::ClientOptions client_options_;  // for all endpoints
  std::unique_ptr<client::Client> client_;
  std::optional<std::string> asked_password_;
};

// Runs the program: finds the command, parses its flags, runs it. `arguments` are without the
// program's name.
ExitCode RunProgram(World& world, std::span<const std::string> arguments);

}  // namespace quoin::ctl

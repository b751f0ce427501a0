// quoinctl as a program: its table of commands (cli/command.h), and Invocation: what a running
// command is given beside its flags, a client above all.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cli/command.h"
#include "client/client.h"
#include "ctl/printer.h"
#include "ctl/text.h"
#include "env/env.h"

namespace quoin::ctl {

using cli::Command;
using cli::Console;
using cli::ExitCode;

// The table (commands.cc) and the flags that every command takes (global_flags.cc).
const cli::Program& TheProgram();
std::span<const FlagSpec> GlobalFlags();

struct World {
  env::Env& env;
  env::Executor& loop;  // runs on a thread of its own: carries the connections
  Console& console;
  std::map<std::string, std::string> environment;
};

// A running command of quoinctl. Thread: the main one.
class Invocation : public cli::Invocation {
 public:
  Invocation(World& world, std::vector<const Command*> path, Flags flags,
             std::vector<std::string> arguments);

  World& world() { return world_; }

  // For a request that could not be made of the arguments (see kv_requests.h).
  ExitCode FailRequest(const Status& status);
  // For a call that failed: the client's log line goes before the error.
  ExitCode FailCall(const Status& status);

  // Takes what the environment says into the flags, checks them, makes the printer. What stands
  // below needs it; commands that never talk to a server do without. Returns kOk, or the exit code
  // after printing the error.
  ExitCode Connect();

  // Endpoints as the user gave them.
  const std::vector<std::string>& endpoints() const { return flags().List("endpoints"); }
  // A client over all endpoints.
  client::Client& client();
  // --<prefix>user and --<prefix>password. Asks on the terminal when the password is missing, and
  // not again while `asked` has the answer.
  Status TakeCredentials(const std::string& prefix, std::string_view prompt,
                         std::optional<std::string>& asked, client::ClientOptions& options);
  // A client for one endpoint alone.
  StatusOr<std::unique_ptr<client::Client>> ClientFor(std::string_view endpoint);
  env::Duration dial_timeout() const;
  env::Duration command_timeout() const { return flags().Duration("command-timeout"); }
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

  World& world_;
  std::unique_ptr<Printer> printer_;
  client::ClientOptions client_options_;  // for all endpoints
  std::unique_ptr<client::Client> client_;
  std::optional<std::string> asked_password_;
};

// Runs the program. `arguments` are without its name.
ExitCode RunProgram(World& world, std::span<const std::string> arguments);

}  // namespace quoin::ctl

// quoinctl: the command-line client. Gives the program its outside and turns the result into an
// exit code.

#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/command.h"
#include "ctl/process.h"
#include "ctl/terminal.h"
#include "env/posix/posix_env.h"

extern char** environ;

namespace quoin::ctl {
namespace {

// ETCDCTL_* of the process; nothing else concerns this program.
std::map<std::string, std::string> ReadEnvironment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (!text.starts_with("ETCDCTL_") || equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

int Main(std::vector<std::string> arguments) {
  std::ios::sync_with_stdio(false);
  const std::unique_ptr<env::Env> env = env::NewPosixEnv();
  const std::unique_ptr<env::Executor> loop = [&env] {
    const WithoutStopSignals none;
    return env->NewExecutor("client");
  }();
  Console console{std::cin, std::cout, std::cerr, ErrorOutputIsTerminal(), AskSecret};
  World world{*env, *loop, console, ReadEnvironment()};
  ExitCode code = RunProgram(world, arguments);
  std::cout.flush();
  if (!std::cout && code == ExitCode::kOk) {
    std::cerr << "Error: cannot write to the standard output\n";
    code = ExitCode::kError;
  }
  return static_cast<int>(code);
}

}  // namespace
}  // namespace quoin::ctl

int main(int argc, char** argv) {
  return quoin::ctl::Main(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}

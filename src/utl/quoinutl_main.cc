// quoinutl: looks at and mends data directories while no server runs on them. Gives the program its
// outside and turns the result into an exit code.

#include <iostream>
#include <string>
#include <vector>

#include "env/posix/posix_env.h"
#include "utl/invocation.h"

namespace quoin::utl {
namespace {

int Main(const std::vector<std::string>& arguments) {
  std::ios::sync_with_stdio(false);
  const std::unique_ptr<env::Env> env = env::NewPosixEnv();
  Console console{std::cin, std::cout, std::cerr, false, nullptr};
  ExitCode code = RunProgram(*env, console, arguments);
  std::cout.flush();
  if (!std::cout && code == ExitCode::kOk) {
    std::cerr << "Error: cannot write to the standard output\n";
    code = ExitCode::kError;
  }
  return static_cast<int>(code);
}

}  // namespace
}  // namespace quoin::utl

int main(int argc, char** argv) {
  return quoin::utl::Main(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}

// Finds the command that a command line means, and parses its flags.
//
// Thread: the main one.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "cli/command.h"

namespace quoin::cli {

// Runs the program: `run` gets what the command line means, unless that is help or a mistake.
// `arguments` are without the program's name. Names of commands may be shortened as long as one
// command alone begins so.
using RunCommand = absl::FunctionRef<ExitCode(std::vector<const Command*> path, Flags flags,
                                              std::vector<std::string> arguments)>;
ExitCode RunProgram(const Program& program, Console& console,
                    std::span<const std::string> arguments, RunCommand run);

// Commands that every program has.
ExitCode RunCompletion(Invocation& invocation);  // completion <shell>
ExitCode RunOptions(Invocation& invocation);     // options

}  // namespace quoin::cli

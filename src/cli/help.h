// Help texts, made from the table of commands.
//
// Thread: any; pure functions.
#pragma once

#include <span>
#include <string>

#include "cli/command.h"

namespace quoin::cli {

// `path` is the command with its parents, root first.
std::string HelpText(const Program& program, std::span<const Command* const> path);

// "quoinctl endpoint status".
std::string CommandPath(std::span<const Command* const> path);

}  // namespace quoin::cli

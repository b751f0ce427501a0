// Help texts, made from the table of commands.
//
// Thread: any; pure functions.
#pragma once

#include <span>
#include <string>

#include "ctl/command.h"

namespace quoin::ctl {

// `path` is the command with its parents, root first.
std::string HelpText(std::span<const Command* const> path);

// The list of global options.
std::string OptionsText();

// "quoinctl endpoint status".
std::string CommandPath(std::span<const Command* const> path);

}  // namespace quoin::ctl

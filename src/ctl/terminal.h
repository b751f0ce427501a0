// The terminal as the operating system sees it. Beside env/posix the only system calls of this
// program: no other room has a terminal.
//
// Thread: the main one.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace quoin::ctl {

bool ErrorOutputIsTerminal();

// Shows `prompt` on the controlling terminal and reads one line there without echo. Fails when
// there is no terminal.
StatusOr<std::string> AskSecret(std::string_view prompt);

}  // namespace quoin::ctl

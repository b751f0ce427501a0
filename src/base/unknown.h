// What a process does that meets a log or a state whose meaning it does not know
// (docs/design/0017).
//
// Thread: any.
#pragma once

#include <string>

namespace quoin {

// Ends the process: to pass over what is not known would make this member differ from the others.
// Says what it is, exits 1 without running any further code of the server.
[[noreturn]] void DieOnUnknown(const std::string& message);

}  // namespace quoin

// LastWords: who hears why the process ends, beside stderr. A failed CHECK and a disk error have no
// object that could hold a logger, so this is one for the process; main sets it once.
//
// Thread: SetLastWords before other threads exist and after they have ended.
#pragma once

#include <functional>
#include <string_view>

namespace quoin {

// `what`: "a check failed" or "disk error"; `why`: the details. Runs on the thread that fails, at
// most once. It must come to its end whatever that thread holds.
using LastWords = std::function<void(std::string_view what, std::string_view why)>;

// Null: nobody.
void SetLastWords(LastWords hears);

}  // namespace quoin

// A few operations on text that the standard library leaves out.
//
// Thread: any; pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace quoin::cli {

// ASCII letters in capitals.
std::string Upper(std::string_view text);
// Without white space at either end.
std::string_view Stripped(std::string_view text);
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);

// The library's string type is not the standard one.
inline std::string_view Message(const Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace quoin::cli

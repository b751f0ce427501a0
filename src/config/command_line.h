// The command line in Go's flag syntax: `-x v`, `--x v`, `--x=v`; a bool takes a value only after
// `=`. Private to config/.
#pragma once

#include <string>
#include <vector>

#include "config/draft.h"

namespace quoin::config {

enum class CommandLineEnd : uint8_t {
  kParsed,
  kHelp,      // -h or --help came by
  kBad,       // `message` is what Go prints above the usage; exit code 2
  kLeftOver,  // `message` is the first argument that is not a flag; exit code 1
};

// Value type.
struct CommandLineResult {
  CommandLineEnd end = CommandLineEnd::kParsed;
  std::string message;
};

// Reads `arguments` (without the program's name) into `draft`, up to the first error.
CommandLineResult ParseCommandLine(const std::vector<std::string>& arguments, Draft& draft);

}  // namespace quoin::config

// The table of flags: every name, its type, its key in the config file and where its value goes.
// Private to config/.
#pragma once

#include <span>
#include <string_view>
#include <variant>

#include "base/status.h"
#include "config/draft.h"

namespace quoin::config {

enum class FlagKind : uint8_t {
  kBool,
  kString,
  kUint,
  kUint32,
  kUint64,
  kInt,
  kInt64,
  kDuration,
  kUrls,           // sorted, without duplicates
  kOrigins,        // URLs or "*"
  kStrings,        // in the order given
  kUniqueStrings,  // sorted, without duplicates
  kChoice,         // one of `choices`
  kChoices,        // the same with another message
  kFeatureGates,
};

// What the release does with a flag that was set to something else than its default.
enum class Support : uint8_t {
  kBuilt,
  kNoEffect,  // accepted: this server has nothing that it would change
  kWarned,    // accepted, and one line says that it does nothing yet
  kRefused,   // ignoring it would weaken security or change what the server means
  kTls,       // TLS is not built: an https URL is refused, and beside http this has no meaning
};

// Where a value is kept.
using FlagTarget =
    std::variant<bool& (*)(Draft&), std::string& (*)(Draft&), uint64_t& (*)(Draft&),
                 uint32_t& (*)(Draft&), int64_t& (*)(Draft&), Duration& (*)(Draft&),
                 std::vector<Url>& (*)(Draft&), std::vector<std::string>& (*)(Draft&)>;

// Value type, constant.
struct FlagSpec {
  std::string_view name;
  FlagKind kind;
  std::string_view default_text;  // as a command line would spell it
  FlagTarget target;
  std::string_view help;
  Support support = Support::kBuilt;
  std::string_view file_key = "";  // dotted path; empty = the name; "-" = not settable in the file
  std::string_view choices = "";   // blank-separated, for kChoice
};

struct FlagGroup {
  std::string_view title;
  std::span<const FlagSpec> flags;
};

// All flags in the order of --help.
std::span<const FlagGroup> FlagGroups();
// nullptr when there is no such flag.
const FlagSpec* FindFlag(std::string_view name);
// Flags of old releases that are accepted, with any value or none, and ignored.
std::span<const std::string_view> IgnoredFlags();

// Reads `text` as the flag's type into `draft` and notes the flag as given. Errors are the part
// after `invalid value "x" for flag -name: ` of Go's message.
Status SetFlag(const FlagSpec& flag, std::string_view text, Draft& draft);

// Whether `draft` holds something else than the default for `flag`.
bool DiffersFromDefault(const FlagSpec& flag, Draft& draft);

}  // namespace quoin::config

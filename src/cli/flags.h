// Command-line flags as users of etcdctl and etcdutl know them: --name value, --name=value,
// -n value, -nvalue, -n=value, flags after arguments, "--" ends them. A flag is a row of a static
// table; the values live in Flags.
//
// A small parser of our own, because error texts, Go's number forms and "was it given?" (for the
// environment) matter here, and because transaction lines are parsed by the same tables.
//
// Thread: value types.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "env/clock.h"

namespace quoin::cli {

enum class FlagType : uint8_t { kBool, kInt, kString, kDuration, kStringList };

struct FlagSpec {
  std::string_view name;
  FlagType type = FlagType::kString;
  std::string_view default_text;  // empty: false, 0, or nothing
  std::string_view usage;
  char shorthand = 0;
};

// The values of one command line. Asking for a flag that no table declares is a bug.
class Flags {
 public:
  // `tables` outlive this object; names are distinct over all of them.
  explicit Flags(std::vector<std::span<const FlagSpec>> tables);

  // Sets flags from `arguments` and returns what is no flag, in order. Asking for help (--help, -h)
  // is no error: see help_wanted().
  StatusOr<std::vector<std::string>> Parse(std::span<const std::string> arguments);
  // Sets one flag by its long name.
  Status Set(std::string_view name, std::string_view text);

  bool Bool(std::string_view name) const;
  int64_t Int(std::string_view name) const;
  env::Duration Duration(std::string_view name) const;
  const std::string& String(std::string_view name) const;
  const std::vector<std::string>& List(std::string_view name) const;

  // The value as text, of any type.
  std::string_view Text(std::string_view name) const;

  // Given on the command line (or by Set).
  bool Changed(std::string_view name) const;
  bool help_wanted() const { return help_wanted_; }
  // How many of the arguments that Parse returned stood in front of "--", if there was one.
  std::optional<size_t> arguments_before_dashes() const { return before_dashes_; }

  const FlagSpec* Find(std::string_view name) const;
  const FlagSpec* FindShorthand(char letter) const;

 private:
  struct Value {
    std::string text;
    bool truth = false;
    int64_t number = 0;  // kInt, and nanoseconds of kDuration
    std::vector<std::string> list;
    bool changed = false;
  };

  const Value& Get(std::string_view name, FlagType type) const;
  Status Assign(const FlagSpec& spec, std::string_view text);
  // One argument that starts with "--"; may take the next ones.
  Status ParseLong(std::span<const std::string>& rest);
  // One argument of short flags.
  Status ParseShort(std::span<const std::string>& rest);

  std::vector<std::span<const FlagSpec>> tables_;
  std::map<std::string_view, Value> values_;
  bool help_wanted_ = false;
  std::optional<size_t> before_dashes_;
};

// How the flag is named in errors and help: "-w, --write-out" or "--hex".
std::string FlagTitle(const FlagSpec& spec);

}  // namespace quoin::cli

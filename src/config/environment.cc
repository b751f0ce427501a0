#include "config/environment.h"

#include <algorithm>
#include <set>

#include "config/flag_table.h"
#include "config/go_values.h"
#include "config/text.h"

namespace quoin::config {
namespace {

// Variables that are not flags and still mean something, or nothing here.
bool IsKnownSpecial(std::string_view name) {
  return name == "ETCD_UNSUPPORTED_ARCH" || name == "ETCD_VERIFY";
}

// Flags by the order of their names, as etcd visits them.
std::vector<const FlagSpec*> SortedFlags() {
  std::vector<const FlagSpec*> flags;
  for (const FlagGroup& group : FlagGroups()) {
    for (const FlagSpec& flag : group.flags) flags.push_back(&flag);
  }
  std::sort(flags.begin(), flags.end(), [](auto a, auto b) { return a->name < b->name; });
  return flags;
}

}  // namespace

std::string VariableName(std::string_view flag) {
  std::string name = Cat("ETCD_", ToUpper(flag));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string_view Lookup(const Environment& environment, std::string_view name) {
  for (const auto& [key, value] : environment) {
    if (key == name) return value;
  }
  return "";
}

Status ApplyEnvironment(const Environment& environment, Draft& draft) {
  if (std::string_view version = Lookup(environment, "ETCD_VERSION"); !version.empty()) {
    draft.notices.push_back({LogLevel::kWarn,
                             "cannot set special environment variable",
                             {{"key", "ETCD_VERSION"}, {"value", version}}});
  }
  Status first_error;
  std::set<std::string> used = {"ETCD_VERSION"};
  std::set<std::string> on_command_line;
  for (const FlagSpec* flag : SortedFlags()) {
    std::string variable = VariableName(flag->name);
    if (used.contains(variable)) continue;
    if (draft.given.contains(flag->name)) {
      on_command_line.insert(variable);
      continue;
    }
    std::string_view value = Lookup(environment, variable);
    if (value.empty()) continue;
    used.insert(variable);
    if (Status status = SetFlag(*flag, value, draft); !status.ok()) {
      first_error =
          Invalid(Cat("invalid value ", Quote(value), " for ", variable, ": ", Message(status)));
      continue;
    }
    draft.notices.push_back({LogLevel::kInfo,
                             "recognized and used environment variable",
                             {{"variable-name", variable}, {"variable-value", value}}});
  }
  for (const auto& [name, value] : environment) {
    if (used.contains(name) || IsKnownSpecial(name)) continue;
    if (on_command_line.contains(name)) return absl::FailedPreconditionError(name);
    if (!name.starts_with("ETCD_")) continue;
    draft.notices.push_back({LogLevel::kWarn,
                             "unrecognized environment variable",
                             {{"environment-variable", Cat(name, "=", value)}}});
  }
  return first_error;
}

Environment EnvironmentFromBlock(const char* const* block) {
  Environment environment;
  for (; block != nullptr && *block != nullptr; ++block) {
    const char* equals = std::strchr(*block, '=');
    if (equals != nullptr) environment.emplace_back(std::string(*block, equals), equals + 1);
  }
  return environment;
}

}  // namespace quoin::config

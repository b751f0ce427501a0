#include "cli/flags.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "cli/go_text.h"
#include "cli/strings.h"

namespace quoin::cli {
namespace {

// Fields of one comma-separated record; a field may stand in double quotes, where "" is a quote.
StatusOr<std::vector<std::string>> SplitCsv(std::string_view text) {
  std::vector<std::string> fields;
  if (text.empty()) return fields;
  while (true) {
    std::string field;
    if (!text.empty() && text.front() == '"') {
      size_t i = 1;
      for (; i < text.size(); ++i) {
        if (text[i] == '"' && (i + 1 >= text.size() || text[i + 1] != '"')) break;
        if (text[i] == '"') ++i;
        field += text[i];
      }
      if (i >= text.size())
        return absl::InvalidArgumentError("extraneous or missing \" in quoted-field");
      text.remove_prefix(i + 1);
      if (!text.empty() && text.front() != ',') {
        return absl::InvalidArgumentError("extraneous or missing \" in quoted-field");
      }
    } else {
      field = text.substr(0, text.find(','));
      if (field.find('"') != std::string::npos)
        return absl::InvalidArgumentError("bare \" in non-quoted-field");
      text.remove_prefix(field.size());
    }
    fields.push_back(std::move(field));
    if (text.empty()) return fields;
    text.remove_prefix(1);
  }
}

}  // namespace

std::string FlagTitle(const FlagSpec& spec) {
  return spec.shorthand == 0 ? fmt::format("--{}", spec.name)
                             : fmt::format("-{}, --{}", spec.shorthand, spec.name);
}

Flags::Flags(std::vector<std::span<const FlagSpec>> tables) : tables_(std::move(tables)) {
  for (const auto& table : tables_) {
    for (const FlagSpec& spec : table) {
      CHECK(!values_.contains(spec.name)) << spec.name;
      std::string_view text = spec.default_text;
      if (text.empty() && spec.type == FlagType::kBool) text = "false";
      if (text.empty() && spec.type == FlagType::kInt) text = "0";
      const Status status = Assign(spec, text);
      CHECK(status.ok()) << status.message();
      values_[spec.name].changed = false;
    }
  }
}

const FlagSpec* Flags::Find(std::string_view name) const {
  for (const auto& table : tables_) {
    for (const FlagSpec& spec : table) {
      if (spec.name == name) return &spec;
    }
  }
  return nullptr;
}

const FlagSpec* Flags::FindShorthand(char letter) const {
  for (const auto& table : tables_) {
    for (const FlagSpec& spec : table) {
      if (spec.shorthand == letter) return &spec;
    }
  }
  return nullptr;
}

Status Flags::Assign(const FlagSpec& spec, std::string_view text) {
  Value& value = values_[spec.name];
  switch (spec.type) {
    case FlagType::kBool: {
      ASSIGN_OR_RETURN(value.truth, ParseBool(text));
      break;
    }
    case FlagType::kInt: {
      ASSIGN_OR_RETURN(value.number, ParseInt(text, 0));
      break;
    }
    case FlagType::kDuration: {
      ASSIGN_OR_RETURN(const env::Duration duration, ParseDuration(text));
      value.number = duration.count();
      break;
    }
    case FlagType::kStringList: {
      // The first value given replaces the default, each further one adds to it.
      ASSIGN_OR_RETURN(std::vector<std::string> items, SplitCsv(text));
      if (!value.changed) value.list.clear();
      value.list.insert(value.list.end(), items.begin(), items.end());
      break;
    }
    case FlagType::kString:
      break;
  }
  value.text = text;
  value.changed = true;
  return OkStatus();
}

Status Flags::Set(std::string_view name, std::string_view text) {
  const FlagSpec* spec = Find(name);
  if (spec == nullptr) return absl::InvalidArgumentError(fmt::format("no such flag -{}", name));
  const Status status = Assign(*spec, text);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(fmt::format("invalid argument {} for \"{}\" flag: {}",
                                                Quote(text), FlagTitle(*spec), Message(status)));
}

StatusOr<std::vector<std::string>> Flags::Parse(std::span<const std::string> arguments) {
  std::vector<std::string> positional;
  std::span<const std::string> rest = arguments;
  while (!rest.empty() && !help_wanted_) {
    const std::string& argument = rest.front();
    if (argument == "--") {
      before_dashes_ = positional.size();
      positional.insert(positional.end(), rest.begin() + 1, rest.end());
      break;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      positional.push_back(argument);
      rest = rest.subspan(1);
    } else if (argument[1] == '-') {
      RETURN_IF_ERROR(ParseLong(rest));
    } else {
      RETURN_IF_ERROR(ParseShort(rest));
    }
  }
  return positional;
}

Status Flags::ParseLong(std::span<const std::string>& rest) {
  const std::string_view argument = std::string_view(rest.front()).substr(2);
  rest = rest.subspan(1);
  const size_t equals = argument.find('=');
  const std::string_view name = argument.substr(0, equals);
  if (name.empty() || name.front() == '-') {
    return absl::InvalidArgumentError(fmt::format("bad flag syntax: --{}", argument));
  }
  const FlagSpec* spec = Find(name);
  if (spec == nullptr && name == "help") {
    help_wanted_ = true;
    return OkStatus();
  }
  if (spec == nullptr) return absl::InvalidArgumentError(fmt::format("unknown flag: --{}", name));
  if (equals != std::string_view::npos) return Set(name, argument.substr(equals + 1));
  if (spec->type == FlagType::kBool) return Set(name, "true");
  if (rest.empty())
    return absl::InvalidArgumentError(fmt::format("flag needs an argument: --{}", name));
  const std::string& text = rest.front();
  rest = rest.subspan(1);
  return Set(name, text);
}

Status Flags::ParseShort(std::span<const std::string>& rest) {
  const std::string_view all = std::string_view(rest.front()).substr(1);
  rest = rest.subspan(1);
  for (std::string_view letters = all; !letters.empty();) {
    const char letter = letters.front();
    letters.remove_prefix(1);
    const FlagSpec* spec = FindShorthand(letter);
    if (spec == nullptr && letter == 'h') {
      help_wanted_ = true;
      return OkStatus();
    }
    if (spec == nullptr) {
      return absl::InvalidArgumentError(
          fmt::format("unknown shorthand flag: '{}' in -{}", letter, all));
    }
    if (!letters.empty() && letters.front() == '=') return Set(spec->name, letters.substr(1));
    if (spec->type == FlagType::kBool) {
      RETURN_IF_ERROR(Set(spec->name, "true"));
      continue;
    }
    if (!letters.empty()) return Set(spec->name, letters);
    if (rest.empty()) {
      return absl::InvalidArgumentError(
          fmt::format("flag needs an argument: '{}' in -{}", letter, all));
    }
    const std::string& text = rest.front();
    rest = rest.subspan(1);
    return Set(spec->name, text);
  }
  return OkStatus();
}

const Flags::Value& Flags::Get(std::string_view name, FlagType type) const {
  const FlagSpec* spec = Find(name);
  CHECK(spec != nullptr) << "no flag " << name;
  CHECK(spec->type == type) << name;
  return values_.find(name)->second;
}

bool Flags::Bool(std::string_view name) const { return Get(name, FlagType::kBool).truth; }
int64_t Flags::Int(std::string_view name) const { return Get(name, FlagType::kInt).number; }
env::Duration Flags::Duration(std::string_view name) const {
  return env::Duration(Get(name, FlagType::kDuration).number);
}
const std::string& Flags::String(std::string_view name) const {
  return Get(name, FlagType::kString).text;
}
const std::vector<std::string>& Flags::List(std::string_view name) const {
  return Get(name, FlagType::kStringList).list;
}

std::string_view Flags::Text(std::string_view name) const {
  CHECK(Find(name) != nullptr) << "no flag " << name;
  return values_.find(name)->second.text;
}

bool Flags::Changed(std::string_view name) const {
  CHECK(Find(name) != nullptr) << "no flag " << name;
  return values_.find(name)->second.changed;
}

}  // namespace quoin::cli

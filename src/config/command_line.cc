#include "config/command_line.h"

#include <algorithm>
#include <optional>

#include "config/flag_table.h"
#include "config/go_values.h"
#include "config/text.h"

namespace quoin::config {
namespace {

CommandLineResult Bad(std::string message) { return {CommandLineEnd::kBad, std::move(message)}; }

bool IsIgnored(std::string_view name) {
  auto ignored = IgnoredFlags();
  return std::find(ignored.begin(), ignored.end(), name) != ignored.end();
}

// "-name=value" taken apart; nullopt when it is not a flag's form.
struct Word {
  std::string name;
  std::optional<std::string> value;
};
std::optional<Word> SplitWord(const std::string& argument) {
  std::string_view body = argument;
  body.remove_prefix(body.starts_with("--") ? 2 : 1);
  if (body.empty() || body.front() == '-' || body.front() == '=') return std::nullopt;
  size_t equals = body.find('=');
  Word word{std::string(body.substr(0, equals)), std::nullopt};
  if (equals != std::string_view::npos) word.value = std::string(body.substr(equals + 1));
  return word;
}

CommandLineResult SetBool(const FlagSpec& flag, const std::string& text, Draft& draft) {
  Status status = SetFlag(flag, text, draft);
  if (status.ok()) return {};
  return Bad(
      Cat("invalid boolean value ", Quote(text), " for -", flag.name, ": ", Message(status)));
}

CommandLineResult SetOther(const FlagSpec& flag, const std::string& text, Draft& draft) {
  Status status = SetFlag(flag, text, draft);
  if (status.ok()) return {};
  return Bad(Cat("invalid value ", Quote(text), " for flag -", flag.name, ": ", Message(status)));
}

}  // namespace

CommandLineResult ParseCommandLine(const std::vector<std::string>& arguments, Draft& draft) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.size() < 2 || argument[0] != '-') return {CommandLineEnd::kLeftOver, argument};
    if (argument == "--") {
      if (i + 1 == arguments.size()) return {};
      return {CommandLineEnd::kLeftOver, arguments[i + 1]};
    }
    std::optional<Word> word = SplitWord(argument);
    if (!word) return Bad(Cat("bad flag syntax: ", argument));
    if (IsIgnored(word->name)) {
      draft.notices.push_back(
          {LogLevel::kWarn, "flag is no longer supported - ignoring", {{"flag-name", word->name}}});
      continue;
    }
    const FlagSpec* flag = FindFlag(word->name);
    if (flag == nullptr) {
      if (word->name == "h" || word->name == "help") return {CommandLineEnd::kHelp, ""};
      return Bad(Cat("flag provided but not defined: -", word->name));
    }
    if (flag->kind != FlagKind::kBool && !word->value) {
      if (i + 1 == arguments.size()) return Bad(Cat("flag needs an argument: -", word->name));
      word->value = arguments[++i];
    }
    CommandLineResult result = flag->kind == FlagKind::kBool
                                   ? SetBool(*flag, word->value.value_or("true"), draft)
                                   : SetOther(*flag, *word->value, draft);
    if (result.end != CommandLineEnd::kParsed) return result;
  }
  return {};
}

}  // namespace quoin::config

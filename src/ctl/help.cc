#include "ctl/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <vector>

#include "ctl/families.h"
#include "ctl/strings.h"

namespace quoin::ctl {
namespace {

std::string_view ValueName(FlagType type) {
  switch (type) {
    case FlagType::kBool:
      return "";
    case FlagType::kInt:
      return " <number>";
    case FlagType::kString:
      return " <text>";
    case FlagType::kDuration:
      return " <time>";
    case FlagType::kStringList:
      break;
  }
  return " <list>";
}

bool HasTellingDefault(const FlagSpec& flag) {
  return !flag.default_text.empty() && flag.default_text != "0" && flag.default_text != "false";
}

std::string Indented(std::string_view text) {
  return fmt::format("  {}\n", ReplaceAll(text, "\n", "\n  "));
}

// Two columns, the first as wide as its longest entry.
std::string Columns(std::span<const std::pair<std::string, std::string>> lines) {
  size_t width = 0;
  for (const auto& [left, right] : lines) width = std::max(width, left.size());
  std::string text;
  for (const auto& [left, right] : lines) text += fmt::format("  {:<{}}  {}\n", left, width, right);
  return text;
}

std::string FlagLines(std::span<const std::span<const FlagSpec>> tables) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const auto& table : tables) {
    for (const FlagSpec& flag : table) {
      const std::string name = fmt::format("{}{}{}", flag.shorthand == 0 ? "    " : "",
                                           FlagTitle(flag), ValueName(flag.type));
      const std::string usage(flag.usage);
      lines.emplace_back(name, HasTellingDefault(flag)
                                   ? fmt::format("{} (default {})", usage, flag.default_text)
                                   : usage);
    }
  }
  return Columns(lines);
}

std::string CommandLines(std::span<const Command> commands, std::string_view group) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const Command& command : commands) {
    if (command.group == group) lines.emplace_back(command.name, command.summary);
  }
  return Columns(lines);
}

std::string RootHelp(const Command& root) {
  std::string text =
      fmt::format("{}\n\nUsage\n  {} [global options] <command> [options] [arguments]\n",
                  root.summary, root.name);
  std::vector<std::string_view> groups;
  for (const Command& command : root.children) {
    if (std::find(groups.begin(), groups.end(), command.group) == groups.end())
      groups.push_back(command.group);
  }
  for (std::string_view group : groups)
    text += fmt::format("\n{}\n{}", group, CommandLines(root.children, group));
  text +=
      "\nOptions used most (quoinctl options shows all)\n"
      "  --endpoints <list>  where the servers are (default 127.0.0.1:2379)\n"
      "  -w, --write-out     simple, fields, json, protobuf or table\n"
      "  --user <name[:pw]>  log in\n"
      "\nEach global option may come from the environment: ETCDCTL_ENDPOINTS, ETCDCTL_WRITE_OUT, "
      "…\n"
      "An option on the command line and in the environment at once is an error.\n"
      "\nExit codes\n"
      "  0 done   1 failed   3 bad transaction input   4 unsupported value or output format\n"
      "  5 snapshot not saved   128 bad arguments\n"
      "\nquoinctl <command> --help tells more about one command. Any unambiguous start of a name "
      "will do.\n";
  return text;
}

}  // namespace

std::string CommandPath(std::span<const Command* const> path) {
  std::string text;
  for (const Command* command : path)
    text += fmt::format("{}{}", text.empty() ? "" : " ", command->name);
  return text;
}

std::string HelpText(std::span<const Command* const> path) {
  const Command& command = *path.back();
  if (path.size() == 1) return RootHelp(command);
  const std::string name = CommandPath(path);
  std::string text = fmt::format("{}\n\nUsage\n  {}{}{}{}\n", command.summary, name,
                                 command.children.empty() ? " [options]" : " <command> [options]",
                                 command.arguments.empty() ? "" : " ", command.arguments);
  if (!command.help.empty()) text += "\n" + Indented(command.help);
  if (!command.children.empty()) text += "\nCommands\n" + CommandLines(command.children, "");
  std::vector<std::span<const FlagSpec>> tables = {command.flags};
  for (const Command* parent : path) tables.push_back(parent->shared_flags);
  const std::string flags = FlagLines(tables);
  if (!flags.empty()) text += "\nOptions\n" + flags;
  if (!command.examples.empty()) {
    text += "\nExamples\n";
    const std::string start = fmt::format("  {} ", path.front()->name);
    text += fmt::format("{}{}\n", start, ReplaceAll(command.examples, "\n", "\n" + start));
  }
  return text + fmt::format("\nGlobal options: {} options\n", path.front()->name);
}

std::string OptionsText() {
  const std::span<const FlagSpec> global = GlobalFlags();
  return fmt::format(
      "Every command takes these options, before or after its name. Each may come from the\n"
      "environment as ETCDCTL_ and its name in capitals with underscores.\n\n{}",
      FlagLines(std::span(&global, 1)));
}

ExitCode RunOptions(Invocation& invocation) {
  invocation.out() << OptionsText();
  return ExitCode::kOk;
}

}  // namespace quoin::ctl

#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <vector>

#include "cli/program.h"
#include "cli/strings.h"

namespace quoin::cli {
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
    if (command.group == group && !command.hidden)
      lines.emplace_back(command.name, command.summary);
  }
  return Columns(lines);
}

std::string RootHelp(const Program& program) {
  const Command& root = program.root;
  std::string text =
      fmt::format("{}\n\nUsage\n  {} [global options] <command> [options] [arguments]\n",
                  root.summary, root.name);
  std::vector<std::string_view> groups;
  for (const Command& command : root.children) {
    if (command.hidden) continue;
    if (std::find(groups.begin(), groups.end(), command.group) == groups.end())
      groups.push_back(command.group);
  }
  for (std::string_view group : groups)
    text += fmt::format("\n{}\n{}", group, CommandLines(root.children, group));
  text += fmt::format(
      "\n{}\n{} <command> --help tells more about one command. Any unambiguous start of "
      "a name will do.\n",
      program.notes, root.name);
  return text;
}

}  // namespace

std::string CommandPath(std::span<const Command* const> path) {
  std::string text;
  for (const Command* command : path)
    text += fmt::format("{}{}", text.empty() ? "" : " ", command->name);
  return text;
}

std::string HelpText(const Program& program, std::span<const Command* const> path) {
  const Command& command = *path.back();
  if (path.size() == 1) return RootHelp(program);
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

ExitCode RunOptions(Invocation& invocation) {
  const Program& program = invocation.program();
  invocation.out() << fmt::format("{}\n\n{}", program.options_note,
                                  FlagLines(std::span(&program.global_flags, 1)));
  return ExitCode::kOk;
}

}  // namespace quoin::cli

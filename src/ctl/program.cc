// Finds the command that a command line means, parses its flags and runs it.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <utility>

#include "ctl/command.h"
#include "ctl/go_text.h"
#include "ctl/help.h"
#include "ctl/strings.h"

namespace quoin::ctl {
namespace {

using Path = std::vector<const Command*>;

std::vector<std::span<const FlagSpec>> FlagTables(const Path& path) {
  std::vector<std::span<const FlagSpec>> tables = {GlobalFlags(), path.back()->flags};
  for (const Command* command : path) tables.push_back(command->shared_flags);
  return tables;
}

// Whether a flag on the way to the command's name takes the next argument as its value. Flags that
// are not known yet are taken to have one, as etcdctl does.
bool TakesNextArgument(const Flags& known, std::string_view argument) {
  if (argument.find('=') != std::string_view::npos) return false;
  if (argument.starts_with("--")) {
    if (argument == "--help") return false;
    const FlagSpec* flag = known.Find(argument.substr(2));
    return flag == nullptr || flag->type != FlagType::kBool;
  }
  if (argument.size() != 2 || argument[1] == 'h') return false;  // -nvalue holds its value
  const FlagSpec* flag = known.FindShorthand(argument[1]);
  return flag == nullptr || flag->type != FlagType::kBool;
}

// Where the next word that is no flag stands; arguments.size() when there is none.
size_t NextWord(const Path& path, std::span<const std::string> arguments) {
  const Flags known(FlagTables(path));
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") break;
    if (argument.empty() || argument[0] != '-' || argument == "-") return i;
    if (TakesNextArgument(known, argument)) ++i;
  }
  return arguments.size();
}

// The child of that name, or the only one whose name starts so.
const Command* FindChild(const Command& parent, std::string_view name) {
  const Command* found = nullptr;
  if (name.empty()) return nullptr;
  for (const Command& child : parent.children) {
    if (child.name == name) return &child;
    if (!child.name.starts_with(name)) continue;
    if (found != nullptr) return nullptr;
    found = &child;
  }
  return found;
}

struct Found {
  Path path;
  std::vector<std::string> arguments;  // without the words of the path
  std::string unknown;                 // a word that names no top-level command
};

Found FindCommand(std::span<const std::string> arguments) {
  Found found{{&RootCommand()}, {arguments.begin(), arguments.end()}, ""};
  while (!found.path.back()->children.empty()) {
    const size_t word = NextWord(found.path, found.arguments);
    if (word == found.arguments.size()) break;
    const Command* child = FindChild(*found.path.back(), found.arguments[word]);
    if (child == nullptr) {
      if (found.path.size() == 1) found.unknown = found.arguments[word];
      break;
    }
    found.path.push_back(child);
    found.arguments.erase(found.arguments.begin() + static_cast<std::ptrdiff_t>(word));
  }
  return found;
}

ExitCode ShowHelp(World& world, const Path& path) {
  world.console.out << HelpText(path);
  return ExitCode::kOk;
}

// `help [command…]`.
ExitCode RunHelp(World& world, std::span<const std::string> arguments) {
  const Found found = FindCommand(arguments);
  if (found.unknown.empty()) return ShowHelp(world, found.path);
  world.console.err << fmt::format("Unknown help topic {}\n", Quote(found.unknown));
  world.console.out << HelpText(found.path);
  return ExitCode::kOk;
}

// Whether `a` becomes `b` by at most two letters added, dropped or changed.
bool AreSimilar(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()] <= 2;
}

ExitCode FailUnknownCommand(World& world, const std::string& word) {
  const Command& root = RootCommand();
  std::string hint;
  for (const Command& child : root.children) {
    if (AreSimilar(word, child.name) || child.name.starts_with(word))
      hint += fmt::format("\t{}\n", child.name);
  }
  if (!hint.empty()) hint = "\n\nDid you mean this?\n" + hint;
  world.console.err << fmt::format(
      "Error: unknown command {} for {}{}\nRun '{} --help' for usage.\n", Quote(word),
      Quote(root.name), hint, root.name);
  return ExitCode::kError;
}

}  // namespace

ExitCode RunProgram(World& world, std::span<const std::string> arguments) {
  Found found = FindCommand(arguments);
  if (found.unknown == "help") {
    std::vector<std::string> topic(arguments.begin(), arguments.end());
    topic.erase(std::find(topic.begin(), topic.end(), "help"));
    return RunHelp(world, topic);
  }
  if (!found.unknown.empty()) return FailUnknownCommand(world, found.unknown);
  Flags flags(FlagTables(found.path));
  StatusOr<std::vector<std::string>> rest = flags.Parse(found.arguments);
  if (!rest.ok()) {
    world.console.err << "Error: " << Message(rest.status()) << '\n' << HelpText(found.path);
    return ExitCode::kError;
  }
  const Command& command = *found.path.back();
  if (flags.help_wanted() || command.run == nullptr) return ShowHelp(world, found.path);
  Invocation invocation(world, std::move(found.path), std::move(flags), *std::move(rest));
  return command.run(invocation);
}

}  // namespace quoin::ctl

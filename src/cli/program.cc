#include "cli/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <utility>

#include "cli/go_text.h"
#include "cli/help.h"
#include "cli/strings.h"

namespace quoin::cli {
namespace {

using Path = std::vector<const Command*>;

std::vector<std::span<const FlagSpec>> FlagTables(const Program& program, const Path& path) {
  std::vector<std::span<const FlagSpec>> tables = {program.global_flags, path.back()->flags};
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
size_t NextWord(const Program& program, const Path& path, std::span<const std::string> arguments) {
  const Flags known(FlagTables(program, path));
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

Found FindCommand(const Program& program, std::span<const std::string> arguments) {
  Found found{{&program.root}, {arguments.begin(), arguments.end()}, ""};
  while (!found.path.back()->children.empty()) {
    const size_t word = NextWord(program, found.path, found.arguments);
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

ExitCode ShowHelp(const Program& program, Console& console, const Path& path) {
  console.out << HelpText(program, path);
  return ExitCode::kOk;
}

// `help [command…]`.
ExitCode RunHelp(const Program& program, Console& console, std::span<const std::string> arguments) {
  const Found found = FindCommand(program, arguments);
  if (!found.unknown.empty())
    console.err << fmt::format("Unknown help topic {}\n", Quote(found.unknown));
  return ShowHelp(program, console, found.path);
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

ExitCode FailUnknownCommand(const Command& root, Console& console, const std::string& word) {
  std::string hint;
  for (const Command& child : root.children) {
    if (child.hidden) continue;
    if (AreSimilar(word, child.name) || child.name.starts_with(word))
      hint += fmt::format("\t{}\n", child.name);
  }
  if (!hint.empty()) hint = "\n\nDid you mean this?\n" + hint;
  console.err << fmt::format("Error: unknown command {} for {}{}\nRun '{} --help' for usage.\n",
                             Quote(word), Quote(root.name), hint, root.name);
  return ExitCode::kError;
}

}  // namespace

ExitCode RunProgram(const Program& program, Console& console,
                    std::span<const std::string> arguments, RunCommand run) {
  Found found = FindCommand(program, arguments);
  if (found.unknown == "help") {
    std::vector<std::string> topic(arguments.begin(), arguments.end());
    topic.erase(std::find(topic.begin(), topic.end(), "help"));
    return RunHelp(program, console, topic);
  }
  if (!found.unknown.empty()) return FailUnknownCommand(program.root, console, found.unknown);
  Flags flags(FlagTables(program, found.path));
  StatusOr<std::vector<std::string>> rest = flags.Parse(found.arguments);
  // A hidden command only says something about itself: with whatever flags it is asked for.
  if (!rest.ok() && found.path.back()->hidden) rest = std::vector<std::string>();
  if (!rest.ok()) {
    console.err << "Error: " << Message(rest.status()) << '\n' << HelpText(program, found.path);
    return ExitCode::kError;
  }
  if (flags.help_wanted() || found.path.back()->run == nullptr)
    return ShowHelp(program, console, found.path);
  return run(std::move(found.path), std::move(flags), *std::move(rest));
}

Invocation::Invocation(const Program& program, Console& console, std::vector<const Command*> path,
                       Flags flags, std::vector<std::string> arguments)
    : program_(program),
      console_(console),
      path_(std::move(path)),
      flags_(std::move(flags)),
      arguments_(std::move(arguments)) {}

ExitCode Invocation::Fail(ExitCode code, std::string_view message) {
  out().flush();
  err() << "Error: " << message << '\n';
  return code;
}

}  // namespace quoin::cli

// Completion scripts, made from the table of commands: the words that may follow each path of
// commands.
#include <fmt/format.h>

#include <ostream>

#include "cli/program.h"
#include "cli/strings.h"

namespace quoin::cli {
namespace {

struct Place {
  std::string path;                // "", "endpoint", "endpoint status"
  std::vector<std::string> words;  // subcommands and options that fit there
};

void Collect(const Command& command, const std::string& path,
             std::vector<std::string> shared_options, std::vector<Place>& places) {
  Place place{path, {}};
  for (const Command& child : command.children) {
    if (!child.hidden) place.words.emplace_back(child.name);
  }
  for (const FlagSpec& flag : command.shared_flags)
    shared_options.push_back(fmt::format("--{}", flag.name));
  for (const FlagSpec& flag : command.flags) place.words.push_back(fmt::format("--{}", flag.name));
  place.words.insert(place.words.end(), shared_options.begin(), shared_options.end());
  place.words.emplace_back("--help");
  places.push_back(std::move(place));
  for (const Command& child : command.children) {
    if (child.hidden) continue;
    Collect(child, path.empty() ? std::string(child.name) : fmt::format("{} {}", path, child.name),
            shared_options, places);
  }
}

std::vector<Place> AllPlaces(const Program& program) {
  std::vector<Place> places;
  Collect(program.root, "", {}, places);
  for (const FlagSpec& flag : program.global_flags)
    places.front().words.push_back(fmt::format("--{}", flag.name));
  return places;
}

// `case` lines of a POSIX-like shell: a path, then the words that fit there.
std::string WordCases(const std::vector<Place>& places, std::string_view variable) {
  std::string text;
  for (const Place& place : places) {
    text += fmt::format("    \"{}\") {}=\"{}\" ;;\n", place.path, variable,
                        fmt::join(place.words, " "));
  }
  return text;
}

constexpr std::string_view kBash = R"(# bash completion for PROGRAM
_PROGRAM() {
  local current="${COMP_WORDS[COMP_CWORD]}" path="" words="" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    case "$word" in
      -*) ;;
      *) case "$path $word" in
PATHS      esac ;;
    esac
  done
  case "$path" in
CASES  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _PROGRAM PROGRAM
)";

constexpr std::string_view kZsh = R"(#compdef PROGRAM
_PROGRAM() {
  local path_words="" word_list="" word words_given
  words_given=("${words[@]:1:$((CURRENT - 2))}")
  for word in "${words_given[@]}"; do
    case "$word" in
      -*) ;;
      *) case "$path_words $word" in
PATHS      esac ;;
    esac
  done
  case "$path_words" in
CASES  esac
  compadd -- ${=word_list}
}
compdef _PROGRAM PROGRAM
)";

// `case` lines that lengthen the path when the next word is a command there.
std::string PathCases(const std::vector<Place>& places, std::string_view variable) {
  std::string text;
  for (const Place& place : places) {
    if (place.path.empty()) continue;
    // "$path $word" has a leading space as long as the path is empty.
    const bool top = place.path.find(' ') == std::string::npos;
    text += fmt::format("        \"{}{}\") {}=\"{}\" ;;\n", top ? " " : "", place.path, variable,
                        place.path);
  }
  return text;
}

std::string FillTemplate(const std::vector<Place>& places, std::string_view script,
                         std::string_view path, std::string_view words) {
  return ReplaceAll(ReplaceAll(script, "PATHS", PathCases(places, path)), "CASES",
                    WordCases(places, words));
}

std::string ShellQuoted(std::string_view text) {
  return fmt::format("'{}'", ReplaceAll(text, "'", "\\'"));
}

std::string FishScript(const Program& program) {
  std::string text = "# fish completion for PROGRAM\ncomplete -c PROGRAM -f\n";
  for (const Command& command : program.root.children) {
    if (command.hidden) continue;
    text += fmt::format("complete -c PROGRAM -n __fish_use_subcommand -a {} -d {}\n", command.name,
                        ShellQuoted(command.summary));
    for (const Command& child : command.children) {
      if (child.hidden) continue;
      text += fmt::format("complete -c PROGRAM -n '__fish_seen_subcommand_from {}' -a {} -d {}\n",
                          command.name, child.name, ShellQuoted(child.summary));
    }
    for (const FlagSpec& flag : command.flags) {
      text += fmt::format("complete -c PROGRAM -n '__fish_seen_subcommand_from {}' -l {} -d {}\n",
                          command.name, flag.name, ShellQuoted(flag.usage));
    }
  }
  for (const FlagSpec& flag : program.global_flags) {
    text += fmt::format("complete -c PROGRAM -l {} -d {}\n", flag.name, ShellQuoted(flag.usage));
  }
  return text;
}

std::string PowershellScript(const std::vector<Place>& places) {
  std::string text =
      "# powershell completion for PROGRAM\n"
      "Register-ArgumentCompleter -Native -CommandName PROGRAM -ScriptBlock {\n"
      "  param($wordToComplete, $commandAst, $cursorPosition)\n"
      "  $places = @{\n";
  for (const Place& place : places) {
    text += fmt::format("    '{}' = '{}'\n", place.path, fmt::join(place.words, " "));
  }
  return text +
         "  }\n"
         "  $path = ''\n"
         "  foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {\n"
         "    $longer = \"$path $element\".Trim()\n"
         "    if ($places.ContainsKey($longer)) { $path = $longer }\n"
         "  }\n"
         "  $places[$path] -split ' ' | Where-Object { $_ -like \"$wordToComplete*\" } | "
         "ForEach-Object {\n"
         "    [System.Management.Automation.CompletionResult]::new($_)\n"
         "  }\n"
         "}\n";
}

// For the program of the name PROGRAM; empty when the shell is not known.
std::string Script(const Program& program, std::string_view shell) {
  const std::vector<Place> places = AllPlaces(program);
  if (shell == "bash") return FillTemplate(places, kBash, "path", "words");
  if (shell == "zsh") return FillTemplate(places, kZsh, "path_words", "word_list");
  if (shell == "fish") return FishScript(program);
  if (shell == "powershell") return PowershellScript(places);
  return "";
}

}  // namespace

ExitCode RunCompletion(Invocation& invocation) {
  const std::vector<std::string>& arguments = invocation.arguments();
  const std::string_view name = invocation.program().root.name;
  if (arguments.size() != 1) {
    return invocation.Fail(ExitCode::kError,
                           fmt::format("accepts 1 arg(s), received {}", arguments.size()));
  }
  const std::string script = Script(invocation.program(), arguments[0]);
  if (script.empty()) {
    return invocation.Fail(
        ExitCode::kError,
        fmt::format("invalid argument \"{}\" for \"{} completion\"", arguments[0], name));
  }
  invocation.out() << ReplaceAll(script, "PROGRAM", name);
  return ExitCode::kOk;
}

}  // namespace quoin::cli

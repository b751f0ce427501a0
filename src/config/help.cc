#include "config/help.h"

#include "base/release.h"
#include "config/config.h"
#include "config/flag_table.h"
#include "config/text.h"

namespace quoin::config {
namespace {

#if defined(__x86_64__)
constexpr std::string_view kArchitecture = "amd64";
#elif defined(__aarch64__)
constexpr std::string_view kArchitecture = "arm64";
#else
constexpr std::string_view kArchitecture = "unknown";
#endif

constexpr size_t kHelpColumns = 100;

std::string_view SupportNote(Support support) {
  switch (support) {
    case Support::kBuilt:
      return "";
    case Support::kNoEffect:
      return " [accepted, has no effect]";
    case Support::kWarned:
      return " [not built yet: accepted with a warning]";
    case Support::kRefused:
      return " [not built yet: refused]";
    case Support::kTls:
      return " [TLS is not built yet: https URLs are refused, and beside http this has no meaning]";
  }
  return "";
}

// `text` in lines of at most kHelpColumns, each indented by six blanks.
std::string Wrap(std::string_view text) {
  constexpr std::string_view kIndent = "      ";
  std::string out;
  std::string line(kIndent);
  while (!text.empty()) {
    size_t blank = text.find(' ');
    std::string_view word = text.substr(0, blank);
    text = blank == std::string_view::npos ? std::string_view() : text.substr(blank + 1);
    bool fresh = line.size() == kIndent.size();
    if (!fresh && line.size() + 1 + word.size() > kHelpColumns) {
      Append(out, line, "\n");
      line = kIndent;
      fresh = true;
    }
    Append(line, fresh ? "" : " ", word);
  }
  return Cat(out, line, "\n");
}

}  // namespace

std::string UsageText() {
  return "Usage:\n\n"
         "  quoin [flags]\n"
         "    Run one member.\n\n"
         "  quoin --config-file FILE\n"
         "    Run one member as a YAML or JSON file says. Other flags and the environment are "
         "ignored then.\n\n"
         "  quoin --help\n"
         "    List all flags with their defaults.\n\n"
         "  quoin --version\n"
         "    Print the etcd version whose contract this server keeps, and its own.\n\n"
         "  ETCD_NAME=value quoin\n"
         "    Set a flag by the environment: ETCD_ and its name in capitals, '-' written as "
         "'_'.\n\n";
}

std::string HelpText() {
  std::string out = Cat("quoin ", kQuoinVersion, ", a key-value store with the contract of etcd ",
                        kEtcdVersion, ".\n");
  for (const FlagGroup& group : FlagGroups()) {
    Append(out, "\n", group.title, ":\n");
    for (const FlagSpec& flag : group.flags) {
      Append(out, "  --", flag.name, " '", flag.default_text, "'\n");
      Append(out, Wrap(Cat(flag.help, SupportNote(flag.support))));
    }
  }
  Append(out,
         "\nDurations are written as 300ms, 5s, 1h30m; lists with commas; a bool as "
         "--flag or --flag=false.\n");
  return out;
}

std::string VersionText() {
  return Cat("etcd Version: ", kEtcdVersion,
             "\nGit SHA: not etcd's code (quoin)\nGo Version: none (C++20, ",
#if defined(__clang__)
             "clang ", __clang_major__,
#else
             "gcc ", __GNUC__,
#endif
             ")\nGo OS/Arch: linux/", kArchitecture, "\nquoin Version: ", kQuoinVersion, "\n");
}

}  // namespace quoin::config

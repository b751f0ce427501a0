#include "raft/testing/script_runner.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "raft/testing/quorum_script.h"
#include "raft/testing/script_env.h"

namespace quoin::raft::testing {
namespace {

bool IsLogLine(std::string_view line) {
  const size_t start = std::min(line.find_first_not_of(' '), line.size());
  line.remove_prefix(start);
  constexpr std::array<std::string_view, 5> kLevels = {"DEBUG ", "INFO ", "WARN ", "ERROR ",
                                                       "FATAL "};
  return std::any_of(kLevels.begin(), kLevels.end(),
                     [line](std::string_view level) { return line.starts_with(level); });
}

// Without log lines and spaces at the ends of lines.
std::string Normalized(const std::string& text) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    if (IsLogLine(line)) continue;
    line.erase(line.find_last_not_of(" \t\r") + 1);
    out += line + "\n";
  }
  return out.empty() ? "ok\n" : out;
}

class Interpreter {
 public:
  std::string Handle(const Case& one) {
    const std::string& command = one.command;
    if (command == "committed" || command == "vote") return HandleQuorumCase(one);
    if (command == "simple" || command == "enter-joint" || command == "leave-joint") {
      return conf_change_.Handle(one);
    }
    return env_.Handle(one);
  }

 private:
  ScriptEnv env_;
  ConfChangeScript conf_change_;
};

}  // namespace

void ScriptResult::Add(const ScriptResult& other) {
  passed += other.passed;
  failed += other.failed;
  diffs += other.diffs;
}

ScriptResult RunScript(const std::string& path, std::string_view text) {
  ScriptResult result;
  const StatusOr<CaseFile> file = ParseCases(text);
  if (!file.ok()) {
    result.failed = 1;
    result.diffs = path + ": " + std::string(file.status().message()) + "\n";
    return result;
  }
  Interpreter interpreter;
  std::vector<std::string> outputs;
  for (const Case& one : file->cases) {
    outputs.push_back(interpreter.Handle(one));
    const std::string expected = Normalized(one.expected);
    const std::string actual = Normalized(outputs.back());
    if (expected == actual) {
      ++result.passed;
      continue;
    }
    ++result.failed;
    result.diffs += path + ":" + std::to_string(one.expected_line) + ": " + one.command +
                    "\n--- expected\n" + expected + "--- came out\n" + actual + "\n";
  }
  result.rewritten = Rewrite(*file, outputs);
  return result;
}

std::vector<std::string> FindScripts(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(folder, error), end; at != end;
       at.increment(error)) {
    if (error) break;
    if (at->is_regular_file() && at->path().extension() == ".txt") paths.push_back(at->path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string ReadWholeFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace quoin::raft::testing

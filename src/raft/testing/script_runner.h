// Replays files of cases and says where what came out differs from what is stated.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quoin::raft::testing {

struct ScriptResult {
  size_t passed = 0;
  size_t failed = 0;
  std::string diffs;      // per failed case: file:line, the command, both texts
  std::string rewritten;  // the file with what came out; log lines do not come out

  void Add(const ScriptResult& other);
};

// Picks by its commands what a file is about: a cluster, quorums, or configuration changes.
// Expected lines that start with a log level are ignored, since the core does not log; a case that
// expects nothing else expects "ok".
ScriptResult RunScript(const std::string& path, std::string_view text);

// Every .txt file of a folder and its folders, by name. Empty when there is none.
std::vector<std::string> FindScripts(const std::string& folder);
std::string ReadWholeFile(const std::string& path);

}  // namespace quoin::raft::testing

// raft_scripts [--rewrite] DIR…: replays every .txt file below the folders and prints what differs.
#include <cstdio>
#include <cstring>
#include <fstream>

#include "raft/testing/script_runner.h"

int main(int argc, char** argv) {
  using quoin::raft::testing::ScriptResult;
  bool rewrite = false;
  size_t files = 0;
  ScriptResult all;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--rewrite") == 0) {
      rewrite = true;
      continue;
    }
    for (const std::string& path : quoin::raft::testing::FindScripts(argv[i])) {
      ++files;
      const ScriptResult result =
          quoin::raft::testing::RunScript(path, quoin::raft::testing::ReadWholeFile(path));
      all.Add(result);
      if (rewrite && result.failed > 0 && !result.rewritten.empty()) {
        std::ofstream(path, std::ios::binary) << result.rewritten;
      }
    }
  }
  std::fputs(all.diffs.c_str(), stdout);
  std::printf("%zu files, %zu passed, %zu failed\n", files, all.passed, all.failed);
  return all.failed == 0 && files > 0 ? 0 : 1;
}

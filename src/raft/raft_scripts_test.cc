// Replays scripts: our own, and those of etcd's Raft where they are at hand.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "raft/testing/datadriven.h"
#include "raft/testing/script_runner.h"

namespace quoin::raft::testing {
namespace {

ScriptResult RunFolder(const std::string& folder, size_t& files) {
  ScriptResult all;
  for (const std::string& path : FindScripts(folder)) {
    ++files;
    all.Add(RunScript(path, ReadWholeFile(path)));
  }
  return all;
}

TEST(RaftScriptsTest, OurOwnScriptsComeOutAsStated) {
  size_t files = 0;
  const ScriptResult result =
      RunFolder(std::string(QUOIN_SOURCE_DIR) + "/src/raft/testdata", files);
  EXPECT_EQ(result.failed, 0u) << result.diffs;
  EXPECT_GT(result.passed, 200u);
}

TEST(RaftScriptsTest, EtcdsScriptsComeOutAsStated) {
  const char* shared = std::getenv("QUOIN_SHARED");
  const std::string folder =
      (shared != nullptr ? std::string(shared) : std::string(QUOIN_SOURCE_DIR) + "/../shared") +
      "/raft-scripts";
  size_t files = 0;
  const ScriptResult result = RunFolder(folder, files);
  if (files == 0) GTEST_SKIP() << "no scripts in " << folder;
  EXPECT_EQ(result.failed, 0u) << result.diffs;
  std::printf("[ SCRIPTS  ] %zu files, %zu cases passed\n", files, result.passed);
}

TEST(RaftScriptsTest, AWrongExpectationIsFound) {
  const ScriptResult result = RunScript("x.txt",
                                        "add-nodes 1 voters=(1) index=3\n----\nok\n\n"
                                        "raft-state\n----\n1: StateLeader (Voter) Term:0 Lead:0\n");
  EXPECT_EQ(result.passed, 1u);
  EXPECT_EQ(result.failed, 1u);
  EXPECT_NE(result.diffs.find("x.txt:7: raft-state"), std::string::npos) << result.diffs;
  EXPECT_NE(result.rewritten.find("1: StateFollower (Voter) Term:0 Lead:0"), std::string::npos);
}

TEST(DatadrivenTest, ReadsDirectivesInputAndExpectations) {
  const StatusOr<CaseFile> file = ParseCases(
      "# comment\n\ncmd 1 key=val list=( a, b ) \\\n  more\nline 1\nline 2\n----\nout 1\nout 2\n\n"
      "blank\n----\n----\na\n\nb\n----\n----\nlast\n----\n");
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(file->cases.size(), 3u);
  const Case& first = file->cases[0];
  EXPECT_EQ(first.command, "cmd");
  EXPECT_EQ(first.line, 3);
  EXPECT_EQ(first.Plain(), (std::vector<std::string>{"1", "more"}));
  EXPECT_EQ(first.Value("key"), "val");
  EXPECT_EQ(first.Find("list")->values, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(first.input, "line 1\nline 2\n");
  EXPECT_EQ(first.expected, "out 1\nout 2\n");
  EXPECT_EQ(first.expected_line, 8);
  EXPECT_EQ(file->cases[1].expected, "a\n\nb\n");
  EXPECT_EQ(file->cases[2].expected, "");
  EXPECT_FALSE(ParseCases("cmd\nno rule\n").ok());
  EXPECT_EQ(Rewrite(*file, {"new\n", "x\n\ny\n", "z"}),
            "# comment\n\ncmd 1 key=val list=( a, b ) \\\n  more\nline 1\nline 2\n----\nnew\n\n"
            "blank\n----\n----\nx\n\ny\n----\n----\nlast\n----\nz\n");
}

}  // namespace
}  // namespace quoin::raft::testing

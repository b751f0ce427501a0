// Command lines as a whole, as far as they need no server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "ctl/command.h"
#include "env/posix/posix_env.h"

namespace quoin::ctl {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Result {
  int code = 0;
  std::string out;
  std::string err;
};

class ProgramTest : public testing::Test {
 protected:
  Result Run(std::vector<std::string> arguments, std::string input = "",
             std::map<std::string, std::string> environment = {}) {
    std::istringstream in(std::move(input));
    std::ostringstream out;
    std::ostringstream err;
    Console console{in, out, err, false, [](std::string_view) -> StatusOr<std::string> {
                      return absl::UnavailableError("no terminal");
                    }};
    World world{*env_, *loop_, console, std::move(environment)};
    const ExitCode code = RunProgram(world, arguments);
    return {static_cast<int>(code), out.str(), err.str()};
  }

  const std::unique_ptr<env::Env> env_ = env::NewPosixEnv();
  const std::unique_ptr<env::Executor> loop_ = env_->NewExecutor("client");
};

TEST_F(ProgramTest, ShowsHelpInEveryWay) {
  const Result root = Run({});
  EXPECT_EQ(root.code, 0);
  EXPECT_THAT(root.out, HasSubstr("compaction  Forgets the history before a revision\n"));
  EXPECT_EQ(Run({"--help"}).out, root.out);
  EXPECT_EQ(Run({"-h"}).out, root.out);
  EXPECT_EQ(Run({"help"}).out, root.out);
  const Result hash = Run({"help", "endpoint", "hashkv"});
  EXPECT_THAT(hash.out, HasSubstr("quoinctl endpoint hashkv [options]\n"));
  EXPECT_THAT(hash.out, HasSubstr("--rev <number>"));
  EXPECT_THAT(hash.out, HasSubstr("--cluster"));
  EXPECT_EQ(Run({"endpoint", "hashkv", "--help"}).out, hash.out);
  EXPECT_EQ(Run({"end", "hashkv", "-h"}).out, hash.out);
  EXPECT_THAT(Run({"options"}).out, HasSubstr("-w, --write-out <text>"));
}

TEST_F(ProgramTest, EveryCommandExplainsItself) {
  std::vector<std::vector<std::string>> paths;
  for (const Command& command : TheProgram().root.children) {
    if (command.hidden) continue;
    EXPECT_FALSE(command.group.empty()) << command.name;
    paths.push_back({std::string(command.name)});
    for (const Command& child : command.children) {
      paths.push_back({std::string(command.name), std::string(child.name)});
      EXPECT_NE(child.run, nullptr) << child.name;
    }
    EXPECT_EQ(command.run == nullptr, !command.children.empty()) << command.name;
  }
  for (std::vector<std::string> path : paths) {
    path.push_back("--help");
    const Result result = Run(path);
    EXPECT_EQ(result.code, 0) << path[0];
    EXPECT_THAT(result.out, HasSubstr("\nUsage\n")) << path[0];
    for (size_t start = 0; start < result.out.size();) {  // fits a terminal, more or less
      const size_t end = result.out.find('\n', start);
      EXPECT_LE(end - start, 120u) << result.out.substr(start, end - start);
      start = end + 1;
    }
  }
}

TEST_F(ProgramTest, FindsCommandsByTheirStart) {
  EXPECT_THAT(Run({"vers"}).out, HasSubstr("API version: 3.7"));
  EXPECT_EQ(Run({"o"}).code, 0);
  // "del" and "defrag": ambiguous.
  EXPECT_THAT(Run({"de", "x"}).err, StartsWith("Error: unknown command \"de\" for \"quoinctl\""));
}

TEST_F(ProgramTest, GlobalFlagsMayStandAnywhere) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--hex", "-w", "json", "version"},
        {"version", "--write-out=json"},
        {"-wjson", "--endpoints", "get", "version"}}) {
    EXPECT_THAT(Run(arguments).out, HasSubstr("API version: 3.7"));
  }
}

TEST_F(ProgramTest, NamesWhatItDoesNotKnow) {
  const Result command = Run({"putt", "a"});
  EXPECT_EQ(command.code, 1);
  EXPECT_EQ(command.out, "");
  EXPECT_EQ(command.err,
            "Error: unknown command \"putt\" for \"quoinctl\"\n\nDid you mean this?\n\tput\n\n"
            "Run 'quoinctl --help' for usage.\n");
  const Result flag = Run({"get", "a", "--bar"});
  EXPECT_EQ(flag.code, 1);
  EXPECT_THAT(flag.err, StartsWith("Error: unknown flag: --bar\n"));
  EXPECT_THAT(flag.err, HasSubstr("quoinctl get [options] <key> [range_end]"));
  EXPECT_THAT(Run({"get", "--limit", "x"}).err,
              StartsWith("Error: invalid argument \"x\" for \"--limit\" flag: strconv.ParseInt"));
}

TEST_F(ProgramTest, TellsBadArgumentsApart) {
  struct Case {
    std::vector<std::string> arguments;
    int code;
  };
  const Case cases[] = {
      {{"get"}, 128},
      {{"put", "k", "v", "--lease", "zz"}, 128},
      {{"get", "k", "--order", "up"}, 4},
      {{"get", "k", "-w", "xml"}, 4},
      {{"member", "list", "--consistency", "x"}, 4},
      {{"compaction"}, 128},
      {{"compaction", "x"}, 1},
      {{"alarm", "list", "x"}, 128},
      {{"snapshot", "save"}, 128},
      {{"txn", "x"}, 128},
      {{"snapshot", "save", "f", "--endpoints", "a:1,b:1"}, 5},
      {{"get", "k", "--endpoints", "nonsense"}, 128},
      {{"get", "k", "--endpoints", ""}, 2},
      {{"get", "k", "--cert", ""}, 128},
      {{"completion"}, 1},
      {{"completion", "tcsh"}, 1},
  };
  for (const Case& c : cases) {
    const Result result = Run(c.arguments);
    EXPECT_EQ(result.code, c.code) << result.err;
    EXPECT_THAT(result.err, HasSubstr("Error: "));
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(ProgramTest, TxnEndsOnBadInput) {
  for (const char* input :
       {"", "value(\"a\") = \"1\"\n", "nonsense\n\n\n\n", "\n\n", "\nwatch a\n\n\n", "\n\n\n"}) {
    const Result result = Run({"txn"}, std::string(input).substr(0, std::string(input).size() - 1));
    EXPECT_EQ(result.code, 3) << input;
  }
  EXPECT_EQ(Run({"txn"}, "value(\"a\") = \"1\"").err, "Error: EOF\n");
  EXPECT_EQ(Run({"txn"}, "\nput a b --lease zz\n").code, 128);
  const Result interactive = Run({"txn", "-i"}, "\n\n");
  EXPECT_EQ(interactive.out,
            "compares:\nsuccess requests (get, put, del):\nfailure requests (get, put, del):\n");
}

// etcd's texts, for those who search for them.
TEST_F(ProgramTest, SaysWhatArgumentIsMissingOrTooMuch) {
  const std::pair<std::vector<std::string>, const char*> lines[] = {
      {{"elect", "-l", "e", "me"}, "proposal given but -l is set"},
      {{"elect"}, "elect takes one election name argument and an optional proposal argument"},
      {{"lock"}, "lock takes a lock name argument and an optional command to execute"},
      {{"watch", "a", "--"}, "bad number of arguments (found separator --, but no commands)"},
      {{"lease", "timetolive"}, "lease timetolive command needs lease ID as argument"},
      {{"lease", "keep-alive"}, "lease keep-alive command needs lease ID as argument"},
      {{"lease", "revoke"}, "lease revoke command needs 1 argument"},
      {{"member", "remove"}, "member ID is not provided"},
      {{"member", "update", "1", "2"}, "member ID is not provided"},
      {{"member", "promote"}, "member ID is not provided"},
      {{"move-leader"}, "move-leader command needs 1 argument"},
      {{"move-leader", "zz"}, R"(strconv.ParseUint: parsing "zz": invalid syntax)"},
  };
  for (const auto& [arguments, text] : lines) {
    const Result result = Run(arguments);
    EXPECT_EQ(result.code, 128) << text;
    EXPECT_EQ(result.err, std::string("Error: ") + text + "\n");
  }
}

TEST_F(ProgramTest, TakesTheEnvironment) {
  // The format is refused before anything is sent.
  EXPECT_EQ(Run({"get", "k"}, "", {{"ETCDCTL_WRITE_OUT", "xml"}}).code, 4);
  const Result both = Run({"get", "k", "-w", "json"}, "", {{"ETCDCTL_WRITE_OUT", "xml"}});
  EXPECT_EQ(both.code, 1);
  EXPECT_THAT(both.err, HasSubstr(R"("msg":"conflicting environment variable is shadowed)"));
  EXPECT_THAT(both.err, HasSubstr(R"("environment-variable":"ETCDCTL_WRITE_OUT"})"));
  const Result unknown =
      Run({"get", "k", "-w", "xml"}, "", {{"ETCDCTL_FOO", "1"}, {"ETCDCTL_API", "3"}});
  EXPECT_THAT(unknown.err, HasSubstr(R"("environment-variable":"ETCDCTL_FOO=1"})"));
  EXPECT_THAT(unknown.err, Not(HasSubstr("ETCDCTL_API")));
  const Result nonsense =
      Run({"get", "k", "-w", "xml"}, "", {{"ETCDCTL_DIAL_TIMEOUT", "zz"}, {"ETCDCTL_USER", ""}});
  EXPECT_EQ(nonsense.code, 4) << "what means nothing is told, and passed over";
  EXPECT_THAT(nonsense.err, HasSubstr(R"("environment-variable":"ETCDCTL_DIAL_TIMEOUT")"));
  EXPECT_THAT(nonsense.err, HasSubstr(R"("environment-variable":"ETCDCTL_USER=")"));
}

TEST_F(ProgramTest, AsksForAPasswordOnlyWhenThereIsNone) {
  EXPECT_EQ(Run({"get", "k", "--user", "root"}).err, "Error: no terminal\n");
  EXPECT_EQ(Run({"get", "k", "--user", "root", "-w", "xml"}).code, 4);
}

}  // namespace
}  // namespace quoin::ctl

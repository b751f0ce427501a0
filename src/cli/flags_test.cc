#include "cli/flags.h"

#include <gtest/gtest.h>

#include "cli/strings.h"

namespace quoin::cli {
namespace {

constexpr FlagSpec kTable[] = {
    {"endpoints", FlagType::kStringList, "a:1", ""},
    {"write-out", FlagType::kString, "simple", "", 'w'},
    {"hex", FlagType::kBool, "", ""},
    {"interactive", FlagType::kBool, "", "", 'i'},
    {"limit", FlagType::kInt, "0", ""},
    {"timeout", FlagType::kDuration, "5s", ""},
};

using Arguments = std::vector<std::string>;

// The error of parsing `arguments`, or "".
std::string Error(const Arguments& arguments) {
  Flags flags({kTable});
  return std::string(Message(flags.Parse(arguments).status()));
}

TEST(FlagsTest, HasDefaults) {
  Flags flags({kTable});
  EXPECT_EQ(flags.List("endpoints"), Arguments{"a:1"});
  EXPECT_EQ(flags.String("write-out"), "simple");
  EXPECT_FALSE(flags.Bool("hex"));
  EXPECT_EQ(flags.Duration("timeout"), std::chrono::seconds(5));
  EXPECT_FALSE(flags.Changed("timeout"));
}

TEST(FlagsTest, TakesEverySpelling) {
  Flags flags({kTable});
  const auto rest = flags.Parse(
      Arguments{"get", "--limit=7", "--timeout", "1m", "-wjson", "-i", "--hex=false", "key"});
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_EQ(*rest, (Arguments{"get", "key"}));
  EXPECT_EQ(flags.Int("limit"), 7);
  EXPECT_EQ(flags.Duration("timeout"), std::chrono::minutes(1));
  EXPECT_EQ(flags.String("write-out"), "json");
  EXPECT_TRUE(flags.Bool("interactive"));
  EXPECT_TRUE(flags.Changed("hex"));
  EXPECT_FALSE(flags.Bool("hex"));
}

TEST(FlagsTest, ShortFlagsTakeTheirValueInThreeWays) {
  for (const Arguments& arguments :
       {Arguments{"-w", "json"}, Arguments{"-w=json"}, Arguments{"-iwjson"}}) {
    Flags flags({kTable});
    ASSERT_TRUE(flags.Parse(arguments).ok());
    EXPECT_EQ(flags.String("write-out"), "json");
  }
}

TEST(FlagsTest, DashDashEndsFlags) {
  Flags flags({kTable});
  const auto rest = flags.Parse(Arguments{"key", "--", "--hex", "-x"});
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(*rest, (Arguments{"key", "--hex", "-x"}));
  EXPECT_FALSE(flags.Bool("hex"));
}

TEST(FlagsTest, ListsReplaceTheDefaultAndThenGrow) {
  Flags flags({kTable});
  ASSERT_TRUE(flags.Parse(Arguments{"--endpoints", "b:1,c:2", "--endpoints=\"d,e\":3"}).ok() ==
              false);
  Flags good({kTable});
  ASSERT_TRUE(good.Parse(Arguments{"--endpoints", "b:1,c:2", "--endpoints=\"d,e\""}).ok());
  EXPECT_EQ(good.List("endpoints"), (Arguments{"b:1", "c:2", "d,e"}));
}

TEST(FlagsTest, HelpIsNoError) {
  Flags flags({kTable});
  ASSERT_TRUE(flags.Parse(Arguments{"-h", "--nonsense"}).ok());
  EXPECT_TRUE(flags.help_wanted());
}

TEST(FlagsTest, SaysWhatUsersOfEtcdctlKnow) {
  EXPECT_EQ(Error({"--foo"}), "unknown flag: --foo");
  EXPECT_EQ(Error({"-ix"}), "unknown shorthand flag: 'x' in -ix");
  EXPECT_EQ(Error({"--limit"}), "flag needs an argument: --limit");
  EXPECT_EQ(Error({"-w"}), "flag needs an argument: 'w' in -w");
  EXPECT_EQ(Error({"--=x"}), "bad flag syntax: --=x");
  EXPECT_EQ(
      Error({"--limit", "x"}),
      R"(invalid argument "x" for "--limit" flag: strconv.ParseInt: parsing "x": invalid syntax)");
  EXPECT_EQ(Error({"--hex=maybe"}), R"(invalid argument "maybe" for "--hex" flag: )"
                                    R"(strconv.ParseBool: parsing "maybe": invalid syntax)");
  EXPECT_EQ(Error({"--interactive="}), R"(invalid argument "" for "-i, --interactive" flag: )"
                                       R"(strconv.ParseBool: parsing "": invalid syntax)");
  EXPECT_EQ(Error({"--timeout", "5"}),
            R"(invalid argument "5" for "--timeout" flag: time: missing unit in duration "5")");
}

}  // namespace
}  // namespace quoin::cli

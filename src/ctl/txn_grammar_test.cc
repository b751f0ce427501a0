#include "ctl/txn_grammar.h"

#include <gtest/gtest.h>

#include "base/prng.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

using Words = std::vector<std::string>;

std::string Compared(std::string_view line) {
  const auto compare = ParseCompare(line);
  return compare.ok() ? compare->ShortDebugString()
                      : "error: " + std::string(Message(compare.status()));
}

std::string Requested(std::string_view line) {
  const auto request = ParseRequestLine(line);
  return request.ok() ? request->op.ShortDebugString()
                      : "error: " + std::string(Message(request.status()));
}

TEST(ParseCompareTest, KnowsEveryTarget) {
  EXPECT_EQ(Compared(R"(ver("k") = "3")"), R"(key: "k" version: 3)");
  EXPECT_EQ(Compared(R"(version("k") > "3")"), R"(result: GREATER key: "k" version: 3)");
  // Zero has to stay visible: it is the member of the oneof that tells the target.
  EXPECT_EQ(Compared(R"(c("k") != "0")"),
            R"(result: NOT_EQUAL target: CREATE key: "k" create_revision: 0)");
  EXPECT_EQ(Compared(R"(create("k") = "5")"), R"(target: CREATE key: "k" create_revision: 5)");
  EXPECT_EQ(Compared(R"(m("k") < "7")"), R"(result: LESS target: MOD key: "k" mod_revision: 7)");
  EXPECT_EQ(Compared(R"(mod("k") = "7")"), R"(target: MOD key: "k" mod_revision: 7)");
  EXPECT_EQ(Compared(R"(val("k") = "7")"), R"(target: VALUE key: "k" value: "7")");
  EXPECT_EQ(Compared(R"(value("k") = "")"), R"(target: VALUE key: "k" value: "")");
  EXPECT_EQ(Compared(R"(lease("k") = "1f")"), R"(target: LEASE key: "k" lease: 31)");
}

TEST(ParseCompareTest, TakesGoQuotingAndSpaces) {
  EXPECT_EQ(Compared("val(\"a\\\"b\\x00\")   =\t\"c)d\" trailing"),
            R"(target: VALUE key: "a\"b\000" value: "c)d")");
  EXPECT_EQ(Compared(R"(val( "k") = `raw\n`)"), R"(target: VALUE key: "k" value: "raw\\n")");
}

TEST(ParseCompareTest, RefusesWhatIsMalformed) {
  for (std::string_view bad :
       {R"(val "k" = "v")", R"(val(k) = "v")", R"(val("k") = v)", R"(val("k")="v")",
        R"(val("k" ) = "v")", R"(val("k") ="v")", R"(val("k) = "v")", R"(size("k") = "1")",
        R"(val("k") == "v")", R"(val("k") >= "v")", R"(ver("k") = "x")", R"(ver("k") = "1.5")",
        R"(lease("k") = "xyz")", R"(ver("k") = "99999999999999999999")", R"(("k") = "v")", "val(",
        "("}) {
    const auto compare = ParseCompare(bad);
    EXPECT_FALSE(compare.ok()) << bad;
    EXPECT_EQ(compare.status().code(), StatusCode::kOutOfRange) << bad;
  }
  EXPECT_EQ(Compared(R"(size("k") = "1")"),
            R"(error: malformed comparison: size("k") = "1" (unknown target size))");
  EXPECT_EQ(Compared(R"(ver("k") = "x")"), R"(error: invalid txn compare request: ver("k") = "x")");
}

TEST(SplitWordsTest, QuotesLikeAShell) {
  EXPECT_EQ(*SplitWords("put  a\tb "), (Words{"put", "a", "b"}));
  EXPECT_EQ(*SplitWords(R"(put "a b" 'c "d" \n')"), (Words{"put", "a b", R"(c "d" \n)"}));
  EXPECT_EQ(*SplitWords(R"("a\"b\x41\n" "")"), (Words{"a\"bA\n", ""}));
  EXPECT_EQ(*SplitWords("--lease=1f a'b"), (Words{"--lease=1f", "a'b"}));
  EXPECT_EQ(*SplitWords(R"("a""b"'c')"), (Words{"a", "b", "c"}));
  EXPECT_EQ(*SplitWords(R"(put "open)"), (Words{"put", "open"}));
  EXPECT_EQ(*SplitWords("put 'open"), (Words{"put", "open"}));
  EXPECT_EQ(*SplitWords(""), Words{});
  EXPECT_FALSE(SplitWords(R"(put "\q")").ok());
}

TEST(SplitWordsTest, EndsOnAnything) {
  const uint64_t seed = 7;
  SCOPED_TRACE(seed);
  Prng prng(seed);
  for (int round = 0; round < 5000; ++round) {
    std::string line(prng.Below(12), ' ');
    for (char& c : line) c = "\"'\\ ax\t\x80("[prng.Below(9)];
    (void)SplitWords(line);
    (void)ParseCompare(line);
    (void)ParseRequestLine(line);
  }
}

TEST(ParseRequestLineTest, TakesTheCommandsWithTheirOptions) {
  EXPECT_EQ(Requested("put a b --prev-kv"), R"(request_put { key: "a" value: "b" prev_kv: true })");
  EXPECT_EQ(Requested(R"(put "key with space" 'v' --lease=1f)"),
            R"(request_put { key: "key with space" value: "v" lease: 31 })");
  EXPECT_EQ(Requested("get --prefix a --limit 3"),
            R"(request_range { key: "a" range_end: "b" limit: 3 })");
  EXPECT_EQ(Requested("del a b --range"), R"(request_delete_range { key: "a" range_end: "b" })");
  EXPECT_EQ(Requested("p a b"), R"(request_put { key: "a" value: "b" })");
  EXPECT_EQ(ParseRequestLine("del a b --range")->warning, "");
  EXPECT_NE(ParseRequestLine("del a b")->warning, "");
}

TEST(ParseRequestLineTest, RefusesWhatIsMalformed) {
  EXPECT_EQ(Requested("get"), "error: invalid txn compare request: get");
  EXPECT_EQ(Requested("watch a"), "error: invalid txn request: watch a");
  EXPECT_EQ(Requested("get a --nonsense"), "error: invalid txn request: get a --nonsense");
  EXPECT_EQ(Requested("put a"),
            "error: put command needs 1 argument and input from stdin or 2 arguments");
  EXPECT_EQ(ParseRequestLine("get a --order up").status().code(), StatusCode::kUnimplemented);
  EXPECT_EQ(ParseRequestLine("get a b --prefix").status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace quoin::ctl

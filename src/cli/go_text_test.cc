#include "cli/go_text.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>

#include "base/prng.h"
#include "cli/strings.h"

namespace quoin::cli {
namespace {

using namespace std::chrono_literals;

TEST(QuoteTest, EscapesAsGoDoes) {
  EXPECT_EQ(Quote("plain"), R"("plain")");
  EXPECT_EQ(Quote(""), R"("")");
  EXPECT_EQ(Quote("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(Quote("\a\b\f\n\r\t\v"), R"("\a\b\f\n\r\t\v")");
  EXPECT_EQ(Quote(std::string("\0\x01\x1f\x7f", 4)), R"("\x00\x01\x1f\x7f")");
  EXPECT_EQ(Quote("it's"), R"("it's")");
}

TEST(QuoteTest, KeepsPrintableUnicodeAndEscapesTheRest) {
  EXPECT_EQ(Quote("grün 日本 🙂"), "\"grün 日本 🙂\"");
  EXPECT_EQ(Quote("\u00a0"), R"("\u00a0")");  // no-break space
  EXPECT_EQ(Quote("\u200b"), R"("\u200b")");  // zero width space
  EXPECT_EQ(Quote("\u3000"), R"("\u3000")");  // ideographic space
  EXPECT_EQ(Quote("\ufeff"), R"("\ufeff")");  // byte order mark
  EXPECT_EQ(Quote("\ufffd"), "\"\ufffd\"");   // the replacement character is a symbol
  EXPECT_EQ(Quote("\U000e0001"), R"("\U000e0001")");
  EXPECT_EQ(Quote("\U0010ffff"), R"("\U0010ffff")");
}

TEST(QuoteTest, ShowsBrokenUtf8ByteForByte) {
  EXPECT_EQ(Quote("\xff\xfe"), R"("\xff\xfe")");
  EXPECT_EQ(Quote("a\xc3"), R"("a\xc3")");
  EXPECT_EQ(Quote("\xc0\x80"), R"("\xc0\x80")");          // overlong
  EXPECT_EQ(Quote("\xed\xa0\x80"), R"("\xed\xa0\x80")");  // surrogate
  EXPECT_EQ(Quote("\xf4\x90\x80\x80"), R"("\xf4\x90\x80\x80")");
}

TEST(TakeQuotedTest, ReadsBackWhatQuoteWrote) {
  const uint64_t seed = 20240611;
  SCOPED_TRACE(seed);
  Prng prng(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string text(prng.Below(20), '\0');
    for (char& c : text) c = static_cast<char>(prng.Below(256));
    const std::string quoted = Quote(text) + "rest";
    std::string_view input = quoted;
    const StatusOr<std::string> read = TakeQuoted(input);
    ASSERT_TRUE(read.ok()) << quoted;
    EXPECT_EQ(*read, text) << quoted;
    EXPECT_EQ(input, "rest");
  }
}

TEST(TakeQuotedTest, KnowsEveryEscape) {
  std::string_view input = R"("\x41\101\u00e9\U0001f642\n\"" tail)";
  const StatusOr<std::string> read = TakeQuoted(input);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, "AA\u00e9\U0001f642\n\"");
  EXPECT_EQ(input, " tail");
  std::string_view raw = R"(`a\nb"` x)";
  EXPECT_EQ(*TakeQuoted(raw), R"(a\nb")");
}

TEST(TakeQuotedTest, RefusesWhatIsMalformed) {
  for (std::string_view bad : {"", "abc", "\"abc", "`abc", R"("\q")", R"("\x4")", R"("\400")",
                               R"("\ud800")", R"("\U00110000")", R"("\'")", "\"\\"}) {
    std::string_view input = bad;
    EXPECT_FALSE(TakeQuoted(input).ok()) << bad;
  }
}

TEST(ParseIntTest, TakesGoNumbers) {
  EXPECT_EQ(*ParseInt("42", 10), 42);
  EXPECT_EQ(*ParseInt("-9223372036854775808", 10), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(*ParseInt("+7", 10), 7);
  EXPECT_EQ(*ParseInt("ff", 16), 255);
  EXPECT_EQ(*ParseInt("0x1_000", 0), 4096);
  EXPECT_EQ(*ParseInt("0b101", 0), 5);
  EXPECT_EQ(*ParseInt("0o17", 0), 15);
  EXPECT_EQ(*ParseInt("017", 0), 15);
  EXPECT_EQ(*ParseInt("0", 0), 0);
}

TEST(ParseIntTest, SaysWhatGoSays) {
  const auto error = [](std::string_view text, int base) {
    return std::string(Message(ParseInt(text, base).status()));
  };
  EXPECT_EQ(error("x", 10), R"(strconv.ParseInt: parsing "x": invalid syntax)");
  EXPECT_EQ(error("", 10), R"(strconv.ParseInt: parsing "": invalid syntax)");
  EXPECT_EQ(error("-", 10), R"(strconv.ParseInt: parsing "-": invalid syntax)");
  EXPECT_EQ(error("zz", 16), R"(strconv.ParseInt: parsing "zz": invalid syntax)");
  EXPECT_EQ(error("9223372036854775808", 10),
            R"(strconv.ParseInt: parsing "9223372036854775808": value out of range)");
  EXPECT_EQ(error("99999999999999999999999", 10),
            R"(strconv.ParseInt: parsing "99999999999999999999999": value out of range)");
  EXPECT_EQ(Message(ParseUint("-1", 16).status()),
            R"(strconv.ParseUint: parsing "-1": invalid syntax)");
  EXPECT_EQ(*ParseUint("ffffffffffffffff", 16), UINT64_MAX);
}

TEST(ParseBoolTest, TakesGoBooleans) {
  EXPECT_TRUE(*ParseBool("T"));
  EXPECT_FALSE(*ParseBool("False"));
  EXPECT_EQ(Message(ParseBool("yes").status()),
            R"(strconv.ParseBool: parsing "yes": invalid syntax)");
}

TEST(DurationTest, Parses) {
  EXPECT_EQ(*ParseDuration("5s"), 5s);
  EXPECT_EQ(*ParseDuration("1m30s"), 90s);
  EXPECT_EQ(*ParseDuration("1.5h"), 90min);
  EXPECT_EQ(*ParseDuration("300ms"), 300ms);
  EXPECT_EQ(*ParseDuration("10us"), 10us);
  EXPECT_EQ(*ParseDuration("10\u00b5s"), 10us);
  EXPECT_EQ(*ParseDuration("-1s"), -1s);
  EXPECT_EQ(*ParseDuration("0"), 0s);
  EXPECT_EQ(*ParseDuration(".5s"), 500ms);
}

TEST(DurationTest, SaysWhatGoSays) {
  const auto error = [](std::string_view text) {
    return std::string(Message(ParseDuration(text).status()));
  };
  EXPECT_EQ(error("x"), R"(time: invalid duration "x")");
  EXPECT_EQ(error(""), R"(time: invalid duration "")");
  EXPECT_EQ(error("."), R"(time: invalid duration ".")");
  EXPECT_EQ(error("5"), R"(time: missing unit in duration "5")");
  EXPECT_EQ(error("5x"), R"(time: unknown unit "x" in duration "5x")");
  EXPECT_EQ(error("9999999h"), R"(time: invalid duration "9999999h")");
}

TEST(DurationTest, Formats) {
  EXPECT_EQ(FormatDuration(0s), "0s");
  EXPECT_EQ(FormatDuration(999ns), "999ns");
  EXPECT_EQ(FormatDuration(1500ns), "1.5\u00b5s");
  EXPECT_EQ(FormatDuration(1234567ns), "1.234567ms");
  EXPECT_EQ(FormatDuration(2s), "2s");
  EXPECT_EQ(FormatDuration(5034000000ns), "5.034s");
  EXPECT_EQ(FormatDuration(90s), "1m30s");
  EXPECT_EQ(FormatDuration(3600s), "1h0m0s");
  EXPECT_EQ(FormatDuration(-1500ms), "-1.5s");
  EXPECT_EQ(FormatDuration(env::Duration::max()), "2562047h47m16.854775807s");
}

TEST(TimestampTest, IsInUtcWithAsManyDigitsAsItsUnit) {
  EXPECT_EQ(Timestamp(std::chrono::seconds(0)), "1970-01-01T00:00:00Z");
  EXPECT_EQ(Timestamp(std::chrono::seconds(1767323045)), "2026-01-02T03:04:05Z");
  EXPECT_EQ(Timestamp(std::chrono::milliseconds(1767323045007)), "2026-01-02T03:04:05.007Z");
}

TEST(HumanBytesTest, UsesPowersOfThousand) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(9), "9 B");
  EXPECT_EQ(HumanBytes(999), "999 B");
  EXPECT_EQ(HumanBytes(1000), "1.0 kB");
  EXPECT_EQ(HumanBytes(20480), "20 kB");
  EXPECT_EQ(HumanBytes(24576), "25 kB");
  EXPECT_EQ(HumanBytes(2147483648), "2.1 GB");
  EXPECT_EQ(HumanBytes(UINT64_MAX), "18 EB");
}

TEST(Base64Test, Pads) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foo"), "Zm9v");
  EXPECT_EQ(Base64("foob"), "Zm9vYg==");
  EXPECT_EQ(Base64("\xff\xfe\xfd"), "//79");
}

TEST(HexEscapedTest, WritesEveryByte) { EXPECT_EQ(HexEscaped("ke\xff"), R"(\x6b\x65\xff)"); }

}  // namespace
}  // namespace quoin::cli

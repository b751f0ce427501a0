#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <iterator>
#include <thread>

#include "base/prng.h"
#include "logging/json_logger.h"
#include "logging/json_text.h"

namespace quoin::logging {
namespace {

class FixedClock final : public env::Clock {
 public:
  explicit FixedClock(env::Duration wall) : wall_(wall) {}
  env::Duration Now() const override { return now; }
  env::Duration WallNow() const override {
    ++times_asked;
    return wall_;
  }
  env::Duration now{};
  mutable int times_asked = 0;  // once for each line that is built

 private:
  env::Duration wall_;
};

class MemorySink final : public LineSink {
 public:
  explicit MemorySink(std::vector<std::string>& lines) : lines_(lines) {}
  void Write(std::string_view line) override { lines_.emplace_back(line); }

 private:
  std::vector<std::string>& lines_;
};

// 2026-02-28T23:59:59.000007Z
constexpr env::Duration kTime{1772323199'000'007'000};

class LoggingTest : public testing::Test {
 protected:
  std::unique_ptr<JsonLogger> Make(Format format, LogLevel level) {
    std::vector<std::unique_ptr<LineSink>> sinks;
    sinks.push_back(std::make_unique<MemorySink>(lines_));
    return std::make_unique<JsonLogger>(std::move(sinks), format, level, clock_);
  }
  // The caller's line number masked, which only this file's layout decides.
  std::string Last() {
    std::string line = lines_.back();
    size_t at = line.find("logging_test.cc:") + 16;
    size_t end = at;
    while (end < line.size() && line[end] >= '0' && line[end] <= '9') ++end;
    EXPECT_GT(end, at);
    return line.replace(at, end - at, "N");
  }

  FixedClock clock_{kTime};
  std::vector<std::string> lines_;
};

TEST_F(LoggingTest, JsonLineHasEtcdsFieldsInOrder) {
  auto log = Make(Format::kJson, LogLevel::kInfo);
  log->Warn("slow \"apply\"", {{"took", "1s"},
                               {"n", -3},
                               {"u", uint64_t{18446744073709551615u}},
                               {"ok", true},
                               {"x", 0.5},
                               {"args", std::vector<std::string>{"a", "b\n"}}});
  EXPECT_EQ(
      Last(),
      "{\"level\":\"warn\",\"ts\":\"2026-02-28T23:59:59.000007Z\",\"caller\":\"logging/"
      "logging_test.cc:N\","
      "\"msg\":\"slow "
      "\\\"apply\\\"\",\"took\":\"1s\",\"n\":-3,\"u\":18446744073709551615,\"ok\":true,\"x\":0.5,"
      "\"args\":[\"a\",\"b\\n\"]}\n");
}

class RepeatsTest : public LoggingTest {
 protected:
  void Complain(std::string_view peer, int number = 0) {
    log_->Warn("refused a raft message", {{"from", peer}, {"number", number}});
  }
  // Of all lines so far, what follows the message.
  std::vector<std::string> Said() const {
    std::vector<std::string> said;
    for (const std::string& line : lines_) {
      const size_t at = line.find("\"msg\":") + 6;
      said.push_back(line.substr(at, line.size() - at - 1));
    }
    return said;
  }
  void Wait(env::Duration time) { clock_.now += time; }

  std::unique_ptr<JsonLogger> log_ = Make(Format::kJson, LogLevel::kInfo);
};

TEST_F(RepeatsTest, ACauseSpeaksOnceASecondAndTheRestIsCounted) {
  for (int i = 0; i < 25; ++i, Wait(std::chrono::milliseconds(100))) Complain("a", i);
  EXPECT_THAT(Said(), testing::ElementsAre(
                          R"("refused a raft message","from":"a","number":0})",
                          R"("refused a raft message","from":"a","number":10,"repeated":9})",
                          R"("refused a raft message","from":"a","number":20,"repeated":9})"));
}

TEST_F(RepeatsTest, WhatIsHeldBackIsNotBuilt) {
  for (int i = 0; i < 25; ++i) Complain("a", i);
  EXPECT_EQ(clock_.times_asked, 1);
}

TEST_F(RepeatsTest, OtherCausesAreNotHeldBack) {
  Complain("a");
  Complain("b");
  Complain("a");
  log_->Warn("something else", {{"from", "a"}});
  EXPECT_EQ(lines_.size(), 3u);
}

TEST_F(RepeatsTest, WhatWasHeldBackIsToldWhenTheSecondIsOver) {
  for (int i = 0; i < 3; ++i) Complain("a");
  Wait(std::chrono::seconds(1));
  log_->Info("all is well");
  EXPECT_THAT(Said(),
              testing::ElementsAre(R"("refused a raft message","from":"a","number":0})",
                                   R"("refused a raft message","repeated":2,"about":"from=a"})",
                                   R"("all is well"})"));
}

TEST_F(RepeatsTest, WhatWasHeldBackIsToldAtTheEnd) {
  for (int i = 0; i < 3; ++i) Complain("a");
  log_.reset();
  ASSERT_EQ(lines_.size(), 2u);
  EXPECT_THAT(Said().back(), testing::HasSubstr(R"("repeated":2)"));
}

TEST_F(RepeatsTest, CausesThatDifferEachTimeAreBoundedTogether) {
  for (int i = 0; i < 5000; ++i) Complain("127.0.0.1:" + std::to_string(i));
  EXPECT_EQ(lines_.size(), Repeats::kLinesPerPlace);
  Wait(std::chrono::seconds(1));
  Complain("127.0.0.1:1");
  EXPECT_EQ(lines_.size(), Repeats::kLinesPerPlace + 2);
  EXPECT_THAT(lines_, testing::Contains(testing::HasSubstr(R"("repeated":4990})")));
}

TEST_F(RepeatsTest, LinesThatTellWhatHappensAreAllWritten) {
  for (int i = 0; i < 3; ++i) log_->Info("added member", {{"name", "m"}});
  EXPECT_EQ(lines_.size(), 3u);
}

TEST_F(LoggingTest, ConsoleLine) {
  auto log = Make(Format::kConsole, LogLevel::kInfo);
  log->Info("ready");
  EXPECT_EQ(Last(), "2026-02-28T23:59:59.000007Z\tinfo\tlogging/logging_test.cc:N\tready\n");
  log->Info("ready", {{"a", 1}, {"b", "c"}});
  EXPECT_EQ(Last(),
            "2026-02-28T23:59:59.000007Z\tinfo\tlogging/"
            "logging_test.cc:N\tready\t{\"a\":1,\"b\":\"c\"}\n");
}

TEST_F(LoggingTest, LinesBelowTheLevelAreDropped) {
  auto log = Make(Format::kJson, LogLevel::kWarn);
  log->Debug("no");
  log->Info("no");
  log->Write(LogLevel::kInfo, std::source_location::current(), "no", nullptr, 0);
  EXPECT_TRUE(lines_.empty());
  log->Error("yes");
  EXPECT_EQ(lines_.size(), 1u);
}

TEST_F(LoggingTest, FatalLinesCarryAStackTraceField) {
  for (Format format : {Format::kJson, Format::kConsole}) {
    auto log = Make(format, LogLevel::kInfo);
    log->Write(LogLevel::kFatal, std::source_location::current(), "discovery failed", nullptr, 0);
    EXPECT_THAT(Last(), testing::HasSubstr("\"stacktrace\":\"\"}\n"));
    EXPECT_THAT(Last(), testing::Not(testing::HasSubstr(",,")));
    EXPECT_THAT(Last(), testing::Not(testing::HasSubstr("{,")));
  }
}

// An output that nobody reads holds another thread up: the last line gives up.
TEST_F(LoggingTest, TheLastLineDoesNotWaitForOutputsThatStayTaken) {
  struct Stuck final : LineSink {
    void Write(std::string_view) override {
      ++writes;
      taken.set_value();
      release.get_future().wait();
    }
    std::promise<void> taken, release;
    int writes = 0;
  };
  auto sink = std::make_unique<Stuck>();
  Stuck& stuck = *sink;
  std::vector<std::unique_ptr<LineSink>> sinks;
  sinks.push_back(std::move(sink));
  JsonLogger log(std::move(sinks), Format::kJson, LogLevel::kInfo, clock_);
  std::thread other([&] { log.Info("x"); });
  stuck.taken.get_future().wait();
  log.WriteLast("a check failed", {{"error", "why"}});
  stuck.release.set_value();
  other.join();
  EXPECT_EQ(stuck.writes, 1);

  auto free = Make(Format::kJson, LogLevel::kFatal);
  free->WriteLast("disk error", {{"error", "why"}});
  EXPECT_THAT(Last(), testing::HasSubstr("\"level\":\"fatal\""));
  EXPECT_THAT(Last(), testing::HasSubstr("\"msg\":\"disk error\",\"error\":\"why\""));
}

TEST(JsonText, EscapesAndReplaces) {
  auto json = [](std::string_view text) {
    std::string out;
    AppendJsonString(out, text);
    return out;
  };
  EXPECT_EQ(json(""), "\"\"");
  EXPECT_EQ(json("a\\b\"c\t\r\n"), "\"a\\\\b\\\"c\\t\\r\\n\"");
  EXPECT_EQ(json(std::string_view("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\\u007f\"");
  EXPECT_EQ(json("µ€😀"), "\"µ€😀\"");
  EXPECT_EQ(json("a\xff"
                 "b"),
            "\"a\\ufffdb\"");
  EXPECT_EQ(json("\xc3"), "\"\\ufffd\"");                        // cut off
  EXPECT_EQ(json("\xc0\xaf"), "\"\\ufffd\\ufffd\"");             // overlong
  EXPECT_EQ(json("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");  // surrogate
}

// Whatever bytes come, the text between the quotes is valid UTF-8 without control characters.
TEST(JsonText, AnyBytesGiveCleanText) {
  uint64_t seed = 20240611;
  SCOPED_TRACE(seed);
  Prng random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (uint64_t n = random.Below(12); n > 0; --n) bytes += static_cast<char>(random.Below(256));
    std::string once;
    AppendJsonString(once, bytes);
    for (char c : once) ASSERT_GE(static_cast<unsigned char>(c), 0x20);
    // What came out is clean: nothing in it needs replacing again.
    std::string inner = once.substr(1, once.size() - 2);
    std::string twice;
    AppendJsonString(twice, inner);
    for (size_t at = twice.find("\\ufffd"); at != std::string::npos;
         at = twice.find("\\ufffd", at + 1)) {
      ASSERT_EQ(twice[at - 1], '\\') << twice;  // an escaped backslash, not a new replacement
    }
  }
}

TEST(OpenSink, AppendsToAFile) {
  std::string path = testing::TempDir() + "/quoin_log_test";
  std::remove(path.c_str());
  for (const char* line : {"one\n", "two\n"}) {
    auto sink = OpenSink(path);
    ASSERT_TRUE(sink.ok()) << sink.status();
    (*sink)->Write(line);
  }
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "one\ntwo\n");
  std::remove(path.c_str());
  auto bad = OpenSink("/nonexistent/dir/log");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(
      std::string(bad.status().message()),
      "open sink \"/nonexistent/dir/log\": open /nonexistent/dir/log: no such file or directory");
}

// Lines of several threads never mix.
TEST_F(LoggingTest, ManyThreads) {
  auto log = Make(Format::kJson, LogLevel::kInfo);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < 500; ++i) log->Info("m", {{"t", t}, {"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(lines_.size(), 2000u);
  for (const std::string& line : lines_) {
    EXPECT_TRUE(line.starts_with("{\"level\":\"info\"") && line.ends_with("}\n")) << line;
  }
}

}  // namespace
}  // namespace quoin::logging

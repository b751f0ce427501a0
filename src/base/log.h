// Logger: where log lines go. Passed by reference to whoever speaks; there is no global one.
//
// A line is a message and named fields, as etcd logs them. The sink (main/json_logger) adds level,
// time and caller. Thread: any thread may log; implementations synchronise.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace quoin {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError, kPanic, kFatal };

struct LogField {
  using Value =
      std::variant<std::string, int64_t, uint64_t, double, bool, std::vector<std::string>>;
  std::string_view name;
  Value value;
  LogField(std::string_view n, std::string v) : name(n), value(std::move(v)) {}
  LogField(std::string_view n, std::string_view v) : name(n), value(std::string(v)) {}
  LogField(std::string_view n, const char* v) : name(n), value(std::string(v)) {}
  LogField(std::string_view n, int v) : name(n), value(static_cast<int64_t>(v)) {}
  LogField(std::string_view n, int64_t v) : name(n), value(v) {}
  LogField(std::string_view n, uint64_t v) : name(n), value(v) {}
  LogField(std::string_view n, double v) : name(n), value(v) {}
  LogField(std::string_view n, bool v) : name(n), value(v) {}
  LogField(std::string_view n, std::vector<std::string> v) : name(n), value(std::move(v)) {}
};

class Logger {
 public:
  using Fields = std::initializer_list<LogField>;
  virtual ~Logger() = default;
  virtual void Write(LogLevel level, std::source_location caller, std::string_view message,
                     const LogField* fields, size_t count) = 0;
  virtual bool Enabled(LogLevel level) const = 0;

  void Debug(std::string_view m, Fields f = {},
             std::source_location c = std::source_location::current()) {
    Log(LogLevel::kDebug, c, m, f);
  }
  void Info(std::string_view m, Fields f = {},
            std::source_location c = std::source_location::current()) {
    Log(LogLevel::kInfo, c, m, f);
  }
  void Warn(std::string_view m, Fields f = {},
            std::source_location c = std::source_location::current()) {
    Log(LogLevel::kWarn, c, m, f);
  }
  void Error(std::string_view m, Fields f = {},
             std::source_location c = std::source_location::current()) {
    Log(LogLevel::kError, c, m, f);
  }

 private:
  void Log(LogLevel level, std::source_location c, std::string_view m, Fields f) {
    if (Enabled(level)) Write(level, c, m, f.begin(), f.size());
  }
};

// Drops everything; for tests and tools.
class NullLogger final : public Logger {
 public:
  void Write(LogLevel, std::source_location, std::string_view, const LogField*, size_t) override {}
  bool Enabled(LogLevel) const override { return false; }
};

}  // namespace quoin

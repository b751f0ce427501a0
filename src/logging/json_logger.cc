#include "logging/json_logger.h"

#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <span>
#include <system_error>
#include <utility>

#include "logging/json_text.h"

namespace quoin::logging {
namespace {

// A line of a C stream, written by one call. Does not own stderr and stdout.
class StreamSink final : public LineSink {
 public:
  StreamSink(std::FILE* stream, bool owned) : stream_(stream), owned_(owned) {}
  ~StreamSink() override {
    if (owned_) std::fclose(stream_);
  }
  // A log that cannot be written has nowhere to say so.
  void Write(std::string_view line) override {
    (void)std::fwrite(line.data(), 1, line.size(), stream_);
    (void)std::fflush(stream_);
  }

 private:
  std::FILE* const stream_;
  const bool owned_;
};

void AppendPadded(std::string& out, int64_t number, int width) {
  char digits[20];
  int count = 0;
  for (; number != 0 || count == 0; number /= 10)
    digits[count++] = static_cast<char>('0' + number % 10);
  while (count < width) digits[count++] = '0';
  while (count > 0) out += digits[--count];
}

// "2026-05-01T12:00:00.000000Z"
void AppendTime(std::string& out, env::Duration since_epoch) {
  using namespace std::chrono;
  sys_time<microseconds> now(duration_cast<microseconds>(since_epoch));
  sys_days day = floor<days>(now);
  year_month_day date(day);
  int64_t micros = (now - day).count();
  AppendPadded(out, static_cast<int>(date.year()), 4);
  out += '-';
  AppendPadded(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  AppendPadded(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  AppendPadded(out, micros / 3'600'000'000, 2);
  out += ':';
  AppendPadded(out, micros / 60'000'000 % 60, 2);
  out += ':';
  AppendPadded(out, micros / 1'000'000 % 60, 2);
  out += '.';
  AppendPadded(out, micros % 1'000'000, 6);
  out += 'Z';
}

// "server/node.cc:71": the last folder, the file and the line.
void AppendCaller(std::string& out, const std::source_location& caller) {
  std::string_view path = caller.file_name();
  size_t slash = path.rfind('/');
  if (slash != std::string_view::npos && slash != 0) {
    slash = path.rfind('/', slash - 1);
    if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  }
  out += path;
  out += ':';
  AppendPadded(out, caller.line(), 1);
}

struct Line {
  LogLevel level;
  env::Duration time;
  const std::source_location& caller;
  std::string_view message;
  std::span<const LogField> fields;

  // Readers of etcd's logs expect the field on these levels; there is no trace to put in.
  bool has_stack_trace() const { return level == LogLevel::kPanic || level == LogLevel::kFatal; }
};

// The line's own fields, `first` telling whether they open the object.
void AppendFields(std::string& out, const Line& line, bool first) {
  for (const LogField& field : line.fields) {
    AppendJsonField(out, field, first);
    first = false;
  }
  if (line.has_stack_trace()) AppendJsonField(out, {"stacktrace", ""}, first);
}

void AppendJsonLine(std::string& out, const Line& line) {
  out += "{\"level\":\"";
  out += LevelName(line.level);
  out += "\",\"ts\":\"";
  AppendTime(out, line.time);
  out += "\",\"caller\":\"";
  AppendCaller(out, line.caller);
  out += "\",\"msg\":";
  AppendJsonString(out, line.message);
  AppendFields(out, line, /*first=*/false);
  out += "}\n";
}

void AppendConsoleLine(std::string& out, const Line& line) {
  AppendTime(out, line.time);
  out += '\t';
  out += LevelName(line.level);
  out += '\t';
  AppendCaller(out, line.caller);
  out += '\t';
  out += line.message;
  if (!line.fields.empty() || line.has_stack_trace()) {
    out += "\t{";
    AppendFields(out, line, /*first=*/true);
    out += '}';
  }
  out += '\n';
}

}  // namespace

constexpr std::chrono::milliseconds kLastWait{100};

struct JsonLogger::Sinks {
  std::timed_mutex lock;
  std::vector<std::unique_ptr<LineSink>> all;  // guarded by lock
  Repeats repeats;                             // guarded by lock
};

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
    case LogLevel::kPanic:
      return "panic";
    case LogLevel::kFatal:
      return "fatal";
  }
  return "unknown";
}

StatusOr<std::unique_ptr<LineSink>> OpenSink(const std::string& output) {
  if (output == "default" || output == "stderr" || output == "systemd/journal") {
    return std::make_unique<StreamSink>(stderr, false);
  }
  if (output == "stdout") return std::make_unique<StreamSink>(stdout, false);
  std::FILE* file = std::fopen(output.c_str(), "ae");
  if (file == nullptr) {
    std::string why = std::generic_category().message(errno);
    why[0] = static_cast<char>(std::tolower(why[0]));  // as Go has them
    return absl::InvalidArgumentError("open sink \"" + output + "\": open " + output + ": " + why);
  }
  return std::make_unique<StreamSink>(file, true);
}

StatusOr<std::unique_ptr<JsonLogger>> JsonLogger::Open(const std::vector<std::string>& outputs,
                                                       Format format, LogLevel level,
                                                       const env::Clock& clock) {
  std::vector<std::unique_ptr<LineSink>> sinks;
  for (const std::string& output : outputs) {
    ASSIGN_OR_RETURN(std::unique_ptr<LineSink> sink, OpenSink(output));
    sinks.push_back(std::move(sink));
  }
  return std::make_unique<JsonLogger>(std::move(sinks), format, level, clock);
}

JsonLogger::JsonLogger(std::vector<std::unique_ptr<LineSink>> sinks, Format format, LogLevel level,
                       const env::Clock& clock)
    : format_(format), level_(level), clock_(clock), sinks_(std::make_unique<Sinks>()) {
  sinks_->all = std::move(sinks);
}

JsonLogger::~JsonLogger() {
  std::lock_guard hold(sinks_->lock);
  TellUntold(sinks_->repeats.TakeAll());
}

void JsonLogger::Put(const std::string& line) {
  for (const auto& sink : sinks_->all) sink->Write(line);
}

void JsonLogger::TellUntold(const std::vector<Repeats::Untold>& untold) {
  for (const Repeats::Untold& of : untold) {
    const LogField fields[] = {{"repeated", of.times}, {"about", of.about}};
    Put(LineOf(of.level, of.place, of.message, fields, of.about.empty() ? 1 : 2));
  }
}

std::string JsonLogger::LineOf(LogLevel level, const std::source_location& caller,
                               std::string_view message, const LogField* fields,
                               size_t count) const {
  std::string line;
  line.reserve(256);
  if (format_ == Format::kJson) {
    AppendJsonLine(line, Line{level, clock_.WallNow(), caller, message, {fields, count}});
  } else {
    AppendConsoleLine(line, Line{level, clock_.WallNow(), caller, message, {fields, count}});
  }
  return line;
}

void JsonLogger::Write(LogLevel level, std::source_location caller, std::string_view message,
                       const LogField* fields, size_t count) {
  if (!Enabled(level)) return;
  const bool counts = level == LogLevel::kWarn || level == LogLevel::kError;
  std::lock_guard hold(sinks_->lock);
  const env::Duration now = clock_.Now();
  std::optional<uint64_t> repeated = 0;
  if (counts) repeated = sinks_->repeats.MayWrite({level, caller, message, fields, count}, now);
  TellUntold(sinks_->repeats.TakeOver(now));
  if (!repeated) return;
  if (*repeated == 0) return Put(LineOf(level, caller, message, fields, count));
  std::vector<LogField> more(fields, fields + count);
  more.emplace_back("repeated", *repeated);
  Put(LineOf(level, caller, message, more.data(), more.size()));
}

void JsonLogger::WriteLast(std::string_view message, Fields fields, std::source_location caller) {
  const std::string line = LineOf(LogLevel::kFatal, caller, message, fields.begin(), fields.size());
  std::unique_lock hold(sinks_->lock, kLastWait);
  if (hold.owns_lock()) Put(line);
}

}  // namespace quoin::logging

// JsonLogger: writes log lines in etcd's form, as JSON objects or for the console.
//
//   {"level":"info","ts":"2026-05-01T12:00:00.000000Z","caller":"a/b.cc:7","msg":"…","n":1}
//   2026-05-01T12:00:00.000000Z<tab>info<tab>server/node.cc:71<tab>…<tab>{"field":"value"}
//
// Each line is written whole by one call per output. A line below the level costs one comparison
// and the making of its fields; a caller on a hot path asks Enabled() first. The panic and fatal
// levels only mark a line (and add an empty "stacktrace"); ending the process is the caller's.
//
// Warnings and errors of one cause are written once a second; what comes in between is counted
// (repeats.h): `"repeated": n` with the cause's next line, or with its message alone when the
// second is over. A line that is held back is not built.
//
// Thread: any.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "env/clock.h"
#include "logging/repeats.h"

namespace quoin::logging {

enum class Format : uint8_t { kJson, kConsole };

// Takes finished lines, newline included. Calls are serialised by the logger.
class LineSink {
 public:
  virtual ~LineSink() = default;
  virtual void Write(std::string_view line) = 0;
};

// "default", "stderr" and "systemd/journal" write to stderr, "stdout" to stdout, anything else
// appends to the file of that path, made when missing. An error names the path.
StatusOr<std::unique_ptr<LineSink>> OpenSink(const std::string& output);

class JsonLogger final : public Logger {
 public:
  // Opens all `outputs`. `clock` outlives the logger.
  static StatusOr<std::unique_ptr<JsonLogger>> Open(const std::vector<std::string>& outputs,
                                                    Format format, LogLevel level,
                                                    const env::Clock& clock);
  JsonLogger(std::vector<std::unique_ptr<LineSink>> sinks, Format format, LogLevel level,
             const env::Clock& clock);
  ~JsonLogger() override;

  void Write(LogLevel level, std::source_location caller, std::string_view message,
             const LogField* fields, size_t count) override;
  bool Enabled(LogLevel level) const override { return level >= level_; }
  // A fatal line from a process that must end: gives up when another thread does not let go of the
  // outputs, which hangs when nobody reads them.
  void WriteLast(std::string_view message, Fields fields,
                 std::source_location caller = std::source_location::current());

 private:
  // REQUIRES: the lock of sinks_ is held.
  void Put(const std::string& line);
  void TellUntold(const std::vector<Repeats::Untold>& untold);
  std::string LineOf(LogLevel level, const std::source_location& caller, std::string_view message,
                     const LogField* fields, size_t count) const;

  // Constant after construction.
  const Format format_;
  const LogLevel level_;
  const env::Clock& clock_;

  struct Sinks;  // a lock and what it protects
  const std::unique_ptr<Sinks> sinks_;
};

// "info" and so on, as etcd spells them.
std::string_view LevelName(LogLevel level);

}  // namespace quoin::logging

#include "utl/console_log.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>
#include <ostream>

#include "cli/go_text.h"
#include "logging/json_logger.h"

namespace quoin::utl {
namespace {

std::string JsonOf(const LogField::Value& value) {
  return boost::json::serialize(
      std::visit([](const auto& v) { return boost::json::value_from(v); }, value));
}

class ConsoleLog final : public Logger {
 public:
  ConsoleLog(env::Clock& clock, std::ostream& out) : clock_(clock), out_(out) {}

  void Write(LogLevel level, std::source_location, std::string_view message, const LogField* fields,
             size_t count) override {
    std::string line = fmt::format(
        "{}\t{}\t{}", cli::Timestamp(std::chrono::floor<std::chrono::seconds>(clock_.WallNow())),
        logging::LevelName(level), message);
    for (size_t i = 0; i < count; ++i) {
      line += fmt::format("{}\"{}\": {}", i == 0 ? "\t{" : ", ", fields[i].name,
                          JsonOf(fields[i].value));
    }
    if (count > 0) line += '}';
    out_ << line << std::endl;
  }
  bool Enabled(LogLevel level) const override { return level != LogLevel::kDebug; }

 private:
  env::Clock& clock_;
  std::ostream& out_;
};

}  // namespace

std::unique_ptr<Logger> NewConsoleLog(env::Clock& clock, std::ostream& out) {
  return std::make_unique<ConsoleLog>(clock, out);
}

}  // namespace quoin::utl

// Repeats: keeps a log readable while something goes wrong again and again. A cause speaks once a
// second; what it says in between is counted, and the count is told with its next line or when the
// second is over and another line is written.
//
// A cause is a place in the source, its message, and the first text field: that is the one that
// names the peer, the member or the file. Where that differs each time (a client's port), the place
// as a whole speaks kLinesPerPlace times a second, and what is beyond that is counted together.
//
// Thread: none of its own; the caller synchronises.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "env/clock.h"

namespace quoin::logging {

class Repeats {
 public:
  static constexpr env::Duration kSilence = std::chrono::seconds(1);
  static constexpr uint64_t kLinesPerPlace = 10;
  static constexpr size_t kCausesMax = 256;

  struct Line {
    LogLevel level;
    std::source_location place;
    std::string_view message;
    const LogField* fields;
    size_t count;
  };
  // Lines of a cause that were not written. `message` is the one that they had.
  struct Untold {
    LogLevel level;
    std::source_location place;
    std::string message;
    std::string about;  // the first text field: "name=value", or empty
    uint64_t times;
  };

  // How often the cause was silenced since its last line; nullopt: this one is not written.
  std::optional<uint64_t> MayWrite(const Line& line, env::Duration now);
  // Counts whose second is over, or all of them at the end; each is given once.
  std::vector<Untold> TakeOver(env::Duration now);
  std::vector<Untold> TakeAll();

 private:
  struct Cause {
    LogLevel level;
    std::source_location place;
    std::string message, about;
    env::Duration since{};
    uint64_t silenced = 0;
  };
  struct Place {
    env::Duration since{};
    uint64_t lines = 0;
  };
  static std::string PlaceOf(const std::source_location& place);
  bool PlaceMaySpeak(const std::string& place, env::Duration now);

  std::map<std::string, Cause> causes_;  // by place, message and the first text field
  std::map<std::string, Place> places_;  // as many as there are in the source
};

}  // namespace quoin::logging

#include "logging/repeats.h"

#include <utility>
#include <variant>

namespace quoin::logging {
namespace {

std::string FirstText(const Repeats::Line& line) {
  for (size_t i = 0; i < line.count; ++i) {
    const auto* text = std::get_if<std::string>(&line.fields[i].value);
    if (text != nullptr) return std::string(line.fields[i].name) + "=" + *text;
  }
  return "";
}

}  // namespace

std::string Repeats::PlaceOf(const std::source_location& place) {
  return std::string(place.file_name()) + ":" + std::to_string(place.line());
}

bool Repeats::PlaceMaySpeak(const std::string& place, env::Duration now) {
  Place& spoke = places_[place];
  if (spoke.lines == 0 || now - spoke.since >= kSilence) spoke = {now, 0};
  return spoke.lines++ < kLinesPerPlace;
}

std::optional<uint64_t> Repeats::MayWrite(const Line& line, env::Duration now) {
  const std::string place = PlaceOf(line.place);
  std::string about = FirstText(line);
  const std::string key = place + '\n' + std::string(line.message) + '\n' + about;
  const auto found = causes_.find(key);
  if (found != causes_.end() && now - found->second.since < kSilence) {
    ++found->second.silenced;
    return std::nullopt;
  }
  if (!PlaceMaySpeak(place, now) || causes_.size() >= kCausesMax) {
    // Those that come too late to speak are counted together.
    Cause& rest = causes_[place];
    if (rest.silenced == 0) rest = {line.level, line.place, std::string(line.message), "", now};
    ++rest.silenced;
    return std::nullopt;
  }
  if (found != causes_.end()) {
    found->second.since = now;
    return std::exchange(found->second.silenced, 0);
  }
  causes_[key] = {line.level, line.place, std::string(line.message), std::move(about), now};
  return 0;
}

std::vector<Repeats::Untold> Repeats::TakeOver(env::Duration now) {
  std::vector<Untold> untold;
  for (auto entry = causes_.begin(); entry != causes_.end();) {
    Cause& cause = entry->second;
    if (now - cause.since < kSilence) {
      ++entry;
      continue;
    }
    if (cause.silenced > 0) {
      untold.push_back({cause.level, cause.place, std::move(cause.message), std::move(cause.about),
                        cause.silenced});
    }
    entry = causes_.erase(entry);
  }
  return untold;
}

std::vector<Repeats::Untold> Repeats::TakeAll() { return TakeOver(env::Duration::max()); }

}  // namespace quoin::logging

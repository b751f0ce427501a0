#include "sim/watch_check.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quoin::sim {

void WatchLog::StartAt(int64_t revision) {
  CHECK(revision >= next_);
  if (started() && revision > next_) marks_.push_back({events_.size(), next_, revision - 1, true});
  if (!started()) marks_.push_back({0, 0, revision - 1, true});
  next_ = revision;
}

std::optional<std::string> WatchLog::Take(const etcdserverpb::WatchResponse& response,
                                          bool fragments) {
  if (response.events().empty()) {  // all up to there has been told
    if (response.header().revision() >= next_)
      marks_.push_back({events_.size(), next_, response.header().revision(), false});
    next_ = std::max(next_, response.header().revision() + 1);
    return std::nullopt;
  }
  for (const mvccpb::Event& event : response.events()) {
    Event told{event.kv().mod_revision(), event.kv().key(), std::nullopt, std::nullopt};
    if (event.type() == mvccpb::Event::PUT) told.value = Abridged(event.kv().value());
    if (event.has_prev_kv())
      told.previous = Held{Abridged(event.prev_kv().value()), event.prev_kv().mod_revision()};
    if (told.revision < next_)
      return "revision " + std::to_string(told.revision) + " was told when " +
             std::to_string(next_) + " was due";
    if (!events_.empty() && told.revision < events_.back().revision) return "events out of order";
    events_.push_back(std::move(told));
  }
  if (!fragments || !response.fragment()) next_ = events_.back().revision + 1;
  return std::nullopt;
}

void WatchLog::Break() {
  while (!events_.empty() && events_.back().revision >= next_) events_.pop_back();
}

std::optional<std::string> WatchLog::Verify(const History& history, int64_t compacted) const {
  size_t at = 0;
  const int64_t end = std::min(next_ - 1, history.known());
  for (int64_t revision = 1; revision <= end; ++revision) {
    const bool left_out = std::any_of(marks_.begin(), marks_.end(), [&](const Mark& each) {
      return each.left_out && each.from <= revision && revision <= each.to;
    });
    if (left_out) continue;
    if (auto wrong = VerifyRevision(history, revision, at, compacted)) return wrong;
  }
  for (const Mark& each : marks_) {
    if (each.left_out || each.events >= events_.size()) continue;
    if (events_[each.events].revision <= each.to)
      return "progress " + std::to_string(each.to) + " was told before its events";
  }
  if (at != events_.size())
    return "an event of revision " + std::to_string(events_[at].revision) + " that never was";
  return std::nullopt;
}

std::optional<std::string> WatchLog::VerifyRevision(const History& history, int64_t revision,
                                                    size_t& at, int64_t compacted) const {
  const std::string where = " of revision " + std::to_string(revision);
  const Content& before = history.state(revision - 1);
  const Content& after = history.state(revision);
  std::vector<std::string> due = Difference(before, after);
  std::erase_if(due, [this](const std::string& key) { return !Watches(key); });
  for (size_t told = 0; told < due.size(); ++told, ++at) {
    if (at == events_.size() || events_[at].revision != revision)
      return "an event of " + due[told] + where + " was left out";
    const Event& event = events_[at];
    if (std::find(due.begin(), due.end(), event.key) == due.end())
      return "an event of " + event.key + where + " that never was";
    const auto now = after.find(event.key);
    const std::optional<std::string> value =
        now == after.end() ? std::nullopt : std::optional(now->second.value);
    if (event.value != value) return "another value of " + event.key + where;
    const auto was = before.find(event.key);
    if (event.previous && (was == before.end() || !(*event.previous == was->second)))
      return "another value before " + event.key + where;
    // What is compacted may be left out.
    if (!event.previous && was != before.end() && compacted < revision)
      return "no value before " + event.key + where;
  }
  if (at < events_.size() && events_[at].revision == revision)
    return "an event of " + events_[at].key + where + " twice";
  return std::nullopt;
}

bool WatchLog::Complete(const History& history) const {
  for (int64_t revision = history.known(); revision >= next_; --revision) {
    for (const std::string& key : Difference(history.state(revision - 1), history.state(revision)))
      if (Watches(key)) return false;
  }
  return started();
}

}  // namespace quoin::sim

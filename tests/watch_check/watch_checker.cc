#include "tests/watch_check/watch_checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace quoin::watch_check {

void WatchChecker::OnEvents(std::vector<Change> events, int64_t compacted) {
  events_ += events.size();
  for (size_t at = 0; at < events.size();) {
    Told told{.revision = events[at].now.mod_revision, .compacted = compacted};
    if (told.revision < next_)
      violation_(fmt::format("{}: revision {} when {} was next", name_, told.revision, next_));
    for (; at < events.size() && events[at].now.mod_revision == told.revision; ++at)
      told.events.push_back(std::move(events[at]));
    next_ = std::max(next_, told.revision + 1);
    told_.push_back(std::move(told));
  }
}

void WatchChecker::OnProgress(int64_t revision) {
  // A promise may be older than the last event; it says nothing new then.
  if (revision < next_) return;
  next_ = revision + 1;
  told_.push_back({.revision = revision});
}

void WatchChecker::Check(const Model& model) {
  while (!told_.empty() && told_.front().revision < model.next_revision()) {
    const Told told = std::move(told_.front());
    told_.pop_front();
    CheckNothingUpTo(model, told.events.empty() ? told.revision : told.revision - 1);
    if (!told.events.empty()) CheckRevision(model, told);
    checked_ = std::max(checked_, told.revision);
  }
}

bool WatchChecker::ToldAll(const Model& model, int64_t revision) const {
  if (revision >= model.next_revision()) return false;  // what it asked for is not known yet
  for (int64_t at = std::max(next_, model.first_revision()); at <= revision; ++at) {
    for (const Change& change : model.At(at)) {
      if (interest_.Holds(change)) return false;
    }
  }
  return told_.empty() || told_.front().revision > revision;  // and it was compared
}

void WatchChecker::CheckNothingUpTo(const Model& model, int64_t revision) {
  for (int64_t at = std::max(checked_ + 1, model.first_revision()); at <= revision; ++at) {
    for (const Change& change : model.At(at)) {
      if (!interest_.Holds(change)) continue;
      violation_(fmt::format("{}: was not told of revision {}: {}", name_, at, Describe(change)));
    }
  }
}

void WatchChecker::CheckRevision(const Model& model, const Told& told) {
  std::vector<Change> expected;
  for (Change change : model.At(told.revision)) {
    if (!interest_.Holds(change)) continue;
    const size_t at = expected.size();
    const bool missing = at < told.events.size() && !told.events[at].previous;
    // Previous values of what has been compacted may be gone.
    if (!interest_.previous || (missing && told.revision - 1 < told.compacted))
      change.previous.reset();
    expected.push_back(std::move(change));
  }
  if (expected == told.events) return;
  violation_(fmt::format("{}: revision {} has {} events of {}; first told: {}; first true: {}",
                         name_, told.revision, told.events.size(), expected.size(),
                         Describe(told.events.front()),
                         expected.empty() ? "none" : Describe(expected.front())));
}

bool Reached(const Model& model, const std::vector<Resumed>& stream, int64_t revision,
             Promises promises) {
  const bool one_waits = std::any_of(stream.begin(), stream.end(), [revision](const Resumed& each) {
    return each.from > revision;
  });
  const bool promised = promises == Promises::kToEach || !one_waits;
  return std::all_of(stream.begin(), stream.end(), [&](const Resumed& each) {
    return promised ? each.checker->checked() >= revision : each.checker->ToldAll(model, revision);
  });
}

}  // namespace quoin::watch_check

#include "tests/watch_check/oracle.h"

#include <fmt/format.h>

namespace quoin::watch_check {

void Oracle::Sent(const Request& request) { entries_[request.id] = {.request = request}; }

void Oracle::Done(uint64_t id, int64_t revision) {
  auto at = entries_.find(id);
  at->second.acknowledged = revision;
  at->second.ended = true;
  if (!at->second.observed) ++owed_;
  Settle(at);
}

void Oracle::Lost(uint64_t id) {
  auto at = entries_.find(id);
  at->second.ended = true;
  Settle(at);
}

void Oracle::Settle(Entries::iterator at) {
  const Entry& entry = at->second;
  if (!entry.ended || !entry.observed) return;
  if (entry.acknowledged && *entry.acknowledged != *entry.observed)
    violation_(fmt::format("request {} was answered with revision {}, watchers see it at {}",
                           at->first, *entry.acknowledged, *entry.observed));
  entries_.erase(at);
}

// By a value, which only one request can have written.
Oracle::Entries::iterator Oracle::Find(const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    if (!change.deleted) return entries_.find(change.now.tag / Request::kOpsMax);
  }
  return entries_.end();
}

bool Oracle::Observe(int64_t revision, const std::vector<Change>& changes) {
  if (revision != model_.next_revision()) {
    violation_(fmt::format("after revision {} comes {}", model_.next_revision() - 1, revision));
    return false;
  }
  auto at = Find(changes);
  if (at == entries_.end() || at->second.observed) {
    violation_(fmt::format("nobody asked, or not twice, for revision {}: {}", revision,
                           Describe(changes.front())));
    return false;
  }
  std::vector<Change> expected = model_.Effect(at->second.request);
  if (expected != changes) {
    violation_(fmt::format("revision {} is request {}, which does {} changes; seen: {}, first {}",
                           revision, at->first, expected.size(), changes.size(),
                           Describe(changes.front())));
    return false;
  }
  model_.Append(std::move(expected));
  if (at->second.acknowledged) --owed_;
  at->second.observed = revision;
  Settle(at);
  return true;
}

}  // namespace quoin::watch_check

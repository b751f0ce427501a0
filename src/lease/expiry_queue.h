// ExpiryQueue: which lease ends when. Renewing costs one store: the heap is corrected when the old
// deadline comes up.
//
// Thread: one owner.
#pragma once

#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace quoin::lease {

class ExpiryQueue {
 public:
  using Nanoseconds = int64_t;  // on the owner's monotonic clock

  void Set(int64_t id, Nanoseconds at) {
    auto [entry, is_new] = deadlines_.try_emplace(id, Deadline{at, at});
    if (is_new) return heap_.push({at, id});
    entry->second.at = at;
    if (at >= entry->second.queued_at) return;
    entry->second.queued_at = at;
    heap_.push({at, id});
  }
  void Erase(int64_t id) { deadlines_.erase(id); }
  void Clear() {
    deadlines_.clear();
    heap_ = {};
  }

  // The earliest moment at which something may end; nullptr: never.
  const Nanoseconds* NextAt() const { return heap_.empty() ? nullptr : &heap_.top().first; }
  // Takes up to `count_max` that have ended by `now`; they are forgotten here.
  std::vector<int64_t> TakeExpired(Nanoseconds now, size_t count_max) {
    std::vector<int64_t> out;
    while (!heap_.empty() && heap_.top().first <= now && out.size() < count_max) {
      const auto [at, id] = heap_.top();
      heap_.pop();
      auto found = deadlines_.find(id);
      if (found == deadlines_.end() || found->second.queued_at != at) continue;  // outdated
      if (found->second.at > now) {
        found->second.queued_at = found->second.at;
        heap_.push({found->second.at, id});
        continue;
      }
      deadlines_.erase(found);
      out.push_back(id);
    }
    return out;
  }
  size_t size() const { return deadlines_.size(); }

 private:
  struct Deadline {
    Nanoseconds at;
    Nanoseconds queued_at;  // where the heap has it
  };
  using Queued = std::pair<Nanoseconds, int64_t>;
  absl::flat_hash_map<int64_t, Deadline> deadlines_;  // looked up only
  std::priority_queue<Queued, std::vector<Queued>, std::greater<>> heap_;
};

}  // namespace quoin::lease

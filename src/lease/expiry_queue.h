// ExpiryQueue: which lease ends when. Renewing costs one store: the heap is corrected when the old
// deadline comes up.
//
// Thread: one owner.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace quoin::lease {

class ExpiryQueue {
 public:
  using Nanoseconds = int64_t;  // on the owner's monotonic clock

  void Set(int64_t id, Nanoseconds at) {
    auto [entry, is_new] = deadlines_.try_emplace(id, Deadline{at, at});
    entry->second.at = at;
    if (!is_new && at >= entry->second.queued_at) return;
    entry->second.queued_at = at;
    Push({at, id});
    DropOutdated();
  }
  void Erase(int64_t id) {
    deadlines_.erase(id);
    DropOutdated();
  }
  void Clear() {
    deadlines_.clear();
    heap_.clear();
  }

  // The earliest moment at which something may end; nullptr: never.
  const Nanoseconds* NextAt() const { return heap_.empty() ? nullptr : &heap_.front().first; }
  // Takes what has ended by `now`, and looks at no more than `looks_max`: if NextAt() is not after
  // `now` then, more may have ended. What is taken is forgotten here.
  std::vector<int64_t> TakeExpired(Nanoseconds now, size_t looks_max) {
    std::vector<int64_t> out;
    for (; !heap_.empty() && heap_.front().first <= now && looks_max > 0; --looks_max) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const Queued earliest = heap_.back();
      heap_.pop_back();
      if (IsOutdated(earliest)) continue;
      auto found = deadlines_.find(earliest.second);
      if (found->second.at > now) {
        found->second.queued_at = found->second.at;
        Push({found->second.at, earliest.second});
        continue;
      }
      deadlines_.erase(found);
      out.push_back(earliest.second);
    }
    return out;
  }
  size_t size() const { return deadlines_.size(); }
  size_t queued() const { return heap_.size(); }  // at most 2 * size() + kOutdatedMin

  static constexpr size_t kOutdatedMin = 1024;

 private:
  struct Deadline {
    Nanoseconds at;
    Nanoseconds queued_at;  // where the heap has it
  };
  using Queued = std::pair<Nanoseconds, int64_t>;

  void Push(Queued queued) {
    heap_.push_back(queued);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }
  bool IsOutdated(Queued queued) const {
    auto found = deadlines_.find(queued.second);
    return found == deadlines_.end() || found->second.queued_at != queued.first;
  }
  // Each rebuilding is paid by as many leases that went before.
  void DropOutdated() {
    if (heap_.size() <= 2 * deadlines_.size() + kOutdatedMin) return;
    std::erase_if(heap_, [this](Queued queued) { return IsOutdated(queued); });
    std::sort(heap_.begin(), heap_.end());  // a heap too
    heap_.erase(std::unique(heap_.begin(), heap_.end()), heap_.end());
  }

  absl::flat_hash_map<int64_t, Deadline> deadlines_;  // looked up only
  std::vector<Queued> heap_;                          // the earliest first
};

}  // namespace quoin::lease

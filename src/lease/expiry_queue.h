// ExpiryQueue: which lease ends when. Renewing costs one store: the heap is corrected when the old
// deadline comes up.
//
// Thread: one owner.
#pragma once

#include <cstdint>
#include <functional>
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
    entry->second.at = at;
    if (!is_new && at >= entry->second.queued_at) return;
    entry->second.queued_at = at;
    heap_.push({at, id});
    DropOutdated();
  }
  void Erase(int64_t id) {
    deadlines_.erase(id);
    DropOutdated();
  }
  void Clear() {
    deadlines_.clear();
    heap_ = {};
  }

  // The earliest moment at which something may end; nullptr: never.
  const Nanoseconds* NextAt() const { return heap_.empty() ? nullptr : &heap_.top().first; }
  // Takes what has ended by `now`, and looks at no more than `looks_max`: if NextAt() is not after
  // `now` then, more may have ended. What is taken is forgotten here.
  std::vector<int64_t> TakeExpired(Nanoseconds now, size_t looks_max) {
    std::vector<int64_t> out;
    for (; !heap_.empty() && heap_.top().first <= now && looks_max > 0; --looks_max) {
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
  size_t queued() const { return heap_.size(); }  // at most 2 * size() + kOutdatedMin

  static constexpr size_t kOutdatedMin = 1024;

 private:
  struct Deadline {
    Nanoseconds at;
    Nanoseconds queued_at;  // where the heap has it
  };
  using Queued = std::pair<Nanoseconds, int64_t>;

  // Each rebuilding is paid by as many leases that went before.
  void DropOutdated() {
    if (heap_.size() <= 2 * deadlines_.size() + kOutdatedMin) return;
    std::vector<Queued> live;
    live.reserve(deadlines_.size());
    for (const auto& [id, deadline] : deadlines_) live.push_back({deadline.queued_at, id});
    heap_ = std::priority_queue(std::greater<>(), std::move(live));
  }

  absl::flat_hash_map<int64_t, Deadline> deadlines_;
  std::priority_queue<Queued, std::vector<Queued>, std::greater<>> heap_;
};

}  // namespace quoin::lease

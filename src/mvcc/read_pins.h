// ReadPins: the revisions that readers still need who read in several slices. A compaction removes
// nothing below a pin until the reader is done or its pin is revoked.
//
// Thread: any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>

namespace quoin::mvcc {

class ReadPins {
 public:
  using Time = std::chrono::nanoseconds;  // of one clock, whichever the caller takes

  // One reader's hold on what can be read at a revision; ends with the object, which the ReadPins
  // outlive.
  class Pin {
   public:
    ~Pin();
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;

    int64_t revision() const { return revision_; }
    // The compaction has stopped waiting. Ask within the guard of each slice, before reading: while
    // this is false then, the slice reads what it pinned.
    bool revoked() const { return revoked_.load(std::memory_order_seq_cst); }
    // The reader makes progress.
    void Touch(Time now) { touched_.store(now.count(), std::memory_order_relaxed); }

   private:
    friend class ReadPins;
    Pin(ReadPins& pins, int64_t revision, Time now)
        : pins_(pins), revision_(revision), touched_(now.count()) {}

    ReadPins& pins_;
    const int64_t revision_;
    std::atomic<int64_t> touched_;
    std::atomic<bool> revoked_{false};
  };

  // REQUIRES: within the guard in which `revision` was found to be readable.
  std::unique_ptr<Pin> Add(int64_t revision, Time now);
  bool AnyBelow(int64_t revision) const;
  // Revokes the pins below `revision` without progress since `touched_before`; returns how many.
  // What they were is removed only after all present guards have ended.
  size_t Revoke(int64_t revision, Time touched_before);

 private:
  mutable std::mutex mutex_;
  std::set<Pin*> pins_;  // not revoked; held for a moment only
};

}  // namespace quoin::mvcc

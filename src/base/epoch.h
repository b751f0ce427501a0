// EpochDomain: lets readers walk shared immutable nodes without locks while one writer replaces
// them.
//
// A reader enters (one store), follows pointers, leaves (one store). The writer unlinks a node,
// stamps it with the epoch returned by Advance(), and may reuse it once that stamp is <
// SafeEpoch().
//
// Thread: Guard — any thread, wait-free, one ReaderSlot per thread (or executor) and no nesting on
// one slot;
//         Advance, SafeEpoch — the one writer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/check.h"

namespace quoin {

class EpochDomain {
 public:
  static constexpr size_t kSlotsMax = 128;
  static constexpr uint64_t kIdle = UINT64_MAX;

  // A registered reader. Create once per reading executor; lives as long as the domain's use.
  class ReaderSlot {
   public:
    explicit ReaderSlot(EpochDomain& domain) : domain_(domain), index_(domain.Claim()) {}
    ~ReaderSlot() { domain_.slots_[index_].used.store(false, std::memory_order_release); }
    ReaderSlot(const ReaderSlot&) = delete;
    ReaderSlot& operator=(const ReaderSlot&) = delete;

   private:
    friend class EpochDomain;
    EpochDomain& domain_;
    size_t index_;
  };

  // Nothing stamped at or after entry is reused while this lives. Keep it for one slice of work,
  // never across a wait.
  class Guard {
   public:
    explicit Guard(ReaderSlot& slot) : cell_(slot.domain_.slots_[slot.index_].epoch) {
      CHECK(cell_.load(std::memory_order_relaxed) == kIdle);  // no nesting
      cell_.store(slot.domain_.epoch_.load(std::memory_order_acquire), std::memory_order_seq_cst);
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    ~Guard() { cell_.store(kIdle, std::memory_order_release); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    std::atomic<uint64_t>& cell_;
  };

  // After unlinking: returns the stamp for what was unlinked.
  uint64_t Advance() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return epoch_.fetch_add(1, std::memory_order_acq_rel);
  }
  // Everything stamped below this is unreachable for every reader, now and later.
  uint64_t SafeEpoch() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    uint64_t safe = epoch_.load(std::memory_order_acquire);
    for (const Slot& slot : slots_) {
      uint64_t entered = slot.epoch.load(std::memory_order_seq_cst);
      if (entered < safe) safe = entered;
    }
    return safe;
  }

 private:
  struct alignas(64) Slot {
    std::atomic<uint64_t> epoch{kIdle};
    std::atomic<bool> used{false};
  };
  size_t Claim() {
    for (size_t i = 0; i < kSlotsMax; ++i) {
      bool expected = false;
      if (slots_[i].used.compare_exchange_strong(expected, true)) return i;
    }
    CHECK(false) << "more than " << kSlotsMax << " reading executors";
    return 0;
  }

  std::atomic<uint64_t> epoch_{1};
  std::array<Slot, kSlotsMax> slots_;
};

}  // namespace quoin

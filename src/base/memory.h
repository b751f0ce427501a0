// MemoryBudget, MemoryAccount, MemoryCharge: how many bytes are held on behalf of others, and
// whether it is too much.
//
// A budget is one limit of the process. Each loop keeps an account with it, each connection an
// account with its loop's; what holds bytes keeps a charge, which gives them back when it goes.
// Accounts tell the budget of changes in steps of kStepBytes: a charge costs a few additions, and
// the budget is off by less than a step per loop.
//
// Who charges decides what happens when the budget is over: a budget refuses nothing itself.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/check.h"

namespace quoin {

// Thread: any.
class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t bytes_max) : bytes_max_(static_cast<int64_t>(bytes_max)) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // Before anybody draws on it.
  void set_bytes_max(uint64_t bytes_max) { bytes_max_ = static_cast<int64_t>(bytes_max); }
  uint64_t bytes_max() const { return static_cast<uint64_t>(bytes_max_); }
  // Less than zero for moments: what one loop charged another may give back.
  int64_t used() const { return used_.load(std::memory_order_relaxed); }
  bool over() const { return used() > bytes_max_; }

 private:
  friend class MemoryAccount;
  int64_t bytes_max_;
  std::atomic<int64_t> used_{0};
};

// Thread: one. Outlives its charges and the accounts below it.
class MemoryAccount {
 public:
  static constexpr int64_t kStepBytes = 64 * 1024;

  explicit MemoryAccount(MemoryBudget& budget) : budget_(budget) {}
  explicit MemoryAccount(MemoryAccount& above) : budget_(above.budget_), above_(&above) {}
  ~MemoryAccount() {
    CHECK_EQ(used_, 0);
    if (above_ == nullptr) Tell();
  }
  MemoryAccount(const MemoryAccount&) = delete;
  MemoryAccount& operator=(const MemoryAccount&) = delete;

  uint64_t used() const { return static_cast<uint64_t>(used_); }
  const MemoryBudget& budget() const { return budget_; }

 private:
  friend class MemoryCharge;
  void Add(int64_t bytes) {
    used_ += bytes;
    if (above_ != nullptr) return above_->Add(bytes);
    untold_ += bytes;
    if (untold_ >= kStepBytes || untold_ <= -kStepBytes) Tell();
  }
  void Tell() { budget_.used_.fetch_add(std::exchange(untold_, 0), std::memory_order_relaxed); }

  MemoryBudget& budget_;
  MemoryAccount* const above_ = nullptr;
  int64_t used_ = 0;
  int64_t untold_ = 0;  // to the budget
};

// Bytes held by one owner; a value to move. Thread: its account's.
class MemoryCharge {
 public:
  explicit MemoryCharge(MemoryAccount& account) : account_(&account) {}
  ~MemoryCharge() { Set(0); }
  MemoryCharge(MemoryCharge&& other) noexcept
      : account_(other.account_), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    if (this == &other) return *this;
    Set(0);
    account_ = other.account_;
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }

  void Set(size_t bytes) {
    if (bytes == bytes_) return;
    account_->Add(static_cast<int64_t>(bytes) - static_cast<int64_t>(std::exchange(bytes_, bytes)));
  }
  size_t bytes() const { return bytes_; }

 private:
  MemoryAccount* account_;
  size_t bytes_ = 0;
};

}  // namespace quoin

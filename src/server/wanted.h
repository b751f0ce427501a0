// Wanted: whether somebody still waits for work of any length that goes on in slices.
//
// Thread: set by whoever waits, asked by the loop that works.
#pragma once

#include <atomic>
#include <memory>

namespace quoin::server {

// Null: always.
using Wanted = std::shared_ptr<const std::atomic<bool>>;

inline bool IsWanted(const Wanted& wanted) { return wanted == nullptr || wanted->load(); }

// Belongs to whoever waits; work is wanted for as long as it lives, unless it was withdrawn.
class Want {
 public:
  Want() = default;
  ~Want() { Withdraw(); }
  Want(const Want&) = delete;
  Want& operator=(const Want&) = delete;
  // For good.
  void Withdraw() { flag_->store(false); }
  Wanted wanted() const { return flag_; }

 private:
  const std::shared_ptr<std::atomic<bool>> flag_ = std::make_shared<std::atomic<bool>>(true);
};

}  // namespace quoin::server

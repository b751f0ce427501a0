#include "mvcc/read_pins.h"

#include <algorithm>

namespace quoin::mvcc {

ReadPins::Pin::~Pin() {
  std::lock_guard lock(pins_.mutex_);
  pins_.pins_.erase(this);
}

std::unique_ptr<ReadPins::Pin> ReadPins::Add(int64_t revision, Time now) {
  std::unique_ptr<Pin> pin(new Pin(*this, revision, now));
  std::lock_guard lock(mutex_);
  pins_.insert(pin.get());
  return pin;
}

bool ReadPins::AnyBelow(int64_t revision) const {
  std::lock_guard lock(mutex_);
  return std::any_of(pins_.begin(), pins_.end(),
                     [revision](const Pin* pin) { return pin->revision_ < revision; });
}

size_t ReadPins::Revoke(int64_t revision, Time touched_before) {
  std::lock_guard lock(mutex_);
  return std::erase_if(pins_, [&](Pin* pin) {
    if (pin->revision_ >= revision || pin->touched_.load() >= touched_before.count()) return false;
    pin->revoked_.store(true, std::memory_order_seq_cst);
    return true;
  });
}

}  // namespace quoin::mvcc

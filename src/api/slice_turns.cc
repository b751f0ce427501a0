#include "api/slice_turns.h"

#include <utility>

namespace quoin::api {
namespace {

// One is read while the one before it is sent. With more, a turn of the I/O loop would send more.
constexpr size_t kAtOnce = 2;

}  // namespace

void SliceTurns::Ask(Slice slice) {
  waiting_.push_back(std::move(slice));
  Start();
}

void SliceTurns::Start() {
  while (running_ < kAtOnce && !waiting_.empty()) {
    Slice next = std::move(waiting_.front());
    waiting_.pop_front();
    ++running_;
    storage_.Post([this, slice = std::move(next)]() mutable {
      loop_.Post([this, then = slice()]() mutable {
        --running_;
        Start();  // the storage loop reads on while this one sends
        then();
      });
    });
  }
}

}  // namespace quoin::api

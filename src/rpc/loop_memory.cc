#include "rpc/loop_memory.h"

#include <utility>

namespace quoin::rpc {
namespace {

constexpr env::Duration kReportInterval = std::chrono::seconds(10);

}  // namespace

void LoopMemory::Touch(Holder& holder) {
  if (holder.next_ == &ends_) return;  // the last already
  holder.Unlink();
  holder.prev_ = ends_.prev_;
  holder.next_ = &ends_;
  ends_.prev_->next_ = &holder;
  ends_.prev_ = &holder;
}

// Some loop holds at least its share of what is too much: that one lets go. False: this one does
// not, or has nothing to let go of.
bool LoopMemory::Relieve() {
  const uint64_t share = server_->budget.bytes_max() / server_->loops.size();
  while (over()) {
    Holder* longest = ends_.next_;
    if (longest == &ends_ || account_.used() < share) return false;
    longest->Unlink();
    longest->GiveUp();
    ++given_up_;
    Report();
  }
  return true;
}

void LoopMemory::AskOthers() {
  for (LoopMemory* other : server_->loops) {
    if (other == this || other->asked_.exchange(true)) continue;
    other->loop_.Post([other, sign = other->sign_] {
      if (!sign.alive()) return;
      other->asked_ = false;
      (void)other->Relieve();
    });
  }
}

// One line for all of an interval.
void LoopMemory::Report() {
  if (report_waits_) return;
  report_waits_ = true;
  loop_.RunAfter(kReportInterval, lifeline_.Tie([this] {
    report_waits_ = false;
    log_.Warn("cancelled calls whose answers were not taken",
              {{"calls", std::exchange(given_up_, 0)},
               {"answers-bytes-max", server_->budget.bytes_max()}});
  }));
}

}  // namespace quoin::rpc

#include "rpc/loop_memory.h"

#include <utility>

namespace quoin::rpc {
namespace {

constexpr env::Duration kReportInterval = std::chrono::seconds(10);

}  // namespace

void LoopMemory::Link(Holder& holder, Ends& list) {
  if (holder.next_ == &list) return;  // the last already
  holder.Unlink();
  holder.prev_ = list.prev_;
  holder.next_ = &list;
  list.prev_->next_ = &holder;
  list.prev_ = &holder;
}

void LoopMemory::Begin(Holder& holder) {
  if (fresh_.empty()) loop_.AtEndOfTurn(lifeline_.Tie([this] { Settle(); }));
  Link(holder, fresh_);
}

// The turn is over: who is still here has a client that has not taken all.
void LoopMemory::Settle() {
  if (fresh_.empty()) return;
  fresh_.next_->prev_ = waiting_.prev_;
  waiting_.prev_->next_ = fresh_.next_;
  fresh_.prev_->next_ = &waiting_;
  waiting_.prev_ = fresh_.prev_;
  fresh_.prev_ = fresh_.next_ = &fresh_;
}

// Some loop holds at least its share of what is too much: that one lets go. False: this one does
// not, or has nothing to let go of.
bool LoopMemory::Relieve() {
  const uint64_t share = server_->budget.bytes_max() / server_->loops.size();
  while (over()) {
    if ((waiting_.empty() && fresh_.empty()) || account_.used() < share) return false;
    Holder& chosen = waiting_.empty() ? *fresh_.prev_ : *waiting_.next_;
    chosen.Unlink();
    chosen.GiveUp();
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

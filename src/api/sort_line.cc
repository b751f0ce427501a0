#include "api/sort_line.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace quoin::api {
namespace {

// A client that reads on takes what its connection holds within this.
constexpr env::Duration kGrace = std::chrono::milliseconds(250);
constexpr env::Duration kTellEvery = limits::kPinIdleMax / 3;

}  // namespace

void SortLine::Take(std::shared_ptr<Keeper> keeper, env::Task then) {
  if (HasTurn(*keeper)) {
    resting_ = false;
    loop_.Cancel(std::exchange(grace_, {}));
    return then();
  }
  if (!waiting_.empty() || !holder_.expired()) keeper->OnStillInLine();
  waiting_.push_back({std::move(keeper), std::move(then)});
  if (holder_.expired()) return PassOn();
  WatchRest();
  TellWaiting();
}

void SortLine::Rest(const Keeper& keeper) {
  if (!HasTurn(keeper)) return;
  resting_ = true;
  WatchRest();
}

// Whoever waits for room on its connection rests too, and soon goes on: its work is not in vain.
void SortLine::WatchRest() {
  if (!resting_ || waiting_.empty() || grace_.value != 0) return;
  grace_ = loop_.RunAfter(kGrace, [this] {
    grace_ = {};
    if (resting_ && !waiting_.empty()) PassOn();
  });
}

// Whoever waits for its turn is not to blame for doing nothing.
void SortLine::TellWaiting() {
  if (waiting_.empty() || tell_.value != 0) return;
  tell_ = loop_.RunAfter(kTellEvery, [this] {
    tell_ = {};
    for (const Waiting& one : waiting_) one.keeper->OnStillInLine();
    TellWaiting();
  });
}

void SortLine::Leave(const Keeper& keeper) {
  std::erase_if(waiting_, [&](const Waiting& one) { return one.keeper.get() == &keeper; });
  if (!HasTurn(keeper)) return;
  holder_.reset();
  PassOn();
}

void SortLine::PassOn() {
  if (const std::shared_ptr<Keeper> before = holder_.lock()) before->LetGo();
  holder_.reset();
  resting_ = false;
  loop_.Cancel(std::exchange(grace_, {}));
  if (waiting_.empty()) return;
  Waiting next = std::move(waiting_.front());
  waiting_.pop_front();
  holder_ = next.keeper;
  next.then();
}

}  // namespace quoin::api

#include "api/sort_line.h"

#include <algorithm>
#include <utility>

namespace quoin::api {

void SortLine::Take(std::shared_ptr<Keeper> keeper, env::Task then) {
  if (HasTurn(*keeper)) {
    resting_ = false;
    return then();
  }
  waiting_.push_back({std::move(keeper), std::move(then)});
  if (resting_ || holder_.expired()) PassOn();
}

void SortLine::Rest(const Keeper& keeper) {
  if (!HasTurn(keeper)) return;
  resting_ = true;
  if (!waiting_.empty()) PassOn();
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
  if (waiting_.empty()) return;
  Waiting next = std::move(waiting_.front());
  waiting_.pop_front();
  holder_ = next.keeper;
  next.then();
}

}  // namespace quoin::api

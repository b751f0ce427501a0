// Moment: the store as it is in one turn of the storage loop, readable over many later turns.
//
// A compaction meanwhile waits (Hold::kCompactions): what was begun is completed. It stops waiting
// for a reader that reads nothing for limits::kPinIdleMax, and for all after
// limits::kCompactionWaitMax; Read fails then. Without the hold a compaction fails it at once.
//
// Thread: the storage loop, but for what says otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "base/errors.h"
#include "base/status.h"
#include "mvcc/store.h"
#include "server/node.h"

namespace quoin::api {

class Moment {
 public:
  enum class Hold : uint8_t { kNothing, kCompactions };

  // `lowest`: the oldest revision that will be read, where it can be; ≤ 0: the present one.
  // Thread: any. Compactions wait until the object ends, which it may on any loop.
  Moment(server::Node& node, Hold hold, int64_t lowest)
      : node_(node), hold_(hold), lowest_(lowest) {}

  // Calls `slice` with a view, within a guard; it returns a StatusOr. The first call fixes the
  // moment. Later views know later revisions: say revision() or Resolve().
  template <typename Slice>
  auto Read(Slice slice) -> decltype(slice(std::declval<const mvcc::View&>())) {
    if (reader_ == nullptr) reader_ = node_.storage_reader();
    EpochDomain::Guard guard(reader_->slot);
    const mvcc::View view = reader_->store().Current(btree::OnMiss::kLoad);
    if (revision_ == 0) Begin(view);
    if (hold_ == Hold::kCompactions) {
      // A pin that is held when the slice begins is as good until its guard ends.
      if (pin_ == nullptr || pin_->revoked()) return errors::TakenTooSlowly();
      pin_->Touch(node_.env().clock().Now());
      return slice(view);
    }
    RETURN_IF_ERROR(view.StillReadable(lowest_));
    auto result = slice(view);
    RETURN_IF_ERROR(view.StillReadable(lowest_));
    return result;
  }

  // The reader waits for its turn, not for its client. Thread: any, while no Read runs.
  void StillWanted() {
    if (pin_ != nullptr) pin_->Touch(node_.env().clock().Now());
  }

  // From the first Read on; constant.
  int64_t revision() const { return revision_; }
  int64_t compact_revision() const { return compact_revision_; }
  // The revision that a query means, or why it could not be read at that moment.
  StatusOr<int64_t> Resolve(int64_t revision) const;

 private:
  void Begin(const mvcc::View& view);

  server::Node& node_;
  const Hold hold_;
  int64_t lowest_;
  int64_t revision_ = 0;
  int64_t compact_revision_ = 0;
  std::shared_ptr<server::StorageReader> reader_;  // of the generation that it began with
  std::unique_ptr<mvcc::ReadPins::Pin> pin_;
};

}  // namespace quoin::api

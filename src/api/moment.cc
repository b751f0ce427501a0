#include "api/moment.h"

namespace quoin::api {

void Moment::Begin(const mvcc::View& view) {
  revision_ = view.revision();
  compact_revision_ = view.compact_revision();
  if (lowest_ <= 0 || !Resolve(lowest_).ok()) lowest_ = revision_;
  if (hold_ == Hold::kCompactions) pin_ = view.PinRevision(lowest_, node_.env().clock().Now());
}

StatusOr<int64_t> Moment::Resolve(int64_t revision) const {
  if (revision <= 0) return revision_;
  if (revision > revision_) return errors::FutureRevision();
  if (revision < compact_revision_) return errors::Compacted();
  return revision;
}

}  // namespace quoin::api

#include "state/shown.h"

#include <algorithm>

namespace quoin::state {
namespace {

mvcc::ReadBudget Give(const mvcc::ReadBudget& batch) {
  return {std::min(kShownOfWrite.keys, std::max(batch.keys, kShownAlways.keys)),
          std::min(kShownOfWrite.bytes, std::max(batch.bytes, kShownAlways.bytes))};
}

}  // namespace

Status AnswerTooLarge() {
  return absl::ResourceExhaustedError(
      "quoin: the request has been carried out, but its answer is too large: more than 64 MiB, "
      "500000 keys to look at or 100000 to read, or too many such answers at once");
}

Shown::Shown(For whom, mvcc::ReadBudget& batch)
    : whom_(whom), batch_(batch), given_(Give(batch)), left_(given_) {}

Shown::~Shown() {
  batch_.keys -= std::min(batch_.keys, given_.keys - left_.keys);
  batch_.Take(given_.bytes - left_.bytes);
}

StatusOr<std::optional<mvcc::RangeResult>> Shown::Range(const mvcc::View& view,
                                                        const mvcc::RangeQuery& query) {
  if (!wanted()) return std::nullopt;
  ASSIGN_OR_RETURN(std::optional<mvcc::RangeResult> found, view.RangeWithin(query, left_));
  too_large_ = !found.has_value();
  return found;
}

StatusOr<std::optional<mvcc::RangeResult>> Shown::Deleted(const mvcc::View& view,
                                                          const mvcc::RangeQuery& query) {
  if (!wanted()) return std::nullopt;
  size_t bytes = 0;
  view.VisitKeys(query.key, query.range_end, view.revision(), [&](const mvcc::KeyValue& kv) {
    bytes += kv.record_bytes;
    return bytes <= left_.bytes;
  });
  if (!Record(bytes)) return std::nullopt;
  return view.Range(query);
}

bool Shown::Record(size_t bytes) {
  if (!wanted()) return false;
  too_large_ = bytes > left_.bytes;
  if (!too_large_) left_.Take(bytes);
  return !too_large_;
}

Status Shown::status() const { return too_large_ ? AnswerTooLarge() : OkStatus(); }

}  // namespace quoin::state

#include "api/large_range.h"

#include "api/sorted_range.h"
#include "base/errors.h"
#include "state/range_response.h"

namespace quoin::api {
namespace {

constexpr size_t kKeysPerMeasure = 20000;
constexpr size_t kPartBytes = 256 * 1024;

// Keys come in the order in which they are sent.
class KeyOrderRange final : public LargeRange {
 public:
  KeyOrderRange(server::Node& node, env::Executor& loop, const mvcc::RangeQuery& query, Hold hold)
      : LargeRange(node, loop, query, hold),
        limit_(query.limit > 0 ? static_cast<uint64_t>(query.limit) : UINT64_MAX),
        next_key_(query.key) {}

 private:
  StatusOr<bool> MeasureSlice(const mvcc::View& view) override {
    const auto go_on = view.VisitSlice(
        next_key_, query().range_end, revision(), kKeysPerMeasure, [&](const mvcc::KeyValue& kv) {
          ++size_.count;
          if (query().count_only || !mvcc::PassesFilters(query(), kv)) return true;
          if (size_.keys == limit_) {
            size_.more = true;
            return true;
          }
          ++size_.keys;
          size_.elements_bytes += state::RangeElementSize(kv, query().keys_only);
          return true;
        });
    next_key_ = go_on.value_or(std::string(query().key));
    return !go_on.has_value();
  }

  StatusOr<std::string> ReadSlice(const mvcc::View& view) override {
    std::string out;
    Status status;
    std::optional<std::string> full_at;
    const auto go_on = view.VisitSlice(next_key_, query().range_end, revision(), kKeysPerMeasure,
                                       [&](const mvcc::KeyValue& found) {
                                         if (!mvcc::PassesFilters(query(), found)) return true;
                                         if (out.size() >= kPartBytes) {
                                           full_at = std::string(found.key);
                                           return false;
                                         }
                                         mvcc::KeyValue kv = found;
                                         if (!query().keys_only) status = view.Fill(kv);
                                         if (!status.ok()) return false;
                                         state::AppendRangeElement(kv, query().keys_only, out);
                                         return ++sent_ < size_.keys;
                                       });
    RETURN_IF_ERROR(status);
    if (full_at) {
      next_key_ = *std::move(full_at);
    } else if (go_on) {
      next_key_ = *go_on;
    } else if (sent_ != size_.keys) {
      return absl::InternalError("the range changed under a pinned revision");
    }
    return out;
  }

  const uint64_t limit_;
  std::string next_key_;
};

}  // namespace

std::shared_ptr<LargeRange> LargeRange::New(server::Node& node, env::Executor& loop,
                                            const mvcc::RangeQuery& query, Hold hold) {
  const bool key_order =
      query.target == mvcc::SortTarget::kKey && query.order != mvcc::SortOrder::kDescend;
  if (key_order || query.count_only)
    return std::make_shared<KeyOrderRange>(node, loop, query, hold);
  return std::make_shared<SortedRange>(node, loop, query, hold);
}

LargeRange::LargeRange(server::Node& node, env::Executor& loop, const mvcc::RangeQuery& query,
                       Hold hold)
    : node_(node),
      loop_(loop),
      hold_(hold),
      key_(query.key),
      range_end_(query.range_end),
      query_(query),
      revision_(query.revision) {
  query_.key = key_;
  query_.range_end = range_end_;
}

void LargeRange::Cancel() {
  if (cancelled_.exchange(true)) return;
  node_.storage_loop().Post([self = shared_from_this()] { self->pin_.reset(); });
}

void LargeRange::Measure(OnSize on_size) {
  node_.storage_loop().Post(
      [self = shared_from_this(), on_size = std::move(on_size)] { self->MeasureTurn(on_size); });
}

void LargeRange::MeasureTurn(OnSize on_size) {
  if (cancelled_.load()) return;
  const StatusOr<bool> done = MeasureOnce();
  if (done.ok() && !*done) return Measure(std::move(on_size));
  loop_.Post([self = shared_from_this(), on_size = std::move(on_size), status = done.status()] {
    if (self->cancelled_.load()) return;
    on_size(status.ok() ? StatusOr<Size>(self->size_) : status);
  });
}

// A pin that is held when the slice begins is as good until its guard ends. Without one, a
// compaction may have passed before the slice or during it.
template <typename Slice>
auto LargeRange::SliceOf(const mvcc::View& view, Slice slice) -> decltype(slice()) {
  if (hold_ == Hold::kCompactions) {
    if (pin_->revoked()) return errors::TakenTooSlowly();
    pin_->Touch(node_.env().clock().Now());
    return slice();
  }
  RETURN_IF_ERROR(view.StillReadable(revision_));
  auto result = slice();
  RETURN_IF_ERROR(view.StillReadable(revision_));
  return result;
}

StatusOr<bool> LargeRange::MeasureOnce() {
  if (reader_ == nullptr) reader_ = node_.storage_reader();
  EpochDomain::Guard guard(reader_->slot);
  const mvcc::View view = reader_->store().Current(btree::OnMiss::kLoad);
  if (size_.store_revision == 0) {  // the first slice pins
    ASSIGN_OR_RETURN(revision_, view.ResolveRevision(revision_));
    size_.store_revision = view.revision();
    if (hold_ == Hold::kCompactions)
      pin_ = view.PinRevision(revision_, node_.env().clock().Now());
  }
  return SliceOf(view, [&] { return MeasureSlice(view); });
}

void LargeRange::ReadPart(OnPart on_part) {
  node_.storage_loop().Post([self = shared_from_this(), on_part = std::move(on_part)] {
    if (self->cancelled_.load()) return;
    StatusOr<std::string> part = self->ReadOnce();
    const bool last = self->sent_ == self->size_.keys;
    // A slice without any key that passes the filters has nothing to send.
    if (part.ok() && part->empty() && !last) return self->ReadPart(on_part);
    if (last || !part.ok()) self->pin_.reset();
    self->loop_.Post([self, on_part, last, part = std::move(part)]() mutable {
      if (!self->cancelled_.load()) on_part(std::move(part), last);
    });
  });
}

StatusOr<std::string> LargeRange::ReadOnce() {
  if (sent_ == size_.keys) return std::string();
  EpochDomain::Guard guard(reader_->slot);
  const mvcc::View view = reader_->store().Current(btree::OnMiss::kLoad);
  return SliceOf(view, [&] { return ReadSlice(view); });
}

}  // namespace quoin::api

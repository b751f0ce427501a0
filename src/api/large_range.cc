#include "api/large_range.h"

#include "api/sorted_range.h"
#include "state/range_response.h"

namespace quoin::api {
namespace {

constexpr size_t kKeysPerMeasure = 20000;
constexpr size_t kPartBytes = 256 * 1024;

// Keys come in the order in which they are sent.
class KeyOrderRange final : public LargeRange {
 public:
  KeyOrderRange(SliceTurns& turns, const mvcc::RangeQuery& query, std::shared_ptr<Moment> moment)
      : LargeRange(turns, query, std::move(moment)),
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

std::shared_ptr<LargeRange> LargeRange::New(SliceTurns& turns, const mvcc::RangeQuery& query,
                                            std::shared_ptr<Moment> moment) {
  const bool key_order =
      query.target == mvcc::SortTarget::kKey && query.order != mvcc::SortOrder::kDescend;
  if (key_order || query.count_only)
    return std::make_shared<KeyOrderRange>(turns, query, std::move(moment));
  return std::make_shared<SortedRange>(turns, query, std::move(moment));
}

LargeRange::LargeRange(SliceTurns& turns, const mvcc::RangeQuery& query,
                       std::shared_ptr<Moment> moment)
    : turns_(turns),
      moment_(std::move(moment)),
      key_(query.key),
      range_end_(query.range_end),
      query_(query) {
  query_.key = key_;
  query_.range_end = range_end_;
}

void LargeRange::Measure(OnSize on_size) {
  asked_ = true;
  WhenItsTurn([self = shared_from_this(), on_size = std::move(on_size)]() mutable {
    self->MeasureInTurn(std::move(on_size));
  });
}

void LargeRange::MeasureInTurn(OnSize on_size) {
  turns_.Ask([self = shared_from_this(), on_size = std::move(on_size)]() -> env::Task {
    if (self->cancelled_.load()) return [] {};
    return [self, on_size, done = self->MeasureOnce()] {
      if (self->cancelled_.load()) return;
      if (done.ok() && !*done) return self->Measure(on_size);
      self->Answer([&] { on_size(done.ok() ? StatusOr<Size>(self->size_) : done.status()); });
    };
  });
}

void LargeRange::Answer(env::Task tell) {
  asked_ = false;
  tell();
  if (!asked_ && !cancelled_.load()) OnIdle();
}

StatusOr<bool> LargeRange::MeasureOnce() {
  return moment_->Read([this](const mvcc::View& view) -> StatusOr<bool> {
    if (revision_ == 0) {
      ASSIGN_OR_RETURN(revision_, moment_->Resolve(query_.revision));
      size_.store_revision = moment_->revision();
    }
    return MeasureSlice(view);
  });
}

void LargeRange::ReadPart(OnPart on_part) {
  asked_ = true;
  WhenItsTurn([self = shared_from_this(), on_part = std::move(on_part)]() mutable {
    self->ReadInTurn(std::move(on_part));
  });
}

void LargeRange::ReadInTurn(OnPart on_part) {
  turns_.Ask([self = shared_from_this(), on_part = std::move(on_part)]() -> env::Task {
    if (self->cancelled_.load()) return [] {};
    StatusOr<std::string> part = self->ReadOnce();
    const bool last = self->sent_ == self->size_.keys;
    return [self, on_part, last, part = std::move(part)]() mutable {
      if (self->cancelled_.load()) return;
      self->Answer([&] { on_part(std::move(part), last); });
    };
  });
}

StatusOr<std::string> LargeRange::ReadOnce() {
  if (sent_ == size_.keys) return std::string();
  return moment_->Read([this](const mvcc::View& view) { return ReadSlice(view); });
}

}  // namespace quoin::api

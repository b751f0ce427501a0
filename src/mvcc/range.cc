// Reading: which revision, which keys, in which order, how many.

#include <algorithm>

#include "base/check.h"
#include "base/errors.h"
#include "mvcc/keys_taken.h"
#include "mvcc/store.h"

namespace quoin::mvcc {
namespace {

// What counts in RangeWithin for a record that is small, since it takes a look into the tree as any
// other; and for the numbers of a key that is shown without its value.
constexpr size_t kRecordBytesMin = 640;
constexpr size_t kKeyOnlyBytes = 48;

KeyValue FromIndex(const KeyEntry& entry, const KeyVersion& version) {
  KeyValue kv;
  kv.key = entry.key();
  kv.create_revision = version.create_revision;
  kv.mod_revision = version.main;
  kv.version = version.version;
  kv.at = {version.main, version.sub};
  kv.record_bytes = version.record_bytes;
  return kv;
}

bool HasFilters(const RangeQuery& query) {
  return query.min_mod_revision != 0 || query.max_mod_revision != 0 ||
         query.min_create_revision != 0 || query.max_create_revision != 0;
}

bool Below(const KeyValue& a, const KeyValue& b, SortTarget target) {
  switch (target) {
    case SortTarget::kKey:
      return a.key < b.key;
    case SortTarget::kVersion:
      return a.version < b.version;
    case SortTarget::kCreate:
      return a.create_revision < b.create_revision;
    case SortTarget::kMod:
      return a.mod_revision < b.mod_revision;
    case SortTarget::kValue:
      return a.value < b.value;
  }
  return false;
}

void Sort(const RangeQuery& query, std::vector<KeyValue>& kvs) {
  const bool descending = query.order == SortOrder::kDescend;
  if (query.target == SortTarget::kKey && !descending) return;
  std::stable_sort(kvs.begin(), kvs.end(), [&](const KeyValue& a, const KeyValue& b) {
    return descending ? Below(b, a, query.target) : Below(a, b, query.target);
  });
}

// Takes what `kvs` come to from `budget`; false, and takes nothing, when it has not got that.
bool TakeAll(const std::vector<KeyValue>& kvs, const RangeQuery& query, ReadBudget& budget) {
  const bool from_index = query.keys_only && query.target != SortTarget::kValue;
  size_t bytes = 0;
  for (const KeyValue& kv : kvs)
    bytes += from_index ? kv.key.size() + kKeyOnlyBytes
                        : std::max<size_t>(kv.record_bytes, kRecordBytesMin);
  if (bytes > budget.bytes) return false;
  budget.Take(bytes);
  return true;
}

}  // namespace

uint64_t KeysTaken(const RangeQuery& query) {
  const bool key_order = query.order == SortOrder::kAscend && query.target == SortTarget::kKey;
  const bool first_ones = query.order == SortOrder::kNone || key_order;
  if (query.limit <= 0 || HasFilters(query) || !first_ones) return UINT64_MAX;
  return static_cast<uint64_t>(query.limit) + 1;
}

bool PassesFilters(const RangeQuery& query, const KeyValue& kv) {
  return (query.max_mod_revision == 0 || kv.mod_revision <= query.max_mod_revision) &&
         (query.min_mod_revision == 0 || kv.mod_revision >= query.min_mod_revision) &&
         (query.max_create_revision == 0 || kv.create_revision <= query.max_create_revision) &&
         (query.min_create_revision == 0 || kv.create_revision >= query.min_create_revision);
}

StatusOr<int64_t> View::ResolveRevision(int64_t revision) const {
  if (revision <= 0) return revision_;
  if (revision > revision_) return errors::FutureRevision();
  if (revision < compact_revision_) return errors::Compacted();
  return revision;
}

Status View::StillReadable(int64_t revision) const {
  return revision < store_->compact_revision() ? errors::Compacted() : OkStatus();
}

std::unique_ptr<ReadPins::Pin> View::PinRevision(int64_t revision, ReadPins::Time now) const {
  return store_->pins_.Add(revision, now);
}

void View::VisitKeys(std::string_view key, std::string_view range_end, int64_t at_revision,
                     absl::FunctionRef<bool(const KeyValue&)> visit) const {
  VisitSlice(key, range_end, at_revision, SIZE_MAX, visit);
}

std::optional<std::string> View::VisitSlice(std::string_view key, std::string_view range_end,
                                            int64_t at_revision, size_t keys_max,
                                            absl::FunctionRef<bool(const KeyValue&)> visit) const {
  ReadBudget budget{keys_max};
  return VisitSlice(key, range_end, at_revision, budget, visit);
}

std::optional<std::string> View::VisitSlice(std::string_view key, std::string_view range_end,
                                            int64_t at_revision, ReadBudget& budget,
                                            absl::FunctionRef<bool(const KeyValue&)> visit) const {
  std::optional<std::string> go_on;
  store_->index_.Visit(key, range_end, [&](const KeyEntry& entry) {
    if (budget.spent()) {
      go_on = std::string(entry.key());
      return false;
    }
    --budget.keys;
    const std::optional<KeyVersion> version = entry.At(at_revision);
    if (!version || version->is_tombstone() || entry.key().empty()) return true;
    return visit(FromIndex(entry, *version));
  });
  return go_on;
}

bool View::Fits(const RangeQuery& query, ReadBudget& budget) const {
  const StatusOr<int64_t> revision = ResolveRevision(query.revision);
  if (!revision.ok()) return true;
  const bool from_index = query.keys_only && query.target != SortTarget::kValue;
  const auto more =
      VisitSlice(query.key, query.range_end, *revision, budget, [&](const KeyValue& kv) {
        const size_t bytes = from_index ? kv.key.size() : kv.record_bytes;
        if (!query.count_only) budget.Take(bytes);
        return true;
      });
  return !more && budget.bytes > 0;
}

Status View::Fill(KeyValue& kv) const {
  char key[17];
  for (int i = 0; i < 8; ++i) {
    key[i] = static_cast<char>(static_cast<uint64_t>(kv.at.main) >> (56 - 8 * i));
    key[9 + i] = static_cast<char>(static_cast<uint64_t>(kv.at.sub) >> (56 - 8 * i));
  }
  key[8] = '_';
  const std::string_view at(key, sizeof key);
  ASSIGN_OR_RETURN(std::optional<std::string_view> record, snapshot_
                                                               ? snapshot_->Get("key", at, on_miss_)
                                                               : store_->writer_.Get("key", at));
  if (!record) {
    RETURN_IF_ERROR(StillReadable(kv.at.main));
    return absl::DataLossError("bucket key: revision " + std::to_string(kv.at.main) +
                               " of a live key is missing");
  }
  kv.record = *record;
  if (!DecodeRecord(*record, kv)) {
    return absl::DataLossError("bucket key: the record at revision " + std::to_string(kv.at.main) +
                               " is malformed");
  }
  return OkStatus();
}

StatusOr<RangeResult> View::Range(const RangeQuery& query) const {
  ReadBudget all;
  ASSIGN_OR_RETURN(std::optional<RangeResult> result, RangeWithin(query, all));
  CHECK(result.has_value());
  return *std::move(result);
}

Status View::FillAll(std::vector<KeyValue>& kvs) const {
  for (KeyValue& kv : kvs) RETURN_IF_ERROR(Fill(kv));
  return OkStatus();
}

StatusOr<std::optional<RangeResult>> View::RangeWithin(const RangeQuery& query,
                                                       ReadBudget& budget) const {
  ASSIGN_OR_RETURN(int64_t revision, ResolveRevision(query.revision));
  const size_t limit = query.limit > 0 ? static_cast<size_t>(query.limit) : SIZE_MAX;
  const uint64_t wanted = KeysTaken(query);
  RangeResult result;
  const std::optional<std::string> beyond =
      VisitSlice(query.key, query.range_end, revision, budget, [&](const KeyValue& kv) {
        ++result.count;
        if (!query.count_only && result.kvs.size() < wanted && PassesFilters(query, kv))
          result.kvs.push_back(kv);
        return query.want_count || result.kvs.size() < wanted;
      });
  if (beyond) return std::nullopt;
  if (query.count_only) return result;

  // Values that the order needs are read before sorting, others only for what remains.
  const bool by_value = query.target == SortTarget::kValue;
  if (by_value) {
    if (!TakeAll(result.kvs, query, budget)) return std::nullopt;
    RETURN_IF_ERROR(FillAll(result.kvs));
  }
  Sort(query, result.kvs);
  if (result.kvs.size() > limit) {
    result.kvs.resize(limit);
    result.more = true;
  }
  if (by_value) return result;
  if (!TakeAll(result.kvs, query, budget)) return std::nullopt;
  if (!query.keys_only) RETURN_IF_ERROR(FillAll(result.kvs));
  return result;
}

}  // namespace quoin::mvcc

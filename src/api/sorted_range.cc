#include "api/sorted_range.h"

#include <algorithm>

#include "mvcc/keys_taken.h"
#include "state/range_response.h"

namespace quoin::api {
namespace {

constexpr size_t kKeysPerSlice = 20000;
constexpr size_t kValuesPerSlice = 1000;  // that are read
constexpr size_t kPartBytes = 256 * 1024;

}  // namespace

SortedRange::SortedRange(SliceTurns& turns, const mvcc::RangeQuery& query,
                         std::shared_ptr<Moment> moment)
    : LargeRange(turns, query, std::move(moment)),
      by_value_(query.target == mvcc::SortTarget::kValue),
      limit_(query.limit > 0 ? static_cast<uint64_t>(query.limit) : UINT64_MAX),
      taken_max_(mvcc::KeysTaken(query)),
      next_key_(query.key) {}

bool SortedRange::Before(const Item& a, const Item& b) const {
  const Item& low = query().order == mvcc::SortOrder::kDescend ? b : a;
  const Item& high = query().order == mvcc::SortOrder::kDescend ? a : b;
  return by_value_ ? low.value.view() < high.value.view() : low.rank < high.rank;
}

// --- measuring: collect, then look at what will be sent ---

StatusOr<bool> SortedRange::MeasureSlice(const mvcc::View& view) {
  if (collected_) return Select();
  ASSIGN_OR_RETURN(collected_, Collect(view));
  if (!collected_) return false;
  size_.keys = std::min(matched_, limit_);
  size_.more = matched_ > limit_;
  merge_ = std::make_unique<Merge>(*this);
  return size_.keys == 0;
}

StatusOr<bool> SortedRange::Collect(const mvcc::View& view) {
  Run run;
  Status status;
  const auto go_on =
      view.VisitSlice(next_key_, query().range_end, revision(),
                      by_value_ ? kValuesPerSlice : kKeysPerSlice, [&](const mvcc::KeyValue& kv) {
                        ++size_.count;
                        if (matched_ == taken_max_ || !mvcc::PassesFilters(query(), kv))
                          return true;
                        StatusOr<Item> item = ItemOf(view, kv);
                        status = item.status();
                        if (status.ok()) run.push_back(*std::move(item));
                        return status.ok();
                      });
  RETURN_IF_ERROR(status);
  Add(std::move(run));
  if (go_on) next_key_ = *go_on;
  return !go_on.has_value();
}

StatusOr<SortedRange::Item> SortedRange::ItemOf(const mvcc::View& view, mvcc::KeyValue kv) {
  Item item;
  item.main = kv.at.main;
  item.sub = static_cast<uint32_t>(kv.at.sub);
  switch (query().target) {
    case mvcc::SortTarget::kKey:
      item.rank = static_cast<int64_t>(matched_);
      break;
    case mvcc::SortTarget::kVersion:
      item.rank = kv.version;
      break;
    case mvcc::SortTarget::kCreate:
      item.rank = kv.create_revision;
      break;
    case mvcc::SortTarget::kMod:
      item.rank = kv.mod_revision;
      break;
    case mvcc::SortTarget::kValue:
      RETURN_IF_ERROR(view.Fill(kv));
      item.value = SharedBytes(kv.value);
      break;
  }
  ++matched_;
  item.element_bytes = static_cast<uint32_t>(state::RangeElementSize(kv, query().keys_only));
  return item;
}

void SortedRange::Add(Run run) {
  auto before = [this](const Item& a, const Item& b) { return Before(a, b); };
  std::stable_sort(run.begin(), run.end(), before);
  if (run.size() > limit_) run.resize(limit_);
  if (limit_ > kKeysPerSlice || runs_.empty()) {
    if (!run.empty()) runs_.push_back(std::move(run));
    return;
  }
  Run& kept = runs_.front();
  Run both;
  both.reserve(kept.size() + run.size());
  std::merge(std::make_move_iterator(kept.begin()), std::make_move_iterator(kept.end()),
             std::make_move_iterator(run.begin()), std::make_move_iterator(run.end()),
             std::back_inserter(both), before);
  if (both.size() > limit_) both.resize(limit_);
  kept = std::move(both);
}

// Adds up some of what will be sent; then the merge begins anew.
bool SortedRange::Select() {
  for (size_t left = kKeysPerSlice; left > 0 && sent_ < size_.keys; --left, ++sent_)
    size_.elements_bytes += merge_->Next()->element_bytes;
  if (sent_ < size_.keys) return false;
  sent_ = 0;
  merge_ = std::make_unique<Merge>(*this);
  return true;
}

// --- sending ---

StatusOr<std::string> SortedRange::ReadSlice(const mvcc::View& view) {
  std::string out;
  while (sent_ < size_.keys && out.size() < kPartBytes) {
    const Item& item = *merge_->Next();
    mvcc::KeyValue kv;
    kv.at = {item.main, item.sub};
    RETURN_IF_ERROR(view.Fill(kv));
    kv.record_bytes = static_cast<uint32_t>(kv.record.size());
    // Keys alone come from the index, which knows no lease, unless values had to be read.
    if (query().keys_only && !by_value_) kv.lease = 0;
    state::AppendRangeElement(kv, query().keys_only, out);
    ++sent_;
  }
  return out;
}

// --- the merge ---

SortedRange::Merge::Merge(const SortedRange& range) : range_(range), next_(range.runs_.size(), 0) {
  for (uint32_t run = 0; run < range.runs_.size(); ++run) heap_.push_back(run);
  std::make_heap(heap_.begin(), heap_.end(),
                 [this](uint32_t a, uint32_t b) { return Behind(a, b); });
}

bool SortedRange::Merge::Behind(uint32_t a, uint32_t b) const {
  const Item& x = range_.runs_[a][next_[a]];
  const Item& y = range_.runs_[b][next_[b]];
  if (range_.Before(x, y)) return false;
  return range_.Before(y, x) || a > b;
}

const SortedRange::Item* SortedRange::Merge::Next() {
  if (heap_.empty()) return nullptr;
  auto behind = [this](uint32_t a, uint32_t b) { return Behind(a, b); };
  std::pop_heap(heap_.begin(), heap_.end(), behind);
  const uint32_t run = heap_.back();
  const Item* item = &range_.runs_[run][next_[run]++];
  if (next_[run] == range_.runs_[run].size()) {
    heap_.pop_back();
  } else {
    std::push_heap(heap_.begin(), heap_.end(), behind);
  }
  return item;
}

}  // namespace quoin::api

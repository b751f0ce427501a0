#include "api/sorted_range.h"

#include <algorithm>

#include "mvcc/keys_taken.h"
#include "state/range_response.h"

namespace quoin::api {
namespace {

constexpr mvcc::ReadBudget kPerSlice{20000, 4 << 20};
constexpr size_t kValuesPerSlice = 1000;  // that are read
constexpr uint64_t kSmallLimit = 50;
constexpr size_t kPartBytes = 256 * 1024;

}  // namespace

SortedRange::SortedRange(SliceTurns& turns, const mvcc::RangeQuery& query,
                         std::shared_ptr<Moment> moment)
    : LargeRange(turns, query, std::move(moment)),
      by_value_(query.target == mvcc::SortTarget::kValue),
      limit_(query.limit > 0 ? static_cast<uint64_t>(query.limit) : UINT64_MAX),
      small_(!by_value_ && limit_ <= kSmallLimit),
      taken_max_(mvcc::KeysTaken(query)) {}

bool SortedRange::Before(const Place& a, const Place& b) const {
  const bool descend = query().order == mvcc::SortOrder::kDescend;
  const int order = by_value_          ? a.value.compare(b.value)
                    : a.rank == b.rank ? 0
                    : a.rank < b.rank  ? -1
                                       : 1;
  if (order == 0) return a.number < b.number;
  return descend ? order > 0 : order < 0;
}

// --- turns ---

void SortedRange::WhenItsTurn(env::Task go) {
  if (small_) return go();
  SortLine& line = turns().sorts();
  if (pass_ == Pass::kDue) line.Leave(*this);  // nothing is held: others come first
  line.Take(std::shared_ptr<Keeper>(shared_from_this(), this), std::move(go));
}

void SortedRange::OnIdle() { turns().sorts().Rest(*this); }

void SortedRange::Cancel() {
  LargeRange::Cancel();
  turns().sorts().Leave(*this);
}

// Freeing many values takes as long as reading them.
void SortedRange::LetGo() {
  turns().Ask([gone = std::exchange(next_, {})]() mutable -> env::Task {
    gone = {};
    return [] {};
  });
  EndWindow();
}

void SortedRange::OnStillInLine() { moment().StillWanted(); }

void SortedRange::EndWindow() {
  next_ = {};
  held_bytes_ = 0;
  if (last_) last_->value = {};  // those who wait in line hold nothing; it is read again
  pass_ = Pass::kDue;
}

// --- a pass ---

Status SortedRange::BeginPass(const mvcc::View& view) {
  if (last_ && by_value_) {
    mvcc::KeyValue kv;
    kv.at = {last_->main, last_->sub};
    RETURN_IF_ERROR(view.Fill(kv));
    last_->value = SharedBytes(kv.value);
  }
  next_key_ = query().key;
  matched_ = 0;
  dropped_ = false;
  pass_ = Pass::kRuns;
  return OkStatus();
}

StatusOr<bool> SortedRange::Collect(const mvcc::View& view) {
  if (pass_ == Pass::kDue) RETURN_IF_ERROR(BeginPass(view));
  if (pass_ != Pass::kRuns) return true;
  mvcc::ReadBudget budget = kPerSlice;
  if (by_value_) budget.keys = kValuesPerSlice;
  Status status;
  const auto go_on = view.VisitSlice(next_key_, query().range_end, revision(), budget,
                                     [&](const mvcc::KeyValue& kv) {
                                       if (counts_) ++size_.count;
                                       if (matched_ == taken_max_) return counts_;
                                       if (mvcc::PassesFilters(query(), kv))
                                         status = Look(view, kv, budget);
                                       return status.ok();
                                     });
  RETURN_IF_ERROR(status);
  if (go_on) {
    next_key_ = *go_on;
    return false;
  }
  pass_ = Pass::kOver;
  return true;
}

Status SortedRange::Look(const mvcc::View& view, mvcc::KeyValue kv, mvcc::ReadBudget& budget) {
  Place place{.number = static_cast<int64_t>(matched_++)};
  switch (query().target) {
    case mvcc::SortTarget::kKey:
      place.rank = place.number;
      break;
    case mvcc::SortTarget::kVersion:
      place.rank = kv.version;
      break;
    case mvcc::SortTarget::kCreate:
      place.rank = kv.create_revision;
      break;
    case mvcc::SortTarget::kMod:
      place.rank = kv.mod_revision;
      break;
    case mvcc::SortTarget::kValue:
      budget.Take(kv.record_bytes);
      RETURN_IF_ERROR(view.Fill(kv));
      place.value = kv.value;
      break;
  }
  const size_t element_bytes = state::RangeElementSize(kv, query().keys_only);
  if (counts_) all_elements_bytes_ += element_bytes;
  if (last_ && !Before(last_->place(), place)) return OkStatus();
  if (dropped_ && !Before(place, next_.front().place())) return OkStatus();
  Keep({.rank = place.rank,
        .value = SharedBytes(place.value),
        .number = place.number,
        .main = kv.at.main,
        .sub = static_cast<uint32_t>(kv.at.sub),
        .element_bytes = static_cast<uint32_t>(element_bytes)});
  return OkStatus();
}

void SortedRange::Keep(Item item) {
  auto before = [this](const Item& a, const Item& b) { return Before(a.place(), b.place()); };
  held_bytes_ += item.bytes();
  next_.push_back(std::move(item));
  std::push_heap(next_.begin(), next_.end(), before);
  while (next_.size() > 1 &&
         (held_bytes_ > turns().sorts().bytes_max() || next_.size() > limit_ - sent_)) {
    std::pop_heap(next_.begin(), next_.end(), before);
    held_bytes_ -= next_.back().bytes();
    next_.pop_back();
    dropped_ = true;
  }
}

// --- measuring: one pass, or as many as lie within a limit ---

StatusOr<bool> SortedRange::MeasureSlice(const mvcc::View& view) {
  ASSIGN_OR_RETURN(const bool over, Collect(view));
  if (!over) return false;
  if (std::exchange(counts_, false)) {
    size_.keys = std::min(matched_, limit_);
    size_.more = matched_ > limit_;
  }
  if (matched_ > limit_) return AddUp();
  size_.elements_bytes = all_elements_bytes_;
  return true;
}

bool SortedRange::AddUp() {
  for (const Item& item : next_) size_.elements_bytes += item.element_bytes;
  sent_ += next_.size();
  const bool all = sent_ == size_.keys;
  if (all) {
    sent_ = 0;
    if (!last_) return true;  // they are all here, to be sent
    last_.reset();
  } else {
    last_ = std::move(next_.front());
  }
  EndWindow();
  return all;
}

// --- sending ---

StatusOr<std::string> SortedRange::ReadSlice(const mvcc::View& view) {
  auto behind = [this](const Item& a, const Item& b) { return Before(b.place(), a.place()); };
  ASSIGN_OR_RETURN(const bool over, Collect(view));
  if (!over) return std::string();
  if (std::exchange(pass_, Pass::kSends) == Pass::kOver) {
    if (next_.empty()) return absl::InternalError("the range changed under a pinned revision");
    std::make_heap(next_.begin(), next_.end(), behind);
  }
  std::string out;
  while (!next_.empty() && out.size() < kPartBytes) {
    std::pop_heap(next_.begin(), next_.end(), behind);
    last_ = std::move(next_.back());
    held_bytes_ -= last_->bytes();
    next_.pop_back();
    mvcc::KeyValue kv;
    kv.at = {last_->main, last_->sub};
    RETURN_IF_ERROR(view.Fill(kv));
    kv.record_bytes = static_cast<uint32_t>(kv.record.size());
    // Keys alone come from the index, which knows no lease, unless values had to be read.
    if (query().keys_only && !by_value_) kv.lease = 0;
    state::AppendRangeElement(kv, query().keys_only, out);
    ++sent_;
  }
  if (next_.empty()) EndWindow();
  return out;
}

}  // namespace quoin::api

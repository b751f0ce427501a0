#include "raft/log.h"

#include <algorithm>

#include "base/check.h"
#include "base/limits.h"

namespace quoin::raft {
namespace {

// What an entry keeps in memory while it waits to be applied.
size_t HeldBytes(const Entry& entry) { return entry.data.size() + limits::kLogEntryOverheadBytes; }

}  // namespace

Log::Log(EntryId start, std::vector<Entry> entries, Index committed, Index applied, Limits limits)
    : limits_(limits), start_(start), committed_(committed), applying_(applied), applied_(applied) {
  Term term = start.term;
  for (Entry& entry : entries) {
    CHECK_EQ(entry.index, last_index() + 1) << "the recovered log has a gap";
    CHECK_GE(entry.term, term) << "terms go back at index " << entry.index;
    term = entry.term;
    bytes_ += EntryBytes(entry);
    entries_.push_back(std::move(entry));
  }
  stable_ = handed_out_ = last_index();
  CHECK_LE(start_.index, applied_);
  CHECK_LE(applied_, committed_);
  CHECK_LE(committed_, last_index()) << "the log ends before what it says is committed";
  for (Index i = std::max(applied_ + 1, first_index()); i <= committed_; ++i)
    unapplied_bytes_ += HeldBytes(At(i));
}

EntryId Log::last() const {
  return entries_.empty() ? start_ : EntryId{entries_.back().term, entries_.back().index};
}

std::optional<Term> Log::TermAt(Index index) const {
  if (index == start_.index) return start_.term;
  if (index < start_.index || index > last_index()) return std::nullopt;
  return At(index).term;
}

bool Log::IsUpToDate(EntryId candidate_last) const {
  const EntryId own = last();
  if (candidate_last.term != own.term) return candidate_last.term > own.term;
  return candidate_last.index >= own.index;
}

EntryId Log::ConflictHint(Index index, Term term) const {
  if (index > last_index()) return {Term(0), index};
  if (index < start_.index) return {Term(0), index};
  // Terms never go back within a log, so the entries at most `term` are a prefix of it.
  auto end = entries_.begin() + static_cast<ptrdiff_t>(index - start_.index);
  auto after = std::upper_bound(entries_.begin(), end, term, [](Term wanted, const Entry& entry) {
    return wanted < entry.term;
  });
  if (after != entries_.begin()) return {std::prev(after)->term, std::prev(after)->index};
  if (start_.term <= term) return start_;
  return {Term(0), start_.index - 1};
}

std::vector<Entry> Log::Slice(Index from, Index to, size_t bytes_max) const {
  CHECK_GE(from, first_index());
  if (to > last_index()) to = last_index();
  if (from > to) return {};
  auto begin = entries_.begin() + static_cast<ptrdiff_t>(from - first_index());
  auto limit = begin + static_cast<ptrdiff_t>(to - from + 1);
  auto end = begin + 1;
  size_t bytes = EntryBytes(*begin);
  while (end != limit) {
    bytes += EntryBytes(*end);
    if (bytes > bytes_max) break;
    ++end;
  }
  return std::vector<Entry>(begin, end);
}

void Log::Append(Entry entry) {
  CHECK_GE(entry.term, last().term);
  entry.index = last_index() + 1;
  bytes_ += EntryBytes(entry);
  entries_.push_back(std::move(entry));
}

std::optional<Index> Log::FirstNew(Index previous, std::span<const Entry> entries) const {
  Index index = previous;
  for (const Entry& entry : entries) {
    ++index;
    if (!Matches({entry.term, index})) return index;
  }
  return std::nullopt;
}

void Log::TruncateFrom(Index from) {
  CHECK_GT(from, committed_) << "a committed entry would be lost";
  CHECK_GE(from, first_index());
  if (from > last_index()) return;
  for (Index i = from; i <= last_index(); ++i) bytes_ -= EntryBytes(At(i));
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(from - first_index()), entries_.end());
  stable_ = std::min(stable_, last_index());
  handed_out_ = std::min(handed_out_, last_index());
}

void Log::CommitTo(Index index) {
  CHECK_LE(index, last_index());
  while (committed_ < index) unapplied_bytes_ += HeldBytes(At(++committed_));
}

void Log::StableTo(Index index) {
  CHECK_LE(index, handed_out_);
  stable_ = std::max(stable_, index);
}

std::vector<Entry> Log::HandOut() {
  if (!HasToPersist()) return {};
  std::vector<Entry> entries = Slice(handed_out_ + 1, last_index(), SIZE_MAX);
  handed_out_ = last_index();
  return entries;
}

Index Log::AppliableTo() const {
  return limits_.apply_unstable ? committed_ : std::min(committed_, stable_);
}

bool Log::HasToApply() const {
  return !applying_paused_ && !HasPendingSnapshot() && applying_ < AppliableTo();
}

std::vector<Entry> Log::HandOutCommitted() {
  if (!HasToApply()) return {};
  CHECK_LT(applying_bytes_, limits_.applying_bytes_max);
  const size_t room = limits_.applying_bytes_max - applying_bytes_;
  std::vector<Entry> entries = Slice(applying_ + 1, AppliableTo(), room);
  for (const Entry& entry : entries) applying_bytes_ += EntryBytes(entry);
  applying_ = entries.back().index;
  applying_paused_ = applying_bytes_ >= limits_.applying_bytes_max || applying_ < AppliableTo();
  return entries;
}

size_t Log::AppliedTo(Index index) {
  CHECK_LE(index, applying_) << "applied what was not handed out";
  size_t data_bytes = 0;
  // A snapshot may have replaced the log since those entries were handed out.
  for (Index i = std::max(applied_ + 1, first_index()); i <= index; ++i) {
    data_bytes += At(i).data.size();
    CHECK_GE(unapplied_bytes_, HeldBytes(At(i)));
    unapplied_bytes_ -= HeldBytes(At(i));
    applying_bytes_ -= std::min(applying_bytes_, EntryBytes(At(i)));
  }
  applied_ = std::max(applied_, index);
  applying_paused_ = applying_bytes_ >= limits_.applying_bytes_max;
  return data_bytes;
}

void Log::Restore(EntryId snapshot) {
  CHECK_GT(snapshot.index, committed_);
  entries_.clear();
  bytes_ = unapplied_bytes_ = 0;
  start_ = snapshot;
  committed_ = stable_ = handed_out_ = snapshot.index;
  pending_snapshot_ = snapshot.index;
}

void Log::SnapshotInstalled(Index index) {
  if (pending_snapshot_ == index) pending_snapshot_ = Index(0);
  applied_ = std::max(applied_, index);
  applying_ = std::max(applying_, index);
  applying_bytes_ = 0;
  applying_paused_ = false;
}

void Log::CompactTo(Index index) {
  CHECK_LE(index, applied_);
  CHECK_LE(index, stable_);
  if (index <= start_.index) return;
  const EntryId at{*TermAt(index), index};
  for (Index i = first_index(); i <= index; ++i) bytes_ -= EntryBytes(At(i));
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(index - start_.index));
  start_ = at;
}

}  // namespace quoin::raft

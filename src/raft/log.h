// Log: the entries of one member since its last compaction, and how far they are durable, committed
// and applied.
//
//   start < first … applied ≤ applying ≤ committed ≤ last
//           first … stable ≤ handed_out ≤ last
//
// `start` is the last entry that is gone, covered by a snapshot. `handed_out` entries are on their
// way to the disk, `stable` ones are durable, `applying` ones are on their way to the state
// machine. Without apply_unstable also applying ≤ stable: nothing is applied that a crash could
// take back here.
//
// Value type; owned by Core. Entries share their bytes, so a copied range costs reference counts.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "raft_types/types.h"

namespace quoin::raft {

// Names an entry for good: "if two entries in different logs have the same index and term, they
// store the same command".
struct EntryId {
  Term term;
  Index index;
  friend bool operator==(const EntryId&, const EntryId&) = default;
};

// What an entry counts against a bound in bytes.
inline constexpr size_t kEntryOverheadBytes = 24;
inline size_t EntryBytes(const Entry& entry) { return entry.data.size() + kEntryOverheadBytes; }

class Log {
 public:
  struct Limits {
    size_t applying_bytes_max = SIZE_MAX;
    bool apply_unstable = false;
  };
  // `entries` follow `start` without a gap and are durable; so is everything up to `applied`.
  // REQUIRES: start.index ≤ applied ≤ committed ≤ last index.
  Log(EntryId start, std::vector<Entry> entries, Index committed, Index applied, Limits limits);

  Index first_index() const { return start_.index + 1; }
  Index last_index() const { return start_.index + entries_.size(); }
  EntryId start() const { return start_; }
  EntryId last() const;
  Index committed() const { return committed_; }
  Index applying() const { return applying_; }
  Index applied() const { return applied_; }
  Index stable() const { return stable_; }
  Index handed_out() const { return handed_out_; }
  // Of all entries, by EntryBytes.
  size_t bytes() const { return bytes_; }
  // Of the entries that are committed and not applied, with all that each costs in memory.
  size_t unapplied_bytes() const { return unapplied_bytes_; }
  // nullopt: compacted away, or beyond the end.
  std::optional<Term> TermAt(Index index) const;
  bool Matches(EntryId id) const { return TermAt(id.index) == id.term; }
  // §5.4.1: a log is more up-to-date by the term of its last entry, then by its length.
  bool IsUpToDate(EntryId candidate_last) const;
  // The highest entry at or before `index` whose term is at most `term`: the logs cannot agree
  // between the two. Term 0 when that lies in front of the log.
  EntryId ConflictHint(Index index, Term term) const;
  // REQUIRES: first_index ≤ index ≤ last_index.
  const Entry& At(Index index) const { return entries_[index - first_index()]; }
  // Entries from `from` on, as many as fit in bytes_max but at least one. REQUIRES: from ≥
  // first_index.
  std::vector<Entry> Slice(Index from, Index to, size_t bytes_max) const;

  void Append(Entry entry);  // at the end; sets its index
  // The index of the first of `entries` (which follow `previous`) that is not in the log; nullopt
  // when all are.
  std::optional<Index> FirstNew(Index previous, std::span<const Entry> entries) const;
  // Removes everything from `from` on. REQUIRES: from > committed.
  void TruncateFrom(Index from);
  void CommitTo(Index index);  // REQUIRES: index ≤ last_index; never goes back

  // Everything up to `index` is durable (bounded by what is still there).
  void StableTo(Index index);
  std::vector<Entry> HandOut();  // entries not yet handed to the disk
  std::vector<Entry> HandOutCommitted();
  bool HasToPersist() const { return handed_out_ < last_index(); }
  bool HasToApply() const;
  // Bytes of data (without overhead) of what thereby became applied.
  size_t AppliedTo(Index index);

  // A snapshot replaces the whole log. Nothing is applied until SnapshotInstalled(its index).
  void Restore(EntryId snapshot);
  bool HasPendingSnapshot() const { return pending_snapshot_.value() != 0; }
  void SnapshotInstalled(Index index);
  // Forgets entries up to `index`. REQUIRES: index ≤ applied.
  void CompactTo(Index index);

 private:
  Index AppliableTo() const;

  const Limits limits_;
  EntryId start_;
  std::deque<Entry> entries_;
  Index committed_;
  Index applying_;
  Index applied_;
  Index stable_;
  Index handed_out_;
  Index pending_snapshot_;      // 0 = none
  size_t bytes_ = 0;            // of entries_
  size_t unapplied_bytes_ = 0;  // of (applied, committed], by HeldBytes
  size_t applying_bytes_ = 0;
  bool applying_paused_ = false;  // a batch was cut short: wait until it is applied
};

}  // namespace quoin::raft

#include "wal/replay.h"

#include <algorithm>

#include "base/crc32c.h"
#include "base/wire.h"
#include "raft_types/codec.h"
#include "wal/segment.h"

namespace quoin::wal {
namespace {

// The chain does not cover the types of records. A record that reads as another type has fields
// that this type does not have.
bool HasField(std::string_view data, uint32_t number, wire::Type type) {
  wire::Reader reader(data);
  for (wire::Field field; reader.Next(field);) {
    if (field.number == number && field.type == type) return true;
  }
  return false;
}

// A change of the configuration says which. Only the end of a joint one would be empty: etcd makes
// no joint changes, and neither do we.
bool IsEntry(const raft::Entry& entry) {
  if (entry.index.value() == 0 || entry.term.value() == 0) return false;
  return entry.type == raft::EntryType::kNormal || !entry.data.empty();
}

bool IsState(const raft::HardState& state, std::string_view data) {
  return state.term.value() != 0 && !HasField(data, 4, wire::Type::kBytes);
}

bool IsSnapshot(const SnapshotRecord& snapshot, std::string_view data) {
  if (snapshot.index.value() == 0 && snapshot.term.value() != 0) return false;
  return !HasField(data, 3, wire::Type::kVarint);
}

std::string Number(Index index) { return std::to_string(index.value()); }

}  // namespace

Status Replay::Take(const Record& record, size_t at) {
  if (record.type == RecordType::kCrc) {
    if (crc_ != 0 && record.crc != crc_) {
      return absl::FailedPreconditionError(
          head_of_segment_ ? "the segment does not continue the one before it (crc mismatch)"
                           : "a mark or crc record does not continue the chain (crc mismatch)");
    }
    crc_ = record.crc;
    head_of_segment_ = false;
    return OkStatus();
  }
  const uint32_t before = crc_, crc = Crc32c(crc_, record.data);
  if (crc != record.crc) {
    return absl::DataLossError("crc mismatch: expected " + std::to_string(record.crc) +
                               ", computed " + std::to_string(crc));
  }
  crc_ = crc;
  switch (record.type) {
    case RecordType::kMetadata:
      return TakeMetadata(record.data);
    case RecordType::kEntry:
      return TakeEntry(record.data);
    case RecordType::kState:
      return TakeState(record.data);
    case RecordType::kSnapshot:
      return TakeSnapshot(record.data, at, before);
    case RecordType::kCrc:
      break;
  }
  return OkStatus();
}

Status Replay::TakeMetadata(std::string_view data) {
  std::optional<Metadata> metadata = DecodeMetadata(data);
  if (!metadata) return absl::FailedPreconditionError("malformed metadata");
  if (has_metadata_ && *metadata != out_.metadata) {
    return absl::FailedPreconditionError(
        "the metadata says another member or cluster than the segments before");
  }
  out_.metadata = *metadata;
  has_metadata_ = true;
  // The second record of a segment: a snapshot record seen before it is in an older one.
  last_snapshot_.in_last_segment = false;
  if (uncounted_) uncounted_->record.in_last_segment = false;
  return OkStatus();
}

Status Replay::TakeState(std::string_view data) {
  StatusOr<raft::HardState> state = raft::DecodeHardState(data);
  if (!state.ok()) return absl::FailedPreconditionError(state.status().message());
  if (!IsState(*state, data)) return absl::FailedPreconditionError("a state that is none");
  if (state->term < out_.hard_state.term || state->commit < out_.hard_state.commit) {
    return absl::FailedPreconditionError(
        "the state goes back from term " + std::to_string(out_.hard_state.term.value()) +
        ", commit " + Number(out_.hard_state.commit) + " to term " +
        std::to_string(state->term.value()) + ", commit " + Number(state->commit));
  }
  out_.hard_state = *state;
  if (conflict_ && conflict_->snapshot <= state->commit) {
    // "Discard the entire log": figure 13. What was read behind the record stays.
    std::erase_if(out_.entries,
                  [&](const raft::Entry& entry) { return entry.index < conflict_->kept_from; });
    conflict_.reset();
  }
  if (uncounted_ && uncounted_->snapshot <= state->commit) uncounted_.reset();
  return OkStatus();
}

// A snapshot whose last entry the log holds with another term replaces the log, once it counts.
Status Replay::TakeSnapshot(std::string_view data, size_t at, uint32_t crc_before) {
  std::optional<SnapshotRecord> snapshot = DecodeSnapshotRecord(data);
  if (!snapshot) return absl::FailedPreconditionError("malformed snapshot record");
  if (!IsSnapshot(*snapshot, data))
    return absl::FailedPreconditionError("a snapshot record that is none");
  last_snapshot_ = {at, crc_before, out_.snapshots.size(), conflict_};
  const std::vector<raft::Entry>& entries = out_.entries;
  if (!entries.empty() && snapshot->index >= entries.front().index &&
      snapshot->index <= entries.back().index) {
    const raft::Entry& held = entries[snapshot->index - entries.front().index];
    if (held.term != snapshot->term) conflict_ = Conflict{snapshot->index, Index(UINT64_MAX)};
  }
  out_.snapshots.push_back(*std::move(snapshot));
  return OkStatus();
}

// Without the snapshot, an entry that follows on it would stand behind entries of another history,
// or behind a gap.
void Replay::NoteUncounted(Index entry) {
  if (uncounted_ || out_.snapshots.empty()) return;
  const SnapshotRecord& snapshot = out_.snapshots.back();
  if (entry != snapshot.index + 1 || snapshot.index <= out_.hard_state.commit) return;
  const std::vector<raft::Entry>& entries = out_.entries;
  const bool holds = !entries.empty() && snapshot.index >= entries.front().index &&
                     snapshot.index <= entries.back().index &&
                     entries[snapshot.index - entries.front().index].term == snapshot.term;
  if (!holds) uncounted_ = Uncounted{last_snapshot_, snapshot.index, entries};
}

// An entry at an index that is there already replaces it and all after it: an overwritten,
// uncommitted tail.
Status Replay::TakeEntry(std::string_view data) {
  StatusOr<raft::Entry> entry = raft::DecodeEntry(data);
  if (!entry.ok()) return absl::FailedPreconditionError(entry.status().message());
  if (!IsEntry(*entry)) return absl::FailedPreconditionError("an entry that is none");
  NoteUncounted(entry->index);
  std::vector<raft::Entry>& entries = out_.entries;
  const bool after_snapshot =
      !out_.snapshots.empty() && entry->index == out_.snapshots.back().index + 1;
  if (!entries.empty()) {
    const Index first = entries.front().index, next = entries.back().index + 1;
    if (entry->index > next) {
      if (!after_snapshot) {
        return absl::FailedPreconditionError("entry " + Number(entry->index) + " follows entry " +
                                             std::to_string(next.value() - 1) +
                                             ": entries are missing");
      }
      entries.clear();
    } else if (entry->index < first) {
      entries.clear();
    } else {
      entries.resize(entry->index - first);
    }
  }
  last_index_ = entry->index;
  if (conflict_) conflict_->kept_from = std::min(conflict_->kept_from, entry->index);
  entries.push_back(*std::move(entry));
  return OkStatus();
}

std::optional<size_t> Replay::ForgetUncounted(size_t loose) {
  if (!uncounted_ || !uncounted_->record.in_last_segment) return std::nullopt;
  if (uncounted_->record.at < loose) return std::nullopt;
  crc_ = uncounted_->record.crc;
  out_.snapshots.resize(uncounted_->record.snapshots);
  out_.entries = std::move(uncounted_->entries);
  last_index_ = out_.entries.empty() ? Index() : out_.entries.back().index;
  conflict_ = uncounted_->record.conflict;
  const size_t at = uncounted_->record.at;
  uncounted_.reset();
  return at;
}

// Whether the entries, from the first one on, hold all that snapshots refer to: then those can be
// forgotten. A restored snapshot's log begins with the members and a snapshot record behind them,
// whose content no entry has.
Status Replay::CheckWhole() const {
  const std::vector<raft::Entry>& entries = out_.entries;
  const bool is_new =
      entries.empty() && (out_.snapshots.empty() || out_.snapshots.back().index == Index());
  if (is_new) return OkStatus();
  if (entries.empty() || entries.front().index != Index(1))
    return absl::NotFoundError("the log's first entries are gone");
  for (const SnapshotRecord& snapshot : out_.snapshots) {
    if (snapshot.index == Index()) continue;
    if (snapshot.index > entries.back().index ||
        entries[snapshot.index.value() - 1].term != snapshot.term) {
      return absl::NotFoundError("a leader's snapshot at index " + Number(snapshot.index) +
                                 " took the place of entries");
    }
    const bool has_requests = std::any_of(
        entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(snapshot.index.value()),
        [](const raft::Entry& entry) { return entry.type == raft::EntryType::kNormal; });
    if (!has_requests) {
      return absl::NotFoundError("the log begins after a restored snapshot (index " +
                                 Number(snapshot.index) + ")");
    }
  }
  return OkStatus();
}

StatusOr<Recovered> Replay::FinishWhole() {
  RETURN_IF_ERROR(CheckWhole());
  out_.snapshots.clear();
  return Finish(Index());
}

StatusOr<Recovered> Replay::Finish(Index applied_floor) {
  if (!has_metadata_)
    return absl::DataLossError("the log says nowhere whose it is (no metadata record)");
  for (const SnapshotRecord& snapshot : out_.snapshots) {
    if (snapshot.index <= out_.hard_state.commit && snapshot.index >= out_.start.index)
      out_.start = snapshot;
  }
  std::vector<raft::Entry>& entries = out_.entries;
  if (!entries.empty() && entries.front().index > out_.start.index + 1) {
    return absl::DataLossError("the log begins with entry " + Number(entries.front().index) +
                               ", but the newest snapshot ends at " + Number(out_.start.index) +
                               ": entries between are missing");
  }
  std::erase_if(entries, [&](const raft::Entry& entry) { return entry.index <= out_.start.index; });
  const Index last = entries.empty() ? out_.start.index : entries.back().index;
  const std::string ends = "the log ends with entry " + Number(last);
  if (out_.hard_state.commit > last) {
    return absl::DataLossError(ends + ", but entry " + Number(out_.hard_state.commit) +
                               " was committed");
  }
  if (applied_floor > last) {
    return absl::DataLossError(ends + ", but the data file holds what came up to entry " +
                               Number(applied_floor) + ": a part of the log is gone");
  }
  // The state stands behind the entries of its write and was lost with the write's end. No vote of
  // that term was given: a vote is durable before it leaves.
  if (!entries.empty() && entries.back().term > out_.hard_state.term)
    out_.hard_state = {entries.back().term, NodeId(), out_.hard_state.commit};
  return std::move(out_);
}

}  // namespace quoin::wal

#include "wal/missing_end.h"

#include <algorithm>
#include <vector>

#include "base/crc32c.h"
#include "raft_types/codec.h"
#include "wal/record.h"
#include "wal/segment.h"

namespace quoin::wal {
namespace {

constexpr size_t kStateFrameBytesMax = 64;
// How far the missing commit index may have moved, and the term: bounds the states that are tried.
constexpr uint64_t kCommitsMax = 1 << 16;
constexpr uint64_t kTermsMax = 4;
// Length field, type and crc, and the data's own head: where a mark's check ends (wal/mark.h).
constexpr size_t kMarkTellsItself = 8 + 2 + 6 + 2 + 4 + 8;

// What the write holds in front of the missing state.
struct Front {
  size_t end = 0;
  uint32_t crc = 0;
  Index last;
  Term term;
};

std::optional<Front> ReadFront(std::string_view segment, const Mark& mark, uint32_t crc,
                               const Recovered& before) {
  Front front{mark.records_at, crc, before.hard_state.commit, before.hard_state.term};
  if (!before.entries.empty()) front.last = std::max(front.last, before.entries.back().index);
  while (true) {
    const Frame frame = ParseFrame(segment.substr(front.end));
    if (frame.kind != Frame::Kind::kRecord) return front;
    front.crc = Crc32c(front.crc, frame.record.data);
    // A write of ours has one state, its last record, and that one is cut.
    if (front.crc != frame.record.crc || frame.record.type == RecordType::kState)
      return std::nullopt;
    if (frame.record.type == RecordType::kEntry) {
      const StatusOr<raft::Entry> entry = raft::DecodeEntry(frame.record.data);
      if (!entry.ok()) return std::nullopt;
      front.last = entry->index;
      front.term = std::max(front.term, entry->term);
    } else if (frame.record.type == RecordType::kSnapshot) {
      const std::optional<SnapshotRecord> snapshot = DecodeSnapshotRecord(frame.record.data);
      if (!snapshot) return std::nullopt;
      front.last = std::max(front.last, snapshot->index);
    }
    front.end += frame.bytes;
  }
}

// Whom this member may have voted for.
std::vector<NodeId> Votes(const Recovered& before) {
  std::vector<NodeId> votes = {before.hard_state.vote, NodeId(before.metadata.node_id), NodeId()};
  if (!before.snapshots.empty() && before.snapshots.back().conf_state) {
    const std::vector<NodeId>& voters = before.snapshots.back().conf_state->voters;
    votes.insert(votes.end(), voters.begin(), voters.end());
  }
  for (const raft::Entry& entry : before.entries) {
    if (entry.type != raft::EntryType::kConfChange) continue;
    if (const StatusOr<raft::ConfChange> change = raft::DecodeConfChange(entry.data); change.ok())
      votes.push_back(change->node_id);
  }
  std::sort(votes.begin(), votes.end());
  votes.erase(std::unique(votes.begin(), votes.end()), votes.end());
  return votes;
}

std::string StateFrame(uint32_t crc, const raft::HardState& state) {
  std::string data, frame;
  raft::EncodeHardState(state, data);
  FrameWriter(crc).Append(RecordType::kState, data, frame);
  return frame;
}

}  // namespace

std::optional<MissingEnd> FindMissingEnd(std::string_view segment, const Mark& mark, uint32_t crc,
                                         const Recovered& before) {
  if (segment.size() < mark.records_at || mark.end <= segment.size()) return std::nullopt;
  const std::optional<Front> front = ReadFront(segment, mark, crc, before);
  if (!front || front->end >= mark.end || mark.end - front->end > kStateFrameBytesMax)
    return std::nullopt;
  const std::string_view there = segment.substr(front->end);
  const uint32_t whole = Crc32c(0, segment.substr(mark.records_at, front->end - mark.records_at));
  const uint64_t commit_min = before.hard_state.commit.value();
  const uint64_t commit_max = std::min(front->last.value(), commit_min + kCommitsMax);
  for (const NodeId vote : Votes(before)) {
    for (uint64_t commit = commit_min; commit <= commit_max; ++commit) {
      for (uint64_t term = 0; term <= kTermsMax; ++term) {
        const raft::HardState state{Term(front->term.value() + term), vote, Index(commit)};
        std::string frame = StateFrame(front->crc, state);
        if (front->end + frame.size() == mark.end && frame.starts_with(there) &&
            Crc32c(whole, frame) == mark.whole) {
          return MissingEnd{front->end, std::move(frame)};
        }
      }
    }
  }
  return std::nullopt;
}

bool IsCutEmptyMark(std::string_view segment, size_t at, uint64_t sequence, uint32_t crc) {
  if (at > segment.size()) return false;
  const std::string_view there = segment.substr(at);
  std::string mark;
  AppendMark(FrameWriter(crc), sequence, at, "", mark);
  return there.size() >= kMarkTellsItself && there.size() < mark.size() &&
         std::string_view(mark).starts_with(there);
}

}  // namespace quoin::wal

#include "api/range_stream.h"

#include <algorithm>
#include <utility>

#include "state/range_response.h"

namespace quoin::api {
namespace {

constexpr mvcc::ReadBudget kPerTurn{20'000, 256 * 1024};
// A chunk that grows beyond this many times what is wanted ends early: the number of its keys was
// found with smaller ones.
constexpr size_t kChunkOversize = 4;

}  // namespace

// As etcd's, a stream holds no compaction up.
RangeStream::RangeStream(server::Node& node, SliceTurns& turns, const mvcc::RangeQuery& query,
                         size_t bytes_wanted)
    : turns_(turns),
      range_end_(query.range_end),
      asked_revision_(query.revision),
      limit_(query.limit > 0 ? static_cast<uint64_t>(query.limit) : UINT64_MAX),
      keys_only_(query.keys_only),
      bytes_wanted_(bytes_wanted),
      moment_(node, Moment::Hold::kNothing, query.revision),
      next_key_(query.key) {}

void RangeStream::ReadChunk(OnChunk on_chunk) {
  turns_.Ask([self = shared_from_this(), on_chunk = std::move(on_chunk)]() -> env::Task {
    if (self->cancelled_.load()) return [] {};
    return [self, on_chunk, turn = self->ReadTurn()] {
      if (self->cancelled_.load()) return;
      if (turn.ok() && *turn == Turn::kMore) return self->ReadChunk(on_chunk);
      self->chunk_.store_revision = self->moment_.revision();
      StatusOr<Chunk> chunk = std::exchange(self->chunk_, {});
      if (!turn.ok()) chunk = turn.status();
      on_chunk(std::move(chunk));
    };
  });
}

StatusOr<RangeStream::Turn> RangeStream::ReadTurn() {
  return moment_.Read([this](const mvcc::View& view) -> StatusOr<Turn> {
    if (revision_ == 0) {
      ASSIGN_OR_RETURN(revision_, moment_.Resolve(asked_revision_));
    }
    return chunk_.more ? CountSlice(view) : ReadSlice(view);
  });
}

StatusOr<RangeStream::Turn> RangeStream::ReadSlice(const mvcc::View& view) {
  mvcc::ReadBudget budget = kPerTurn;
  Status status;
  std::optional<std::string> full_at;  // the chunk is full, and this key is there
  const auto go_on =
      view.VisitSlice(next_key_, range_end_, revision_, budget, [&](const mvcc::KeyValue& found) {
        if (sent_ == limit_ || chunk_keys_ == chunk_keys_max_ ||
            chunk_.elements.size() >= kChunkOversize * bytes_wanted_) {
          full_at = std::string(found.key);
          return false;
        }
        mvcc::KeyValue kv = found;
        if (!keys_only_) status = view.Fill(kv);
        if (!status.ok()) return false;
        budget.Take(keys_only_ ? kv.key.size() : kv.record.size());
        state::AppendRangeElement(kv, keys_only_, chunk_.elements);
        ++chunk_keys_;
        ++sent_;
        return true;
      });
  RETURN_IF_ERROR(status);
  if (full_at || go_on) next_key_ = full_at ? *std::move(full_at) : *go_on;
  if (go_on && !full_at) return Turn::kMore;
  if (full_at && sent_ == limit_) {
    chunk_.more = true;
    chunk_.count = static_cast<int64_t>(sent_);
    return Turn::kMore;  // counts what is left
  }
  if (!full_at) {
    chunk_.last = true;
    chunk_.count = static_cast<int64_t>(sent_);
  }
  Adapt();
  return Turn::kChunk;
}

StatusOr<RangeStream::Turn> RangeStream::CountSlice(const mvcc::View& view) {
  mvcc::ReadBudget budget = kPerTurn;
  const auto go_on =
      view.VisitSlice(next_key_, range_end_, revision_, budget, [this](const mvcc::KeyValue&) {
        ++chunk_.count;
        return true;
      });
  if (go_on) {
    next_key_ = *go_on;
    return Turn::kMore;
  }
  chunk_.last = true;
  return Turn::kChunk;
}

// etcd's rule: twice as many keys after a chunk below half of what is wanted, half as many above
// twice of it.
void RangeStream::Adapt() {
  if (chunk_.elements.size() < bytes_wanted_ / 2) {
    chunk_keys_max_ *= 2;
  } else if (chunk_.elements.size() > 2 * bytes_wanted_) {
    chunk_keys_max_ = std::max<uint64_t>(1, chunk_keys_max_ / 2);
  }
  chunk_keys_ = 0;
}

}  // namespace quoin::api

// RangeStream: the keys of a range in key order, in chunks that the caller makes messages of, in
// slices on the storage loop, in turn with other long reads. Nothing is kept between two chunks but
// the next key.
//
// Thread: made on an I/O loop, which gets every callback; the work runs on the storage loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/moment.h"
#include "api/slice_turns.h"

namespace quoin::api {

class RangeStream : public std::enable_shared_from_this<RangeStream> {
 public:
  struct Chunk {
    std::string elements;  // of RangeResponse.kvs
    bool last = false;
    // With the last one:
    int64_t store_revision = 0;  // when the first was read
    bool more = false;
    int64_t count = 0;
  };
  using OnChunk = std::function<void(StatusOr<Chunk>)>;

  // Of the query it knows range, revision, limit and keys_only. `bytes_wanted`: of a chunk.
  RangeStream(server::Node& node, SliceTurns& turns, const mvcc::RangeQuery& query,
              size_t bytes_wanted);

  // One at a time; the next call after the chunk has come.
  void ReadChunk(OnChunk on_chunk);
  void Cancel() { cancelled_.store(true); }

 private:
  enum class Turn : uint8_t { kMore, kChunk };
  StatusOr<Turn> ReadTurn();
  StatusOr<Turn> ReadSlice(const mvcc::View& view);
  StatusOr<Turn> CountSlice(const mvcc::View& view);
  void Adapt();

  SliceTurns& turns_;
  const std::string range_end_;
  const int64_t asked_revision_;
  const uint64_t limit_;
  const bool keys_only_;
  const size_t bytes_wanted_;
  Moment moment_;
  std::atomic<bool> cancelled_{false};

  // The slice's, and between two the I/O loop's:
  int64_t revision_ = 0;
  std::string next_key_;
  uint64_t sent_ = 0;
  uint64_t chunk_keys_max_ = 10;
  uint64_t chunk_keys_ = 0;
  Chunk chunk_;
};

}  // namespace quoin::api

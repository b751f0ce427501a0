// LargeRange: an answer too big to hold or too long to look up on an I/O loop, made in slices on
// the storage loop at one pinned revision and sent at the client's pace.
//
// First a pass over the index tells how many keys and bytes there are (a unary answer's length
// stands before its bytes); then records are read slice by slice. No page and no node is held
// between two slices. In key order nothing is held at all; another order holds what it sorts by
// (api/sorted_range.h).
//
// Thread: made on an I/O loop, which gets every callback; the work runs on the storage loop, in
// turn with that of other long reads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "api/moment.h"
#include "api/parts.h"
#include "api/slice_turns.h"
#include "base/status.h"
#include "mvcc/store.h"
#include "server/node.h"

namespace quoin::api {

// What an I/O loop reads itself; more goes to the storage loop.
inline constexpr mvcc::ReadBudget kAtOnce{1000, 256 * 1024};

// The next elements of RangeResponse.kvs are its parts.
class LargeRange : public Parts, public std::enable_shared_from_this<LargeRange> {
 public:
  // Totals of the answer. `elements_bytes`: all elements of RangeResponse.kvs together.
  struct Size {
    int64_t store_revision = 0;
    int64_t count = 0;
    uint64_t keys = 0;
    uint64_t elements_bytes = 0;
    bool more = false;
  };
  using OnSize = std::function<void(StatusOr<Size>)>;

  // For any query, answered as of `moment`; callbacks stop after Cancel. A query for the count
  // alone has no parts.
  static std::shared_ptr<LargeRange> New(SliceTurns& turns, const mvcc::RangeQuery& query,
                                         std::shared_ptr<Moment> moment);

  void Measure(OnSize on_size);
  void ReadPart(OnPart on_part) override;
  void Cancel() override { cancelled_.store(true); }

 protected:
  LargeRange(SliceTurns& turns, const mvcc::RangeQuery& query, std::shared_ptr<Moment> moment);

  // Storage loop, within a guard; one slice of work each. True: size_ is complete.
  virtual StatusOr<bool> MeasureSlice(const mvcc::View& view) = 0;
  // REQUIRES: size_.keys > sent_.
  virtual StatusOr<std::string> ReadSlice(const mvcc::View& view) = 0;

  // I/O loop. Runs `go` once the next slice may be read, unless it is cancelled before.
  virtual void WhenItsTurn(env::Task go) { go(); }
  // I/O loop. Who asked has its answer, and has not asked for more.
  virtual void OnIdle() {}

  SliceTurns& turns() { return turns_; }
  Moment& moment() { return *moment_; }
  const mvcc::RangeQuery& query() const { return query_; }
  // The one that is read, from the first slice on.
  int64_t revision() const { return revision_; }

  // Storage loop:
  Size size_;
  uint64_t sent_ = 0;  // keys

 private:
  void MeasureInTurn(OnSize on_size);
  void ReadInTurn(OnPart on_part);
  // `tell` runs the callback.
  void Answer(env::Task tell);
  StatusOr<bool> MeasureOnce();
  StatusOr<std::string> ReadOnce();

  SliceTurns& turns_;
  const std::shared_ptr<Moment> moment_;
  const std::string key_, range_end_;
  mvcc::RangeQuery query_;  // points to the two above
  int64_t revision_ = 0;
  std::atomic<bool> cancelled_{false};
  bool asked_ = false;  // I/O loop's: a callback is owed
};

}  // namespace quoin::api

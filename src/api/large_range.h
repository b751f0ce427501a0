// LargeRange: an answer too big to hold or too long to look up on an I/O loop, made in slices on
// the storage loop at one pinned revision and sent at the client's pace.
//
// First a pass over the index alone tells how many keys and bytes there are (a unary answer's
// length stands before its bytes); then records are read slice by slice. No page and no node is
// held between two slices.
//
// Thread: made on an I/O loop, which gets every callback; the work runs on the storage loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "base/status.h"
#include "mvcc/store.h"
#include "server/node.h"

namespace quoin::api {

class LargeRange : public std::enable_shared_from_this<LargeRange> {
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
  // The next elements of RangeResponse.kvs; `last`: there are no more.
  using OnPart = std::function<void(StatusOr<std::string>, bool last)>;

  // Only for queries whose order is key order and that filter nothing (IsStreamable). Callbacks
  // stop after Cancel.
  LargeRange(server::Node& node, env::Executor& loop, const mvcc::RangeQuery& query);
  static bool IsStreamable(const mvcc::RangeQuery& query);

  void Measure(OnSize on_size);
  // One part per call; the next call after the part has come.
  void ReadPart(OnPart on_part);
  void Cancel() { cancelled_.store(true); }

 private:
  void MeasureSlice(OnSize on_size);
  StatusOr<std::string> ReadSlice(bool& last);

  server::Node& node_;
  env::Executor& loop_;
  const std::string key_, range_end_;
  const bool keys_only_;
  const uint64_t limit_;
  int64_t revision_;  // as asked, then pinned
  std::atomic<bool> cancelled_{false};

  // Storage loop:
  Size size_;
  std::string next_key_;
  uint64_t sent_ = 0;
};

}  // namespace quoin::api

// Transactions: guards first, for the whole tree of them, against the state before; then checks of
// the chosen branch; then its operations in order under one revision.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "mvcc/store.h"
#include "proto/rpc.pb.h"
#include "state/shown.h"

namespace quoin::state {

// Which branch each transaction of the tree takes, parent before children, in order of execution.
struct TxnPath {
  bool succeeded = false;
  std::vector<TxnPath> children;  // one per nested transaction of the chosen branch
};

// Errors: those of reading (Unavailable when a page is missing, DataLoss).
StatusOr<TxnPath> EvaluateGuards(const mvcc::View& view, const etcdserverpb::TxnRequest& request);

// Whether the guards of one transaction hold, nested ones left aside, found in slices: a guard over
// many keys ends at the first that decides. Thread: one at a time.
class GuardsRun {
 public:
  // `request` outlives it.
  explicit GuardsRun(const etcdserverpb::TxnRequest& request) : request_(request) {}
  // Goes on where the last slice ended, until `budget` is spent; nullopt: not decided yet. Always
  // the same revision. Errors: those of reading.
  StatusOr<std::optional<bool>> Slice(const mvcc::View& view, int64_t at_revision,
                                      mvcc::ReadBudget& budget);

 private:
  StatusOr<std::optional<bool>> CompareSlice(const mvcc::View& view, int64_t at_revision,
                                             const etcdserverpb::Compare& compare,
                                             mvcc::ReadBudget& budget);
  const etcdserverpb::TxnRequest& request_;
  int at_ = 0;                           // the guard that is looked at
  std::optional<std::string> next_key_;  // of that guard; not set: from its beginning
  bool any_ = false;                     // it has met a key
};

// The revision that a range inside a transaction names can be read.
Status CheckRangeRevision(const mvcc::View& view, const etcdserverpb::RangeRequest& request);
Status CheckRangeRevision(int64_t revision, int64_t compact_revision,
                          const etcdserverpb::RangeRequest& request);

// Runs a read-only transaction on a view, as long as it stays within the budget; returns the
// response's parts after the header, or nullopt when it does not.
StatusOr<std::optional<std::string>> RunReadOnlyTxn(const mvcc::View& view,
                                                    const etcdserverpb::TxnRequest& request,
                                                    mvcc::ReadBudget budget);

// The chosen list of operations.
inline const google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>& Chosen(
    const etcdserverpb::TxnRequest& request, bool succeeded) {
  return succeeded ? request.success() : request.failure();
}

// What a DeleteRange is about to delete, as field 3 of its response, where it is shown.
void AppendPrevious(const etcdserverpb::DeleteRangeRequest& request, const mvcc::View& view,
                    Shown& shown, std::string& out);

}  // namespace quoin::state

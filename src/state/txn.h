// Transactions: guards first, for the whole tree of them, against the state before; then checks of
// the chosen branch; then its operations in order under one revision.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "mvcc/store.h"
#include "proto/rpc.pb.h"

namespace quoin::state {

// Which branch each transaction of the tree takes, parent before children, in order of execution.
struct TxnPath {
  bool succeeded = false;
  std::vector<TxnPath> children;  // one per nested transaction of the chosen branch
};

// Errors: those of reading (Unavailable when a page is missing, DataLoss).
StatusOr<TxnPath> EvaluateGuards(const mvcc::View& view, const etcdserverpb::TxnRequest& request);

// The revision that a range inside a transaction names can be read.
Status CheckRangeRevision(const mvcc::View& view, const etcdserverpb::RangeRequest& request);

// Runs a read-only transaction on a view; returns the response's parts after the header.
StatusOr<std::string> RunReadOnlyTxn(const mvcc::View& view,
                                     const etcdserverpb::TxnRequest& request);

// The chosen list of operations.
inline const google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>& Chosen(
    const etcdserverpb::TxnRequest& request, bool succeeded) {
  return succeeded ? request.success() : request.failure();
}

// ResponseOp{response_range} with its header, appended as field 3 of TxnResponse.
Status AppendRangeOp(const mvcc::View& view, const etcdserverpb::RangeRequest& request,
                     std::string& out);

}  // namespace quoin::state

// What a transaction request must satisfy before it is proposed: etcd's static checks and its
// overlap check.
#pragma once

#include <cstddef>

#include "base/status.h"
#include "proto/rpc.pb.h"

namespace quoin::state {

Status CheckRange(const etcdserverpb::RangeRequest& request);
Status CheckPut(std::string_view key, std::string_view value, int64_t lease, bool ignore_value,
                bool ignore_lease);
Status CheckDelete(const etcdserverpb::DeleteRangeRequest& request);

// Counts with the nested budget, keys, options; then put/put and put/delete overlaps of each
// branch.
Status CheckTxn(const etcdserverpb::TxnRequest& request, size_t ops_max);

// Every operation at the top level of both branches is a range (a nested transaction disqualifies).
bool IsReadOnly(const etcdserverpb::TxnRequest& request);
// … and each of them serializable. True for a transaction without operations.
bool IsSerializable(const etcdserverpb::TxnRequest& request);

// What the request may add to the data file, as etcd estimates it; 0 passes any quota.
int64_t PutCost(size_t key_bytes, size_t value_bytes);
int64_t TxnCost(const etcdserverpb::TxnRequest& request);

}  // namespace quoin::state

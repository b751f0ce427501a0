// RangeResponse and its parts on the wire, written straight from stored records.
#pragma once

#include <cstdint>
#include <string>

#include "mvcc/store.h"
#include "proto/rpc.pb.h"

namespace quoin::state {

// mvcc's question for a request that has been validated. The query points into `request`.
mvcc::RangeQuery ToQuery(const etcdserverpb::RangeRequest& request);

// The parts of RangeResponse after the header: kvs (2), more (3), count (4).
void AppendRangeBody(const mvcc::RangeResult& result, bool keys_only, std::string& out);
// mvccpb.KeyValue of one result, without field tag: the stored record, or key and revisions alone for keys_only.
void AppendKeyValue(const mvcc::KeyValue& kv, bool keys_only, std::string& out);
size_t KeyValueSize(const mvcc::KeyValue& kv, bool keys_only);
// ResponseHeader as field 1 with the revision alone: what the parts of a transaction carry.
void AppendRevisionHeader(int64_t revision, std::string& out);

}  // namespace quoin::state

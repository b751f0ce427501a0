// RangeResponse and its parts on the wire, written straight from stored records.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "mvcc/store.h"
#include "proto/rpc.pb.h"

namespace quoin::state {

// mvcc's question for a request that has been validated. The query points into `request`.
mvcc::RangeQuery ToQuery(const etcdserverpb::RangeRequest& request);

// RangeRequest, read without generated classes: ranges are the other hot path. The query points
// into `payload`.
struct RangeCommand {
  mvcc::RangeQuery query;
  bool serializable = false;
};
std::optional<RangeCommand> ParseRange(std::string_view payload);
// etcd's checks: a key, known sort options.
Status CheckRangeQuery(const mvcc::RangeQuery& query);

// The parts of RangeResponse after the header: kvs (2), more (3), count (4).
void AppendRangeBody(const mvcc::RangeResult& result, bool keys_only, std::string& out);
// … what stands behind the kvs alone.
void AppendRangeTail(bool more, int64_t count, std::string& out);
// mvccpb.KeyValue of one result, without field tag: the stored record, or key and revisions alone
// for keys_only.
void AppendKeyValue(const mvcc::KeyValue& kv, bool keys_only, std::string& out);
// Its size, from the index alone.
size_t KeyValueSize(const mvcc::KeyValue& kv, bool keys_only);
// … as one element of RangeResponse.kvs, with tag and length.
size_t RangeElementSize(const mvcc::KeyValue& kv, bool keys_only);
void AppendRangeElement(const mvcc::KeyValue& kv, bool keys_only, std::string& out);
// ResponseHeader as field 1 with the revision alone: what the parts of a transaction carry.
void AppendRevisionHeader(int64_t revision, std::string& out);

}  // namespace quoin::state

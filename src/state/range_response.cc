#include "state/range_response.h"

#include "base/wire.h"

namespace quoin::state {

mvcc::RangeQuery ToQuery(const etcdserverpb::RangeRequest& request) {
  mvcc::RangeQuery query;
  query.key = request.key();
  query.range_end = request.range_end();
  query.limit = request.limit();
  query.revision = request.revision();
  query.order = static_cast<mvcc::SortOrder>(request.sort_order());
  query.target = static_cast<mvcc::SortTarget>(request.sort_target());
  query.keys_only = request.keys_only();
  query.count_only = request.count_only();
  query.min_mod_revision = request.min_mod_revision();
  query.max_mod_revision = request.max_mod_revision();
  query.min_create_revision = request.min_create_revision();
  query.max_create_revision = request.max_create_revision();
  return query;
}

size_t KeyValueSize(const mvcc::KeyValue& kv, bool keys_only) {
  if (!keys_only) return kv.record.size();
  size_t size = 1 + wire::VarintSize(kv.key.size()) + kv.key.size();
  for (int64_t number : {kv.create_revision, kv.mod_revision, kv.version, kv.lease}) {
    if (number != 0) size += 1 + wire::VarintSize(static_cast<uint64_t>(number));
  }
  return size;
}

void AppendKeyValue(const mvcc::KeyValue& kv, bool keys_only, std::string& out) {
  if (!keys_only) {
    out.append(kv.record);
    return;
  }
  wire::PutBytesNonEmpty(out, 1, kv.key);
  wire::PutUintNonZero(out, 2, static_cast<uint64_t>(kv.create_revision));
  wire::PutUintNonZero(out, 3, static_cast<uint64_t>(kv.mod_revision));
  wire::PutUintNonZero(out, 4, static_cast<uint64_t>(kv.version));
  wire::PutUintNonZero(out, 6, static_cast<uint64_t>(kv.lease));
}

void AppendRangeBody(const mvcc::RangeResult& result, bool keys_only, std::string& out) {
  for (const mvcc::KeyValue& kv : result.kvs) {
    wire::PutTag(out, 2, wire::Type::kBytes);
    wire::PutVarint(out, KeyValueSize(kv, keys_only));
    AppendKeyValue(kv, keys_only, out);
  }
  wire::PutUintNonZero(out, 3, result.more ? 1 : 0);
  wire::PutUintNonZero(out, 4, static_cast<uint64_t>(result.count));
}

void AppendRevisionHeader(int64_t revision, std::string& out) {
  std::string header;
  wire::PutUintNonZero(header, 3, static_cast<uint64_t>(revision));
  wire::PutBytes(out, 1, header);
}

}  // namespace quoin::state

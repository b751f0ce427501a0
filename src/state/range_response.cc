#include "state/range_response.h"

#include <algorithm>

#include "base/errors.h"
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

std::optional<RangeCommand> ParseRange(std::string_view payload) {
  RangeCommand out;
  mvcc::RangeQuery& query = out.query;
  wire::Reader reader(payload);
  for (wire::Field field; reader.Next(field);) {
    if (field.number >= 1 && field.number <= 13) {
      const wire::Type wanted = field.number <= 2 ? wire::Type::kBytes : wire::Type::kVarint;
      if (field.type != wanted) continue;  // an unknown field
    }
    switch (field.number) {
      case 1:
        query.key = field.bytes;
        break;
      case 2:
        query.range_end = field.bytes;
        break;
      case 3:
        query.limit = field.int64();
        break;
      case 4:
        query.revision = field.int64();
        break;
      // Numbers that are no known option stay recognisable after the narrowing.
      case 5:
        query.order = static_cast<mvcc::SortOrder>(std::min<uint64_t>(field.varint, UINT8_MAX));
        break;
      case 6:
        query.target = static_cast<mvcc::SortTarget>(std::min<uint64_t>(field.varint, UINT8_MAX));
        break;
      case 7:
        out.serializable = field.varint != 0;
        break;
      case 8:
        query.keys_only = field.varint != 0;
        break;
      case 9:
        query.count_only = field.varint != 0;
        break;
      case 10:
        query.min_mod_revision = field.int64();
        break;
      case 11:
        query.max_mod_revision = field.int64();
        break;
      case 12:
        query.min_create_revision = field.int64();
        break;
      case 13:
        query.max_create_revision = field.int64();
        break;
      default:
        break;
    }
  }
  if (!reader.ok()) return std::nullopt;
  return out;
}

Status CheckRangeQuery(const mvcc::RangeQuery& query) {
  if (query.key.empty()) return errors::KeyNotProvided();
  if (query.order > mvcc::SortOrder::kDescend || query.target > mvcc::SortTarget::kValue) {
    return errors::InvalidSortOption();
  }
  return OkStatus();
}

size_t KeyValueSize(const mvcc::KeyValue& kv, bool keys_only) {
  if (!keys_only) return kv.record_bytes;
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

size_t RangeElementSize(const mvcc::KeyValue& kv, bool keys_only) {
  const size_t size = KeyValueSize(kv, keys_only);
  return 1 + wire::VarintSize(size) + size;
}

void AppendRangeElement(const mvcc::KeyValue& kv, bool keys_only, std::string& out) {
  wire::PutTag(out, 2, wire::Type::kBytes);
  wire::PutVarint(out, KeyValueSize(kv, keys_only));
  AppendKeyValue(kv, keys_only, out);
}

void AppendRangeBody(const mvcc::RangeResult& result, bool keys_only, std::string& out) {
  for (const mvcc::KeyValue& kv : result.kvs) AppendRangeElement(kv, keys_only, out);
  AppendRangeTail(result.more, result.count, out);
}

void AppendRangeTail(bool more, int64_t count, std::string& out) {
  wire::PutUintNonZero(out, 3, more ? 1 : 0);
  wire::PutUintNonZero(out, 4, static_cast<uint64_t>(count));
}

void AppendRevisionHeader(int64_t revision, std::string& out) {
  std::string header;
  wire::PutUintNonZero(header, 3, static_cast<uint64_t>(revision));
  wire::PutBytes(out, 1, header);
}

}  // namespace quoin::state

// How revisions and key-values stand in bucket `key` (docs/formats/db.md).

#include "base/wire.h"
#include "mvcc/store.h"

namespace quoin::mvcc {
namespace {

void PutBigEndian(std::string& out, int64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(static_cast<uint64_t>(value) >> shift));
}

int64_t TakeBigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (unsigned char byte : bytes.substr(0, 8)) value = value << 8 | byte;
  return static_cast<int64_t>(value);
}

}  // namespace

std::string RevisionKey(Revision at, bool tombstone) {
  std::string key;
  key.reserve(18);
  PutBigEndian(key, at.main);
  key.push_back('_');
  PutBigEndian(key, at.sub);
  if (tombstone) key.push_back('t');
  return key;
}

std::optional<ParsedRevisionKey> ParseRevisionKey(std::string_view key) {
  if (key.size() != 17 && key.size() != 18) return std::nullopt;
  if (key[8] != '_' || (key.size() == 18 && key[17] != 't')) return std::nullopt;
  return ParsedRevisionKey{{TakeBigEndian(key), TakeBigEndian(key.substr(9))}, key.size() == 18};
}

void EncodeRecord(const KeyValue& kv, std::string& out) {
  wire::PutBytesNonEmpty(out, 1, kv.key);
  wire::PutUintNonZero(out, 2, static_cast<uint64_t>(kv.create_revision));
  wire::PutUintNonZero(out, 3, static_cast<uint64_t>(kv.mod_revision));
  wire::PutUintNonZero(out, 4, static_cast<uint64_t>(kv.version));
  wire::PutBytesNonEmpty(out, 5, kv.value);
  wire::PutUintNonZero(out, 6, static_cast<uint64_t>(kv.lease));
}

bool DecodeRecord(std::string_view record, KeyValue& kv) {
  wire::Reader reader(record);
  for (wire::Field field; reader.Next(field);) {
    switch (field.number) {
      case 1:
        kv.key = field.bytes;
        break;
      case 2:
        kv.create_revision = field.int64();
        break;
      case 3:
        kv.mod_revision = field.int64();
        break;
      case 4:
        kv.version = field.int64();
        break;
      case 5:
        kv.value = field.bytes;
        break;
      case 6:
        kv.lease = field.int64();
        break;
      default:
        break;
    }
  }
  return reader.ok();
}

}  // namespace quoin::mvcc

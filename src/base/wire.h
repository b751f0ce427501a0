// Protobuf's wire format by hand, for records on hot paths and for folders that hold no generated
// classes.
//
// Grammar:  message := field*     field := tag value     tag := varint (number << 3 | type)
//           type 0: varint        type 1: 8 bytes        type 2: varint length, bytes
//           type 3: field*, then a tag of the same number and type 4                      type 5: 4
//           bytes
//
// Thread: value types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quoin::wire {

enum class Type : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kGroup = 3, kFixed32 = 5 };

// ---- writing: appends to a string ----

inline void PutVarint(std::string& out, uint64_t value) {
  char buffer[10];
  size_t n = 0;
  while (value >= 0x80) {
    buffer[n++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  buffer[n++] = static_cast<char>(value);
  out.append(buffer, n);
}
inline size_t VarintSize(uint64_t value) {
  return (64 - static_cast<size_t>(__builtin_clzll(value | 1)) + 6) / 7;
}
inline char* PutVarint(char* at, uint64_t value) {
  while (value >= 0x80) {
    *at++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *at++ = static_cast<char>(value);
  return at;
}

inline void PutTag(std::string& out, uint32_t number, Type type) {
  PutVarint(out, number << 3 | static_cast<uint32_t>(type));
}
// Writes the field even when the value is zero (proto2's explicit presence).
inline void PutUint(std::string& out, uint32_t number, uint64_t value) {
  PutTag(out, number, Type::kVarint);
  PutVarint(out, value);
}
inline void PutBytes(std::string& out, uint32_t number, std::string_view value) {
  PutTag(out, number, Type::kBytes);
  PutVarint(out, value.size());
  out.append(value);
}
// proto3: zero and empty are left out.
inline void PutUintNonZero(std::string& out, uint32_t number, uint64_t value) {
  if (value != 0) PutUint(out, number, value);
}
inline void PutBytesNonEmpty(std::string& out, uint32_t number, std::string_view value) {
  if (!value.empty()) PutBytes(out, number, value);
}

// ---- reading ----

struct Field {
  uint32_t number = 0;
  Type type = Type::kVarint;
  uint64_t varint = 0;     // kVarint, kFixed64, kFixed32
  std::string_view bytes;  // kBytes and kGroup (with its end tag); points into the input
  int64_t int64() const { return static_cast<int64_t>(varint); }
};

// Walks the fields of one message. `for (Field f; r.Next(f);)`, then `ok()` tells a clean end from
// a malformed input. Field number 0, truncated or over-long varints, and groups that do not end
// where they should are malformed.
//
// Of a message that another program wrote, a field counts only with the type that its number is
// declared with. With any other type it is an unknown field: protobuf skips it, and so must the
// caller. Groups are of no declared field; they are told to callers that keep unknown bytes.
class Reader {
 public:
  explicit Reader(std::string_view data) : p_(data.data()), end_(data.data() + data.size()) {}
  bool Next(Field& field);
  bool ok() const { return ok_; }
  // Where the next field starts, as a pointer into the input.
  const char* position() const { return p_; }

 private:
  bool ReadVarint(uint64_t& value);
  bool ReadFixed(uint64_t& value, size_t bytes);
  bool SkipGroup(uint32_t number);
  bool Fail() {
    ok_ = false;
    return false;
  }
  const char* p_;
  const char* end_;
  bool ok_ = true;
};

// Reads one varint from the front of `data` and removes it; nullopt when malformed or truncated.
std::optional<uint64_t> TakeVarint(std::string_view& data);

}  // namespace quoin::wire

#include "base/wire.h"

#include <cstring>

namespace quoin::wire {

bool Reader::ReadVarint(uint64_t& value) {
  if (p_ != end_ && static_cast<signed char>(*p_) >= 0) {
    value = static_cast<unsigned char>(*p_++);
    return true;
  }
  std::string_view rest(p_, static_cast<size_t>(end_ - p_));
  std::optional<uint64_t> read = TakeVarint(rest);
  if (!read) return false;
  value = *read;
  p_ = rest.data();
  return true;
}

bool Reader::Next(Field& field) {
  if (p_ == end_ || !ok_) return false;
  uint64_t tag;
  if (!ReadVarint(tag) || tag > UINT32_MAX || (tag >> 3) == 0) return Fail();
  field.number = static_cast<uint32_t>(tag >> 3);
  field.bytes = {};
  size_t left = static_cast<size_t>(end_ - p_);
  switch (tag & 7) {
    case 0:
      field.type = Type::kVarint;
      return ReadVarint(field.varint) || Fail();
    case 1:
      field.type = Type::kFixed64;
      if (left < 8) return Fail();
      std::memcpy(&field.varint, p_, 8);
      p_ += 8;
      return true;
    case 2: {
      field.type = Type::kBytes;
      uint64_t length;
      if (!ReadVarint(length) || length > static_cast<size_t>(end_ - p_)) return Fail();
      field.varint = length;
      field.bytes = std::string_view(p_, length);
      p_ += length;
      return true;
    }
    case 5: {
      field.type = Type::kFixed32;
      if (left < 4) return Fail();
      uint32_t value;
      std::memcpy(&value, p_, 4);
      field.varint = value;
      p_ += 4;
      return true;
    }
    default:
      return Fail();
  }
}

std::optional<uint64_t> TakeVarint(std::string_view& data) {
  uint64_t value = 0;
  for (size_t n = 0; n < data.size() && n < 10; ++n) {
    unsigned char byte = static_cast<unsigned char>(data[n]);
    if (n == 9 && byte > 1) return std::nullopt;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * n);
    if (byte < 0x80) {
      data.remove_prefix(n + 1);
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace quoin::wire

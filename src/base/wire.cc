#include "base/wire.h"

#include <cstring>
#include <vector>

namespace quoin::wire {

// Groups inside groups, as far as protobuf for Go follows them.
constexpr size_t kGroupDepthMax = 10'000;

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
  field.type = static_cast<Type>(tag & 7);
  field.bytes = {};
  switch (field.type) {
    case Type::kVarint:
      return ReadVarint(field.varint) || Fail();
    case Type::kFixed64:
      return ReadFixed(field.varint, 8) || Fail();
    case Type::kFixed32:
      return ReadFixed(field.varint, 4) || Fail();
    case Type::kBytes: {
      uint64_t length;
      if (!ReadVarint(length) || length > static_cast<size_t>(end_ - p_)) return Fail();
      field.varint = length;
      field.bytes = std::string_view(p_, length);
      p_ += length;
      return true;
    }
    case Type::kGroup: {
      const char* start = p_;
      if (!SkipGroup(field.number)) return Fail();
      field.bytes = std::string_view(start, static_cast<size_t>(p_ - start));
      return true;
    }
  }
  return Fail();
}

bool Reader::ReadFixed(uint64_t& value, size_t bytes) {
  if (static_cast<size_t>(end_ - p_) < bytes) return false;
  value = 0;
  std::memcpy(&value, p_, bytes);
  p_ += bytes;
  return true;
}

// Goes behind the end of a group whose start tag has been read. A list of open groups instead of
// recursion: the input decides how deep they are.
bool Reader::SkipGroup(uint32_t number) {
  constexpr uint64_t kEndGroup = 4;
  std::vector<uint32_t> open = {number};
  while (!open.empty()) {
    uint64_t tag, value;
    if (!ReadVarint(tag) || tag > UINT32_MAX || (tag >> 3) == 0) return false;
    if ((tag & 7) == kEndGroup) {
      if (tag >> 3 != open.back()) return false;
      open.pop_back();
      continue;
    }
    switch (static_cast<Type>(tag & 7)) {
      case Type::kVarint:
        if (!ReadVarint(value)) return false;
        break;
      case Type::kFixed64:
        if (!ReadFixed(value, 8)) return false;
        break;
      case Type::kFixed32:
        if (!ReadFixed(value, 4)) return false;
        break;
      case Type::kBytes:
        if (!ReadVarint(value) || value > static_cast<size_t>(end_ - p_)) return false;
        p_ += value;
        break;
      case Type::kGroup:
        if (open.size() == kGroupDepthMax) return false;
        open.push_back(static_cast<uint32_t>(tag >> 3));
        break;
      default:
        return false;
    }
  }
  return true;
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

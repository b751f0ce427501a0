#include "btree/page.h"

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace quoin::btree {

std::string BucketValue(PageId root) {
  std::string value(root == 0 ? kBucketHeaderBytes + kPageHeaderBytes : kBucketHeaderBytes, '\0');
  Store<uint64_t>(value.data(), root);
  if (root == 0) Store<uint16_t>(value.data() + kBucketHeaderBytes + 8, kLeafFlag);
  return value;
}

std::string PageProblem(const char* data, size_t bytes, PageId id) {
  const PageView page(data);
  if (page.id() != id) return "says that it is page " + std::to_string(page.id());
  if (page.flags() != kLeafFlag && page.flags() != kBranchFlag) {
    return "has type " + std::to_string(page.flags()) + ", neither branch nor leaf";
  }
  const size_t count = page.count();
  if (kPageHeaderBytes + count * kElementBytes > bytes) return "claims more elements than fit";
  if (page.is_branch() && count == 0) return "is a branch without children";
  const size_t data_start = kPageHeaderBytes + count * kElementBytes;
  uint64_t data_bytes = 0;
  std::string_view previous;
  for (size_t i = 0; i < count; ++i) {
    const size_t at = kPageHeaderBytes + i * kElementBytes;
    const char* e = data + at;
    const bool leaf = page.is_leaf();
    const uint64_t pos = Load<uint32_t>(e + (leaf ? 4 : 0));
    const uint64_t key_bytes = Load<uint32_t>(e + (leaf ? 8 : 4));
    const uint64_t value_bytes = leaf ? Load<uint32_t>(e + 12) : 0;
    if (at + pos < data_start)
      return "element " + std::to_string(i) + " reaches into the element table";
    data_bytes += key_bytes + value_bytes;
    if (at + pos + key_bytes + value_bytes > bytes || data_start + data_bytes > bytes)
      return "element " + std::to_string(i) + " reaches beyond the page";
    if (key_bytes == 0 || key_bytes > kKeyBytesMax)
      return "element " + std::to_string(i) + " has an impossible key";
    const std::string_view key(e + pos, key_bytes);
    if (i > 0 && key <= previous)
      return "keys " + std::to_string(i - 1) + " and " + std::to_string(i) + " are out of order";
    previous = key;
  }
  return "";
}

Element ElementAt(const PageView& page, size_t i) {
  Element out;
  out.key = page.key(i);
  if (page.is_leaf()) {
    out.value = page.value(i);
    out.flags = page.element_flags(i);
  } else {
    out.child = page.child(i);
  }
  return out;
}

void PageEditor::Format(PageId id, uint16_t flags, uint32_t overflow) {
  Store<uint64_t>(data_, id);
  Store<uint16_t>(data_ + 8, flags);
  Store<uint16_t>(data_ + 10, 0);
  Store<uint32_t>(data_ + 12, overflow);
  free_upper_ = static_cast<uint32_t>(bytes_);
  garbage_ = 0;
}

// Moves element headers by one place; their `pos` counts from themselves, so it changes by the same
// amount.
void PageEditor::ShiftElements(size_t from, size_t to, size_t count, int direction) {
  char* base = data_ + kPageHeaderBytes;
  std::memmove(base + to * kElementBytes, base + from * kElementBytes, count * kElementBytes);
  const size_t pos_offset = PageView(data_).is_leaf() ? 4 : 0;
  for (size_t i = 0; i < count; ++i) {
    char* pos = base + (to + i) * kElementBytes + pos_offset;
    Store<uint32_t>(pos, Load<uint32_t>(pos) -
                             static_cast<uint32_t>(direction * static_cast<int>(kElementBytes)));
  }
}

void PageEditor::Insert(size_t at, const Element& element) {
  const PageView page(data_);
  const size_t count = page.count();
  const size_t data_bytes = element.key.size() + element.value.size();
  CHECK_LE(at, count);
  CHECK_GE(contiguous_free(), element.bytes());
  ShiftElements(at, at + 1, count - at, +1);
  free_upper_ -= static_cast<uint32_t>(data_bytes);
  element.key.copy(data_ + free_upper_, element.key.size());
  element.value.copy(data_ + free_upper_ + element.key.size(), element.value.size());
  const size_t header = kPageHeaderBytes + at * kElementBytes;
  const auto pos = static_cast<uint32_t>(free_upper_ - header);
  char* e = data_ + header;
  if (page.is_leaf()) {
    Store<uint32_t>(e, element.flags);
    Store<uint32_t>(e + 4, pos);
    Store<uint32_t>(e + 8, static_cast<uint32_t>(element.key.size()));
    Store<uint32_t>(e + 12, static_cast<uint32_t>(element.value.size()));
  } else {
    Store<uint32_t>(e, pos);
    Store<uint32_t>(e + 4, static_cast<uint32_t>(element.key.size()));
    Store<uint64_t>(e + 8, element.child);
  }
  Store<uint16_t>(data_ + 10, static_cast<uint16_t>(count + 1));
}

void PageEditor::Remove(size_t at) {
  const PageView page(data_);
  const size_t count = page.count();
  CHECK_LT(at, count);
  garbage_ += static_cast<uint32_t>(ElementAt(page, at).bytes() - kElementBytes);
  ShiftElements(at + 1, at, count - at - 1, -1);
  Store<uint16_t>(data_ + 10, static_cast<uint16_t>(count - 1));
}

void PageEditor::Measure() {
  const PageView page(data_);
  size_t lowest = bytes_, data_bytes = 0;
  for (size_t i = 0; i < page.count(); ++i) {
    const Element element = ElementAt(page, i);
    lowest = std::min(lowest, static_cast<size_t>(element.key.data() - data_));
    data_bytes += element.key.size() + element.value.size();
  }
  free_upper_ = static_cast<uint32_t>(lowest);
  // Overlapping elements cannot come from a validated file of ours, but must not underflow.
  garbage_ = static_cast<uint32_t>(bytes_ - lowest > data_bytes ? bytes_ - lowest - data_bytes : 0);
}

void PageEditor::Compact() {
  const std::string copy(data_, bytes_);
  const PageView old(copy.data());
  Format(old.id(), old.flags(), old.overflow());
  for (size_t i = 0; i < old.count(); ++i) Insert(i, ElementAt(old, i));
}

}  // namespace quoin::btree

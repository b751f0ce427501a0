// Page images in bbolt's layout (docs/formats/db.md), as raw bytes.
//
//   page   := header(16) elements data           header  := id u64, flags u16, count u16, overflow
//   u32 leaf element   := flags u32, pos u32, ksize u32, vsize u32     (pos counts from the
//   element's own first byte) branch element := pos u32, ksize u32, child u64
//
// Pages that this engine writes are slotted: elements grow up from the header, data grows down from
// the end; `pos` permits the gap. Little-endian, as etcd's files are.
//
// Value types; no page is validated here (see PageProblem).
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace quoin::btree {

using PageId = uint64_t;

inline constexpr size_t kPageHeaderBytes = 16;
inline constexpr size_t kElementBytes = 16;
inline constexpr size_t kBucketHeaderBytes = 16;  // root page u64, sequence u64
inline constexpr uint16_t kBranchFlag = 0x01;
inline constexpr uint16_t kLeafFlag = 0x02;
inline constexpr uint16_t kMetaFlag = 0x04;
inline constexpr uint16_t kFreelistFlag = 0x10;
inline constexpr uint32_t kBucketElementFlag = 1;
inline constexpr size_t kKeyBytesMax = 32768;
inline constexpr uint32_t kPageSizeMin = 1024;
inline constexpr uint32_t kPageSizeMax = 65536;
inline constexpr int kDepthMax = 40;  // a tree of 2^32 pages is far shallower

template <typename T>
T Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <typename T>
void Store(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

// Reads one page image. The bytes outlive the view.
class PageView {
 public:
  explicit PageView(const char* data) : data_(data) {}
  PageId id() const { return Load<uint64_t>(data_); }
  uint16_t flags() const { return Load<uint16_t>(data_ + 8); }
  uint16_t count() const { return Load<uint16_t>(data_ + 10); }
  uint32_t overflow() const { return Load<uint32_t>(data_ + 12); }
  bool is_leaf() const { return (flags() & kLeafFlag) != 0; }
  bool is_branch() const { return (flags() & kBranchFlag) != 0; }

  const char* element(size_t i) const { return data_ + kPageHeaderBytes + i * kElementBytes; }
  std::string_view key(size_t i) const {
    const char* e = element(i);
    return is_leaf() ? std::string_view(e + Load<uint32_t>(e + 4), Load<uint32_t>(e + 8))
                     : std::string_view(e + Load<uint32_t>(e), Load<uint32_t>(e + 4));
  }
  // Leaf only.
  uint32_t element_flags(size_t i) const { return Load<uint32_t>(element(i)); }
  std::string_view value(size_t i) const {
    const char* e = element(i);
    const uint32_t key_bytes = Load<uint32_t>(e + 8);
    return std::string_view(e + Load<uint32_t>(e + 4) + key_bytes, Load<uint32_t>(e + 12));
  }
  // Branch only.
  PageId child(size_t i) const { return Load<uint64_t>(element(i) + 8); }

  // The first element whose key is ≥ `wanted` (count() if none).
  size_t LowerBound(std::string_view wanted) const {
    size_t low = 0, high = count();
    if (high >= kGuessFrom) Narrow(wanted, low, high);
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (key(middle) < wanted)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }
  // Branch: the child whose subtree may hold `wanted`.
  size_t ChildFor(std::string_view wanted) const {
    const size_t at = LowerBound(wanted);
    if (at < count() && key(at) == wanted) return at;
    return at == 0 ? 0 : at - 1;
  }

 private:
  static constexpr size_t kGuessFrom = 4;  // elements; with fewer nothing is won

  static uint64_t Leading(std::string_view key) {
    unsigned char first[8] = {};
    std::memcpy(first, key.data(), key.size() < sizeof first ? key.size() : sizeof first);
    uint64_t number = 0;
    for (unsigned char byte : first) number = number << 8 | byte;
    return number;
  }

  // Revisions lie evenly: where one is, or nearly, follows from the first and the last. Each look
  // at a key that it spares is two misses of the processor's cache.
  void Narrow(std::string_view wanted, size_t& low, size_t& high) const {
    const uint64_t first = Leading(key(low)), last = Leading(key(high - 1));
    const uint64_t number = Leading(wanted);
    if (number <= first || number >= last) return;
    const double share = static_cast<double>(number - first) / static_cast<double>(last - first);
    const auto guess = static_cast<size_t>(share * static_cast<double>(high - 1));
    if (key(guess) < wanted) {
      low = guess + 1;
      for (size_t step = 1; low + step < high; step *= 2) {
        if (key(low + step) >= wanted) {
          high = low + step;
          return;
        }
        low += step + 1;
      }
    } else {
      high = guess;
      for (size_t step = 1; low + step < high; step *= 2) {
        if (key(high - step) < wanted) {
          low = high - step + 1;
          return;
        }
        high -= step;
      }
    }
  }

  const char* data_;
};

// What a bucket's element in the root tree holds: root page and sequence (0 in etcd's files), and
// for a bucket without a page (root 0) an empty leaf.
std::string BucketValue(PageId root);

// What is wrong with a branch or leaf image of `bytes` bytes that claims to be page `id`: element
// bounds, key order, types. Empty = nothing. Does not look at other pages.
std::string PageProblem(const char* data, size_t bytes, PageId id);

// One page's elements, loose: for rebuilding and splitting. Views point into other pages or the
// caller's arguments.
struct Element {
  std::string_view key;
  std::string_view value;  // leaf
  uint32_t flags = 0;      // leaf
  PageId child = 0;        // branch
  size_t bytes() const { return kElementBytes + key.size() + value.size(); }
};

Element ElementAt(const PageView& page, size_t i);

// Changes a slotted page image in place.
class PageEditor {
 public:
  // `free_upper` is where data begins; `garbage` counts data bytes of removed elements. Both live
  // with the frame.
  PageEditor(char* data, size_t bytes, uint32_t& free_upper, uint32_t& garbage)
      : data_(data), bytes_(bytes), free_upper_(free_upper), garbage_(garbage) {}

  void Format(PageId id, uint16_t flags, uint32_t overflow);
  void SetId(PageId id) { Store<uint64_t>(data_, id); }
  void SetChild(size_t i, PageId child) {
    Store<uint64_t>(data_ + kPageHeaderBytes + i * kElementBytes + 8, child);
  }
  // Free bytes between elements and data; what compaction would give on top.
  size_t contiguous_free() const { return free_upper_ - lower(); }
  size_t total_free() const { return contiguous_free() + garbage_; }
  size_t used() const { return bytes_ - total_free(); }
  // REQUIRES: contiguous_free() ≥ element.bytes().
  void Insert(size_t at, const Element& element);
  void Remove(size_t at);
  // Works out free_upper and garbage of an image that came from elsewhere.
  void Measure();
  // Rewrites the page so that all free bytes are contiguous.
  void Compact();

 private:
  size_t lower() const { return kPageHeaderBytes + PageView(data_).count() * kElementBytes; }
  void ShiftElements(size_t from, size_t to, size_t count, int direction);

  char* data_;
  const size_t bytes_;
  uint32_t& free_upper_;
  uint32_t& garbage_;
};

}  // namespace quoin::btree

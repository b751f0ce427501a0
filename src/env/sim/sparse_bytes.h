// SparseBytes: the content of a simulated file. What was never written reads as zeros and takes no
// memory, so that a log segment of 64 MB costs only what stands in it.
//
// Value type.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace quoin::env {

class SparseBytes {
 public:
  uint64_t size() const { return size_; }
  // Memory taken, in whole pages: what the content would take on a disk.
  uint64_t stored_bytes() const { return pages_.size() * kPageBytes; }
  // Copies what is there, up to into.size() bytes; returns how many.
  size_t Read(uint64_t offset, std::span<char> into) const;
  // Grows as needed.
  void Write(uint64_t offset, std::string_view data);
  // Cuts, or grows by zeros.
  void Resize(uint64_t size);

 private:
  static constexpr uint64_t kPageBytes = 4096;

  uint64_t size_ = 0;
  std::map<uint64_t, std::string> pages_;  // by number; bytes beyond size_ are zero
};

}  // namespace quoin::env

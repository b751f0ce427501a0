#include "env/sim/sparse_bytes.h"

#include <algorithm>
#include <cstring>

namespace quoin::env {

size_t SparseBytes::Read(uint64_t offset, std::span<char> into) const {
  if (offset >= size_) return 0;
  const size_t length = std::min<uint64_t>(into.size(), size_ - offset);
  for (size_t done = 0; done < length;) {
    const uint64_t at = offset + done;
    const size_t within = at % kPageBytes;
    const size_t part = std::min<size_t>(length - done, kPageBytes - within);
    auto page = pages_.find(at / kPageBytes);
    if (page == pages_.end())
      std::memset(into.data() + done, 0, part);
    else
      std::memcpy(into.data() + done, page->second.data() + within, part);
    done += part;
  }
  return length;
}

void SparseBytes::Write(uint64_t offset, std::string_view data) {
  if (!data.empty()) size_ = std::max(size_, offset + data.size());
  while (!data.empty()) {
    const size_t within = offset % kPageBytes;
    const size_t part = std::min<size_t>(data.size(), kPageBytes - within);
    std::string& page = pages_[offset / kPageBytes];
    if (page.empty()) page.resize(kPageBytes);
    std::memcpy(page.data() + within, data.data(), part);
    offset += part;
    data.remove_prefix(part);
  }
}

void SparseBytes::Resize(uint64_t size) {
  if (size < size_) {
    pages_.erase(pages_.lower_bound((size + kPageBytes - 1) / kPageBytes), pages_.end());
    if (auto page = pages_.find(size / kPageBytes); page != pages_.end())
      std::fill(page->second.begin() + static_cast<std::ptrdiff_t>(size % kPageBytes),
                page->second.end(), '\0');
  }
  size_ = size;
}

}  // namespace quoin::env

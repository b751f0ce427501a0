#include "btree/page_memory.h"

#include <cstdlib>

#include "base/check.h"

namespace quoin::btree {
namespace {

constexpr size_t kFreeBytesMax = 4 << 20;

}  // namespace

PageMemory::~PageMemory() {
  for (char* memory : free_) std::free(memory);
}

char* PageMemory::Take(size_t bytes) {
  if (bytes == page_size_) {
    std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      char* memory = free_.back();
      free_.pop_back();
      return memory;
    }
  }
  char* memory = static_cast<char*>(std::malloc(bytes));
  CHECK(memory != nullptr) << "out of memory";
  return memory;
}

void PageMemory::Give(char* memory, size_t bytes) {
  if (bytes == page_size_) {
    std::lock_guard lock(mutex_);
    if ((free_.size() + 1) * page_size_ <= kFreeBytesMax) {
      free_.push_back(memory);
      return;
    }
  }
  std::free(memory);
}

}  // namespace quoin::btree

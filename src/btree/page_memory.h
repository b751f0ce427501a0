// PageMemory: memory for page images. What one thread gives back another takes: pages come and go
// on several loops, and an allocator with a heap for each thread would keep those that one has
// made and another has freed.
//
// Thread: any.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

namespace quoin::btree {

class PageMemory {
 public:
  explicit PageMemory(size_t page_size) : page_size_(page_size) {}
  ~PageMemory();  // after all has been given back
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;

  // Of a page; several pages together come from the allocator.
  char* Take(size_t bytes);
  void Give(char* memory, size_t bytes);

 private:
  const size_t page_size_;
  std::mutex mutex_;
  std::vector<char*> free_;  // of one page each
};

}  // namespace quoin::btree

// SharedBytes: immutable bytes, one allocation, shared by reference count between log, disk, peers
// and apply.
//
// Value type; copies may live on any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace quoin {

class SharedBytes {
 public:
  SharedBytes() = default;
  explicit SharedBytes(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(Allocate(bytes.size()), bytes.data(), bytes.size());
  }
  // A buffer of `size` bytes that `fill(char*)` writes before anyone can share it.
  template <typename Fill>
  static SharedBytes Make(size_t size, Fill&& fill) {
    SharedBytes out;
    if (size != 0) fill(out.Allocate(size));
    return out;
  }
  SharedBytes(const SharedBytes& other) : block_(other.block_) {
    if (block_ != nullptr) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  SharedBytes(SharedBytes&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  SharedBytes& operator=(SharedBytes other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~SharedBytes() {
    if (block_ != nullptr && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
      std::free(block_);
  }

  std::string_view view() const {
    return block_ == nullptr ? std::string_view() : std::string_view(block_->data(), block_->size);
  }
  operator std::string_view() const { return view(); }
  size_t size() const { return block_ == nullptr ? 0 : block_->size; }
  bool empty() const { return block_ == nullptr; }
  const char* data() const { return block_ == nullptr ? nullptr : block_->data(); }
  friend bool operator==(const SharedBytes& a, const SharedBytes& b) {
    return a.view() == b.view();
  }

 private:
  struct Block {
    std::atomic<uint32_t> references;
    size_t size;
    char* data() { return reinterpret_cast<char*>(this + 1); }
  };
  char* Allocate(size_t size) {
    void* memory = std::malloc(sizeof(Block) + size);
    if (memory == nullptr) throw std::bad_alloc();
    block_ = new (memory) Block{{1}, size};
    return block_->data();
  }

  Block* block_ = nullptr;
};

}  // namespace quoin

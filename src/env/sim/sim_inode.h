// SimInode: one simulated file apart from its names: what programs see, what is on the platter, and
// the operations between the two.
//
// What a crash leaves: the length has taken some first part of its changes; every 512-byte sector
// shows one of the contents that it had since it was last durable. A sector that had no durable
// byte may be torn (where the disk tears): its first bytes are of one such content, the others of
// the one before.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/prng.h"
#include "env/sim/sparse_bytes.h"

namespace quoin::env {

constexpr uint64_t kSectorBytes = 512;

// Value type: a copy is another file with the same history.
class SimInode {
 public:
  explicit SimInode(uint32_t mode, bool is_directory = false)
      : mode_(mode), is_directory_(is_directory) {}

  const SparseBytes& seen() const { return seen_; }
  uint32_t mode() const { return mode_; }
  bool is_directory() const { return is_directory_; }
  // Space that the file takes or has reserved.
  uint64_t space_bytes() const;
  bool dirty() const { return !pending_.empty(); }

  void Write(uint64_t offset, std::string_view data);
  void Resize(uint64_t size);
  void Reserve(uint64_t size) { reserved_ = size; }

  // All operations so far, as a mark for the next two.
  uint64_t last_operation() const { return next_operation_ - 1; }
  // What stands up to the mark is durable.
  void Sync(uint64_t up_to);
  // A sync that failed: of what stands up to the mark some is durable and some is not, programs
  // still see all of it, and no later sync carries it.
  void FailSync(uint64_t up_to, Prng& random);
  // The power is gone and back.
  void Crash(Prng& random, bool tears_sectors);

  // Damages both what is seen and what is durable, as bad media do.
  void Damage(uint64_t offset, std::string_view data);

 private:
  struct Operation {
    uint64_t number;
    bool resizes;
    uint64_t at;       // the new size, or where `data` goes
    std::string data;  // never across the end that the file has then
  };
  void Push(bool resizes, uint64_t at, std::string_view data);
  void Settle(uint64_t up_to, Prng& random, bool tears_sectors);

  uint32_t mode_;
  bool is_directory_;
  SparseBytes seen_, durable_;
  std::deque<Operation> pending_;
  uint64_t next_operation_ = 1;
  uint64_t reserved_ = 0;
};

}  // namespace quoin::env

// KeyIndex: every user key in order, each with its revisions, in memory.
//
// One writer; readers walk it without locks inside an epoch guard. Three levels: a root of
// branches, branches of leaves, leaves of key entries. Nodes are immutable but for the child
// pointers: a change copies one leaf (a split also its branch, seldom the root) and swaps a
// pointer. A new revision of a key that exists is appended to that key's own array. What was
// unlinked is freed when no reader can be in it.
//
// Thread: Find, Visit — any, within a guard; the rest — the apply loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/epoch.h"

namespace quoin::mvcc {

// One version of a key, as far as the index knows it.
struct KeyVersion {
  int64_t main = 0;
  int64_t create_revision = 0;  // 0: a tombstone
  uint32_t sub = 0;
  uint32_t record_bytes = 0;  // of the stored record; less than 2^31
  int64_t version = 0;
  bool is_tombstone() const { return create_revision == 0; }
};

// A key and its versions, oldest first. Versions are appended by the writer; readers see a prefix.
//
// A version takes 16 bytes: what follows from its place is not stored. Between two tombstones the
// first version is the one that creates the key, and each is one more than the one before; only
// what stands in front of the first tombstone may have lost its beginning to a compaction, so the
// oldest version's numbers are kept.
class KeyEntry {
 public:
  static KeyEntry* New(std::string_view key);
  static void Delete(KeyEntry* entry);
  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_bytes_}; }

  // The newest version with main ≤ `revision`; nullopt when there is none. A tombstone means:
  // absent.
  std::optional<KeyVersion> At(int64_t revision) const;
  std::optional<KeyVersion> Newest() const;
  // Calls `visit` with each version from main revision `from` on, oldest first, until it returns
  // false.
  void VisitFrom(int64_t from, absl::FunctionRef<bool(const KeyVersion&)> visit) const;

 private:
  friend class KeyIndex;
  struct Item {
    int64_t main;
    uint32_t sub;
    uint32_t is_tombstone : 1;
    uint32_t record_bytes : 31;
  };
  // Where the tombstones stand among the items, ascending.
  struct Tombstones {
    uint32_t capacity;
    std::atomic<uint32_t> count;
    uint32_t* places() { return reinterpret_cast<uint32_t*>(this + 1); }
  };
  struct Versions {
    uint32_t capacity;
    std::atomic<uint32_t> count;
    int64_t first_create, first_version;  // of the oldest item, unless it is a tombstone
    std::atomic<Tombstones*> tombstones;  // null: none
    Item* items() { return reinterpret_cast<Item*>(this + 1); }
    KeyVersion Get(uint32_t at);
  };
  static size_t Bytes(const Versions& v) { return sizeof v + v.capacity * sizeof(Item); }
  static size_t Bytes(const Tombstones& t) { return sizeof t + t.capacity * sizeof(uint32_t); }
  static Versions* NewVersions(uint32_t capacity);
  static Tombstones* NewTombstones(uint32_t capacity);
  // How many items are older than `revision`, or than the one after it.
  static uint32_t CountBelow(Versions& versions, int64_t revision);

  std::atomic<Versions*> versions_{nullptr};
  uint32_t key_bytes_ = 0;
};

class KeyIndex {
 public:
  explicit KeyIndex(EpochDomain& epochs);
  ~KeyIndex();

  const KeyEntry* Find(std::string_view key) const;
  // Entries of [key, range_end) by etcd's convention (empty end = the key alone, "\0" = everything
  // from key on), in order, until `visit` returns false.
  void Visit(std::string_view key, std::string_view range_end,
             absl::FunctionRef<bool(const KeyEntry&)> visit) const;

  // Adds a version; the key is made when it is new.
  void Append(std::string_view key, const KeyVersion& version);
  // Drops all versions of `key` older than the newest one with main ≤ `revision`, and that one too
  // when it is a tombstone from before `revision`. A key without versions goes.
  void Compact(std::string_view key, int64_t revision);

  size_t size() const { return size_; }
  // Memory that waits for readers to leave.
  size_t retired_bytes() const { return retired_bytes_; }

 private:
  static constexpr size_t kLeafMax = 64;
  static constexpr size_t kBranchMax = 256;

  // `head` is the 8 bytes after the prefix that all keys of the leaf share, big-endian: most
  // comparisons end there.
  struct Slot {
    uint64_t head;
    KeyEntry* entry;
  };
  struct Leaf {
    uint32_t prefix_bytes;
    uint32_t count;
    Slot slots[kLeafMax];
    // The first slot whose key is ≥ `key`.
    size_t LowerBound(std::string_view key) const;
    // The same for a key that has the prefix: without a look at any entry, mostly.
    size_t LowerBoundOfPrefixed(std::string_view key) const;
  };
  // children[i] covers keys from low[i] on; low[0] is not looked at.
  template <typename Child, size_t kMax>
  struct Node {
    uint32_t count = 0;
    std::string low[kMax];
    std::atomic<Child*> children[kMax];
    size_t ChildFor(std::string_view key) const;
  };
  using Branch = Node<Leaf, kBranchMax>;
  // The root has no fixed size: 256 × 64 × 2,000 keys and more.
  struct Root {
    std::vector<std::string> low;
    std::unique_ptr<std::atomic<Branch*>[]> children;
    size_t count() const { return low.size(); }
    size_t ChildFor(std::string_view key) const;
  };
  struct Place {
    Root* root;
    size_t branch_at;
    Branch* branch;
    size_t leaf_at;
    Leaf* leaf;
  };

  Place Locate(std::string_view key) const;
  static Leaf* MakeLeaf(KeyEntry* const* entries, size_t count);
  void InsertEntry(std::string_view key, KeyEntry* entry);
  void RemoveEntry(std::string_view key);
  void ReplaceLeaf(const Place& place, std::vector<KeyEntry*> entries);
  void SplitBranch(const Place& place, std::vector<std::string> low, std::vector<Leaf*> leaves);
  void ReplaceInRoot(Root* root, size_t at, const std::vector<Branch*>& with,
                     const std::vector<std::string>& low);

  static KeyEntry::Tombstones* AppendTombstone(KeyEntry::Versions& versions, uint32_t place);
  void RetireVersions(KeyEntry::Versions* versions);
  void Retire(void* memory, size_t bytes, void (*free_it)(void*));
  void FreeRetired();

  struct Retired {
    uint64_t stamp;
    void* memory;
    size_t bytes;
    void (*free_it)(void*);
  };
  EpochDomain& epochs_;
  std::atomic<Root*> root_;
  size_t size_ = 0;
  std::deque<Retired> retired_;
  size_t retired_bytes_ = 0;
  size_t retired_check_at_ = 256 * 1024;
};

}  // namespace quoin::mvcc

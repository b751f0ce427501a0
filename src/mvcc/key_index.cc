#include "mvcc/key_index.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"

namespace quoin::mvcc {
namespace {

constexpr std::string_view kFromKey("\0", 1);
constexpr size_t kRetiredBytesMin = 256 * 1024;  // asking every reader has a price

uint64_t HeadOf(std::string_view key, size_t skip) {
  uint64_t head = 0;
  if (key.size() >= skip + 8) {
    std::memcpy(&head, key.data() + skip, 8);
    return __builtin_bswap64(head);
  }
  for (size_t i = 0; i < 8; ++i) {
    head = head << 8 | (skip + i < key.size() ? static_cast<unsigned char>(key[skip + i]) : 0u);
  }
  return head;
}

size_t CommonPrefix(std::string_view a, std::string_view b) {
  const size_t n = std::min(a.size(), b.size());
  size_t i = 0;
  while (i < n && a[i] == b[i]) ++i;
  return i;
}

}  // namespace

// --- entries ---

KeyEntry* KeyEntry::New(std::string_view key) {
  void* memory = std::malloc(sizeof(KeyEntry) + key.size());
  CHECK(memory != nullptr) << "out of memory";
  auto* entry = new (memory) KeyEntry;
  entry->key_bytes_ = static_cast<uint32_t>(key.size());
  key.copy(reinterpret_cast<char*>(entry + 1), key.size());
  return entry;
}

void KeyEntry::Delete(KeyEntry* entry) {
  if (Versions* versions = entry->versions_.load(std::memory_order_relaxed)) {
    std::free(versions->tombstones.load(std::memory_order_relaxed));
    std::free(versions);
  }
  entry->~KeyEntry();
  std::free(entry);
}

KeyEntry::Versions* KeyEntry::NewVersions(uint32_t capacity) {
  void* memory = std::malloc(sizeof(Versions) + capacity * sizeof(Item));
  CHECK(memory != nullptr) << "out of memory";
  return new (memory) Versions{capacity, {0}, 0, 0, {nullptr}};
}

KeyEntry::Tombstones* KeyEntry::NewTombstones(uint32_t capacity) {
  void* memory = std::malloc(sizeof(Tombstones) + capacity * sizeof(uint32_t));
  CHECK(memory != nullptr) << "out of memory";
  return new (memory) Tombstones{capacity, {0}};
}

// Whoever has seen an item's count sees the tombstones in front of it.
KeyVersion KeyEntry::Versions::Get(uint32_t at) {
  const Item& item = items()[at];
  KeyVersion version{item.main, 0, item.sub, item.record_bytes, 0};
  if (item.is_tombstone) return version;
  uint32_t first = 0;  // of those since the last tombstone
  if (Tombstones* dead = tombstones.load(std::memory_order_acquire)) {
    const uint32_t* begin = dead->places();
    const uint32_t* end = begin + dead->count.load(std::memory_order_acquire);
    const uint32_t* after = std::lower_bound(begin, end, at);
    if (after != begin) first = *(after - 1) + 1;
  }
  version.create_revision = first == 0 ? first_create : items()[first].main;
  version.version = first == 0 ? first_version + at : at - first + 1;
  return version;
}

uint32_t KeyEntry::CountBelow(Versions& versions, int64_t revision) {
  const Item* begin = versions.items();
  const Item* end = begin + versions.count.load(std::memory_order_acquire);
  if (begin != end && (end - 1)->main < revision)  // most reads want the newest
    return static_cast<uint32_t>(end - begin);
  const Item* at = std::lower_bound(
      begin, end, revision, [](const Item& item, int64_t main) { return item.main < main; });
  return static_cast<uint32_t>(at - begin);
}

std::optional<KeyVersion> KeyEntry::At(int64_t revision) const {
  Versions* versions = versions_.load(std::memory_order_acquire);
  const uint32_t count = versions == nullptr ? 0 : CountBelow(*versions, revision + 1);
  return count == 0 ? std::nullopt : std::optional(versions->Get(count - 1));
}

void KeyEntry::VisitFrom(int64_t from, absl::FunctionRef<bool(const KeyVersion&)> visit) const {
  Versions* versions = versions_.load(std::memory_order_acquire);
  if (versions == nullptr) return;
  const uint32_t count = versions->count.load(std::memory_order_acquire);
  for (uint32_t at = CountBelow(*versions, from); at < count && visit(versions->Get(at));) ++at;
}

std::optional<KeyVersion> KeyEntry::Newest() const {
  Versions* versions = versions_.load(std::memory_order_acquire);
  const uint32_t count = versions == nullptr ? 0 : versions->count.load(std::memory_order_acquire);
  return count == 0 ? std::nullopt : std::optional(versions->Get(count - 1));
}

// --- nodes ---

size_t KeyIndex::Leaf::LowerBound(std::string_view key) const {
  if (count == 0) return 0;
  // Outside the shared prefix everything lies on one side.
  const std::string_view first = slots[0].entry->key();
  const int order = key.substr(0, prefix_bytes).compare(first.substr(0, prefix_bytes));
  if (order != 0) return order < 0 ? 0 : count;
  return LowerBoundOfPrefixed(key);
}

size_t KeyIndex::Leaf::LowerBoundOfPrefixed(std::string_view key) const {
  const uint64_t head = HeadOf(key, prefix_bytes);
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const Slot& slot = slots[middle];
    const bool below = slot.head != head ? slot.head < head : slot.entry->key() < key;
    if (below)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

template <typename Child, size_t kMax>
size_t KeyIndex::Node<Child, kMax>::ChildFor(std::string_view key) const {
  size_t low_at = 1, high = count;  // low[0] is no bound
  while (low_at < high) {
    const size_t middle = (low_at + high) / 2;
    if (low[middle] <= key)
      low_at = middle + 1;
    else
      high = middle;
  }
  return low_at - 1;
}

size_t KeyIndex::Root::ChildFor(std::string_view key) const {
  const auto above = std::upper_bound(low.begin() + 1, low.end(), key);
  return static_cast<size_t>(above - low.begin()) - 1;
}

KeyIndex::Leaf* KeyIndex::MakeLeaf(KeyEntry* const* entries, size_t count) {
  CHECK_LE(count, kLeafMax);
  auto* leaf = static_cast<Leaf*>(std::malloc(offsetof(Leaf, slots) + count * sizeof(Slot)));
  CHECK(leaf != nullptr) << "out of memory";
  leaf->count = static_cast<uint32_t>(count);
  leaf->prefix_bytes =
      count == 0
          ? 0
          : static_cast<uint32_t>(CommonPrefix(entries[0]->key(), entries[count - 1]->key()));
  for (size_t i = 0; i < count; ++i)
    leaf->slots[i] = {HeadOf(entries[i]->key(), leaf->prefix_bytes), entries[i]};
  return leaf;
}

// --- the index ---

KeyIndex::KeyIndex(EpochDomain& epochs) : epochs_(epochs) {
  auto* branch = new Branch;
  branch->count = 1;
  branch->children[0].store(MakeLeaf(nullptr, 0));
  auto* root = new Root;
  root->low.emplace_back();
  root->children = std::make_unique<std::atomic<Branch*>[]>(1);
  root->children[0].store(branch);
  root_.store(root);
}

KeyIndex::~KeyIndex() {
  Root* root = root_.load();
  for (size_t b = 0; b < root->count(); ++b) {
    Branch* branch = root->children[b].load();
    for (size_t l = 0; l < branch->count; ++l) {
      Leaf* leaf = branch->children[l].load();
      for (size_t i = 0; i < leaf->count; ++i) KeyEntry::Delete(leaf->slots[i].entry);
      std::free(leaf);
    }
    delete branch;
  }
  delete root;
  for (const Retired& r : retired_) r.free_it(r.memory);
}

KeyIndex::Place KeyIndex::Locate(std::string_view key) const {
  Place place;
  place.root = root_.load(std::memory_order_acquire);
  place.branch_at = place.root->ChildFor(key);
  place.branch = place.root->children[place.branch_at].load(std::memory_order_acquire);
  place.leaf_at = place.branch->ChildFor(key);
  place.leaf = place.branch->children[place.leaf_at].load(std::memory_order_acquire);
  return place;
}

const KeyEntry* KeyIndex::Find(std::string_view key) const {
  const Leaf* leaf = Locate(key).leaf;
  // Where a key with another prefix ends up does not matter: it is not the one that is there.
  if (key.size() < leaf->prefix_bytes) return nullptr;
  const size_t at = leaf->LowerBoundOfPrefixed(key);
  if (at == leaf->count || leaf->slots[at].entry->key() != key) return nullptr;
  return leaf->slots[at].entry;
}

void KeyIndex::Visit(std::string_view key, std::string_view range_end,
                     absl::FunctionRef<bool(const KeyEntry&)> visit) const {
  if (range_end.empty()) {
    if (const KeyEntry* entry = Find(key)) visit(*entry);
    return;
  }
  const bool open_ended = range_end == kFromKey;
  Place place = Locate(key);
  size_t at = place.leaf->LowerBound(key);
  for (size_t b = place.branch_at; b < place.root->count(); ++b) {
    if (b != place.branch_at)
      place.branch = place.root->children[b].load(std::memory_order_acquire);
    for (size_t l = b == place.branch_at ? place.leaf_at : 0; l < place.branch->count; ++l) {
      const Leaf* leaf = place.branch->children[l].load(std::memory_order_acquire);
      if (b == place.branch_at && l == place.leaf_at) leaf = place.leaf;
      for (; at < leaf->count; ++at) {
        const KeyEntry& entry = *leaf->slots[at].entry;
        if (!open_ended && entry.key() >= range_end) return;
        if (!visit(entry)) return;
      }
      at = 0;
    }
  }
}

void KeyIndex::Append(std::string_view key, const KeyVersion& version) {
  auto* entry = const_cast<KeyEntry*>(Find(key));
  const bool is_new = entry == nullptr;
  if (is_new) entry = KeyEntry::New(key);
  KeyEntry::Versions* old = entry->versions_.load(std::memory_order_relaxed);
  const uint32_t count = old == nullptr ? 0 : old->count.load(std::memory_order_relaxed);
  KeyEntry::Versions* versions = old;
  if (old == nullptr || count == old->capacity) {
    versions = KeyEntry::NewVersions(count + count / 4 + 1);
    if (old == nullptr) {
      versions->first_create = version.create_revision;
      versions->first_version = version.version;
    } else {
      versions->first_create = old->first_create;
      versions->first_version = old->first_version;
      versions->tombstones.store(old->tombstones.load(std::memory_order_relaxed),
                                 std::memory_order_relaxed);
      std::memcpy(versions->items(), old->items(), count * sizeof(KeyEntry::Item));
    }
  }
  CHECK(count == 0 || versions->items()[count - 1].main <= version.main);
  CHECK_LT(version.record_bytes, 1u << 31);
  KeyEntry::Tombstones* replaced = nullptr;
  if (version.is_tombstone()) replaced = AppendTombstone(*versions, count);
  versions->items()[count] = {version.main, version.sub, version.is_tombstone(),
                              version.record_bytes};
  versions->count.store(count + 1, std::memory_order_release);
  if (versions != old) {
    entry->versions_.store(versions, std::memory_order_release);
    if (old != nullptr) Retire(old, KeyEntry::Bytes(*old), std::free);
  }
  if (replaced != nullptr) Retire(replaced, KeyEntry::Bytes(*replaced), std::free);
  if (is_new) InsertEntry(key, entry);
}

// Returns the list that another one took the place of: to be retired once `versions` is what
// readers find.
KeyEntry::Tombstones* KeyIndex::AppendTombstone(KeyEntry::Versions& versions, uint32_t place) {
  KeyEntry::Tombstones* old = versions.tombstones.load(std::memory_order_relaxed);
  const uint32_t count = old == nullptr ? 0 : old->count.load(std::memory_order_relaxed);
  KeyEntry::Tombstones* tombstones = old;
  if (old == nullptr || count == old->capacity) {
    tombstones = KeyEntry::NewTombstones(count + count / 4 + 1);
    if (old != nullptr) std::memcpy(tombstones->places(), old->places(), count * sizeof(uint32_t));
  }
  tombstones->places()[count] = place;
  tombstones->count.store(count + 1, std::memory_order_release);
  if (tombstones == old) return nullptr;
  versions.tombstones.store(tombstones, std::memory_order_release);
  return old;
}

void KeyIndex::RetireVersions(KeyEntry::Versions* versions) {
  if (KeyEntry::Tombstones* dead = versions->tombstones.load(std::memory_order_relaxed))
    Retire(dead, KeyEntry::Bytes(*dead), std::free);
  Retire(versions, KeyEntry::Bytes(*versions), std::free);
}

void KeyIndex::InsertEntry(std::string_view key, KeyEntry* entry) {
  const Place place = Locate(key);
  std::vector<KeyEntry*> entries;
  entries.reserve(place.leaf->count + 1);
  for (size_t i = 0; i < place.leaf->count; ++i) entries.push_back(place.leaf->slots[i].entry);
  entries.insert(entries.begin() + static_cast<std::ptrdiff_t>(place.leaf->LowerBound(key)), entry);
  ++size_;
  ReplaceLeaf(place, std::move(entries));
}

void KeyIndex::RemoveEntry(std::string_view key) {
  const Place place = Locate(key);
  const size_t at = place.leaf->LowerBound(key);
  CHECK(at < place.leaf->count && place.leaf->slots[at].entry->key() == key);
  KeyEntry* entry = place.leaf->slots[at].entry;
  std::vector<KeyEntry*> entries;
  for (size_t i = 0; i < place.leaf->count; ++i) {
    if (i != at) entries.push_back(place.leaf->slots[i].entry);
  }
  --size_;
  ReplaceLeaf(place, std::move(entries));
  Retire(entry, sizeof(KeyEntry) + key.size(),
         [](void* e) { KeyEntry::Delete(static_cast<KeyEntry*>(e)); });
}

// Puts one leaf, two, or none in the place of one.
void KeyIndex::ReplaceLeaf(const Place& place, std::vector<KeyEntry*> entries) {
  Branch* branch = place.branch;
  const bool only_leaf = branch->count == 1 && place.root->count() == 1;
  if (entries.size() <= kLeafMax && (!entries.empty() || only_leaf)) {
    branch->children[place.leaf_at].store(MakeLeaf(entries.data(), entries.size()),
                                          std::memory_order_release);
  } else {
    std::vector<std::string> low;
    std::vector<Leaf*> leaves;
    for (size_t l = 0; l < branch->count; ++l) {
      if (l != place.leaf_at) {
        low.push_back(branch->low[l]);
        leaves.push_back(branch->children[l].load(std::memory_order_relaxed));
      } else if (!entries.empty()) {
        // Keys that come in order leave full leaves behind.
        const bool ascending = l + 1 == branch->count && place.branch_at + 1 == place.root->count();
        const size_t half = ascending ? entries.size() - 1 : entries.size() / 2;
        low.push_back(branch->low[l]);
        leaves.push_back(MakeLeaf(entries.data(), half));
        low.emplace_back(entries[half]->key());
        leaves.push_back(MakeLeaf(entries.data() + half, entries.size() - half));
      }
    }
    SplitBranch(place, std::move(low), std::move(leaves));
  }
  Retire(place.leaf, sizeof(Leaf), std::free);
}

// Puts new branches (two when one is full, none when it is empty) in the place of one.
void KeyIndex::SplitBranch(const Place& place, std::vector<std::string> low,
                           std::vector<Leaf*> leaves) {
  std::vector<Branch*> branches;
  std::vector<std::string> branch_low;
  const size_t parts = leaves.empty() ? 0 : leaves.size() <= kBranchMax ? 1 : 2;
  size_t at = 0;
  for (size_t part = 0; part < parts; ++part) {
    auto* branch = new Branch;
    const size_t end = part + 1 == parts ? leaves.size() : leaves.size() / 2;
    branch_low.push_back(part == 0 ? place.root->low[place.branch_at] : low[at]);
    for (; at < end; ++at, ++branch->count) {
      branch->low[branch->count] = std::move(low[at]);
      branch->children[branch->count].store(leaves[at], std::memory_order_relaxed);
    }
    branches.push_back(branch);
  }
  if (branches.size() == 1)
    place.root->children[place.branch_at].store(branches[0], std::memory_order_release);
  else
    ReplaceInRoot(place.root, place.branch_at, branches, branch_low);
  Retire(place.branch, sizeof(Branch), [](void* b) { delete static_cast<Branch*>(b); });
}

void KeyIndex::ReplaceInRoot(Root* old, size_t at, const std::vector<Branch*>& with,
                             const std::vector<std::string>& low) {
  auto* root = new Root;
  std::vector<Branch*> children;
  for (size_t b = 0; b < old->count(); ++b) {
    if (b != at) {
      root->low.push_back(old->low[b]);
      children.push_back(old->children[b].load(std::memory_order_relaxed));
      continue;
    }
    root->low.insert(root->low.end(), low.begin(), low.end());
    children.insert(children.end(), with.begin(), with.end());
  }
  root->children = std::make_unique<std::atomic<Branch*>[]>(children.size());
  for (size_t b = 0; b < children.size(); ++b)
    root->children[b].store(children[b], std::memory_order_relaxed);
  root_.store(root, std::memory_order_release);
  Retire(old, old->count() * (sizeof(std::string) + sizeof(Branch*)),
         [](void* r) { delete static_cast<Root*>(r); });
}

void KeyIndex::Compact(std::string_view key, int64_t revision) {
  auto* entry = const_cast<KeyEntry*>(Find(key));
  if (entry == nullptr) return;
  KeyEntry::Versions* versions = entry->versions_.load(std::memory_order_relaxed);
  const uint32_t count = versions->count.load(std::memory_order_relaxed);
  const KeyEntry::Item* items = versions->items();
  uint32_t first = KeyEntry::CountBelow(*versions, revision + 1);  // of those that stay
  if (first > 0) --first;
  if (items[first].is_tombstone && items[first].main < revision) ++first;
  if (first == 0) return;
  if (first == count) return RemoveEntry(key);
  KeyEntry::Versions* kept = KeyEntry::NewVersions(count - first);
  const KeyVersion oldest = versions->Get(first);
  kept->first_create = oldest.create_revision;
  kept->first_version = oldest.version;
  for (uint32_t at = first; at < count; ++at) {
    if (items[at].is_tombstone) std::free(AppendTombstone(*kept, at - first));
  }
  std::memcpy(kept->items(), items + first, (count - first) * sizeof(KeyEntry::Item));
  kept->count.store(count - first, std::memory_order_release);
  entry->versions_.store(kept, std::memory_order_release);
  RetireVersions(versions);
}

void KeyIndex::Retire(void* memory, size_t bytes, void (*free_it)(void*)) {
  retired_.push_back({epochs_.Advance(), memory, bytes, free_it});
  retired_bytes_ += bytes;
  if (retired_bytes_ >= retired_check_at_) FreeRetired();
}

void KeyIndex::FreeRetired() {
  const uint64_t safe = epochs_.SafeEpoch();
  while (!retired_.empty() && retired_.front().stamp < safe) {
    retired_bytes_ -= retired_.front().bytes;
    retired_.front().free_it(retired_.front().memory);
    retired_.pop_front();
  }
  // While a reader stays inside, not for every node.
  retired_check_at_ = retired_bytes_ + kRetiredBytesMin;
}

}  // namespace quoin::mvcc

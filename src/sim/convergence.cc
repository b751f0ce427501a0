#include "sim/convergence.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "btree/tree.h"
#include "mvcc/store.h"
#include "server/paths.h"

namespace quoin::sim {

using std::chrono::seconds;

namespace {

std::vector<Host*> Members(Fleet& fleet) {
  std::vector<Host*> members;
  for (auto& host : fleet.hosts())
    if (host->machine->up() && fleet.IsMember(*host)) members.push_back(host.get());
  return members;
}

// Every pair of the tree; a map by bucket and key.
using Pairs = std::map<std::string, std::string>;

// What one member holds. Value type.
struct Hashes {
  uint64_t applied;
  uint32_t keys, whole;
  Pairs pairs;
};

void ReadPairs(server::FrozenImage& frozen, Pairs& pairs) {
  EpochDomain::ReaderSlot slot(frozen.data->tree->epochs());
  EpochDomain::Guard guard(slot);
  const btree::Snapshot snapshot = frozen.data->tree->SnapshotOf(*frozen.image);
  for (const std::string& bucket : snapshot.Buckets()) {
    btree::Cursor cursor = snapshot.NewCursor(bucket, btree::OnMiss::kLoad);
    if (!cursor.Seek(std::string_view("\0", 1)).ok()) return;
    while (cursor.Valid()) {
      pairs[bucket + "/" + absl::CHexEscape(std::string(cursor.key()))] =
          std::string(cursor.value());
      if (!cursor.Next().ok()) return;
    }
  }
}

// Where two members differ, for whoever looks at a failed seed.
void SayDifference(Fleet& fleet, const Pairs& one, const Pairs& other) {
  auto in = [](const Pairs& pairs, const std::string& key) {
    auto at = pairs.find(key);
    return at == pairs.end() ? std::string("nothing") : absl::CHexEscape(at->second);
  };
  Pairs all = one;
  all.insert(other.begin(), other.end());
  for (const auto& [key, value] : all) {
    if (in(one, key) != in(other, key))
      fleet.Say(key + ": " + in(one, key) + " | " + in(other, key));
  }
}

// False: something was applied meanwhile.
bool CompareOnce(Fleet& fleet, Host& one, std::optional<Hashes>& first) {
  const uint64_t applied = one.machine->applied();
  std::optional<StatusOr<mvcc::HashResult>> keys;
  std::optional<StatusOr<uint32_t>> whole;
  Pairs pairs;
  server::Node& node = one.machine->node();
  node.storage_loop().Post([&] { keys = node.store().HashByRevision(0, node.storage_slot()); });
  node.WithFrozenImage([&](std::shared_ptr<server::FrozenImage> frozen) {
    node.storage_loop().Post([&whole, &pairs, &fleet, frozen = std::move(frozen)] {
      if (fleet.options().prints) ReadPairs(*frozen, pairs);
      whole = mvcc::HashWholeTree(*frozen->data->tree, *frozen->image, mvcc::Volatile::kSkipped);
    });
  });
  if (!fleet.Until([&] { return keys && whole; }, "hashes")) return true;
  if (one.machine->applied() != applied) return false;
  if (!keys->ok() || !whole->ok()) fleet.Fail("hashing failed");
  if (fleet.failed()) return true;
  const Hashes hashes{applied, (*keys)->hash, **whole, pairs};
  if (!first) first = hashes;
  if (applied != first->applied) return false;
  const std::string& name = one.machine->host();
  if (hashes.keys != first->keys) fleet.Fail(name + ": another HashKV");
  if (hashes.whole != first->whole) SayDifference(fleet, first->pairs, hashes.pairs);
  if (hashes.whole != first->whole) fleet.Fail(name + ": another hash of all buckets");
  return true;
}

}  // namespace

bool Converge(Fleet& fleet, Observer& observer) {
  for (auto& host : fleet.hosts()) {
    if (!host->machine->up()) continue;
    auto ready = [&] { return host->machine->ready() || host->machine->removed(); };
    if (!fleet.Until(ready, host->machine->host() + " becomes ready")) return false;
  }
  auto equal = [&] {
    const std::vector<Host*> members = Members(fleet);
    return !members.empty() && std::all_of(members.begin(), members.end(), [&](Host* host) {
      return host->machine->applied() == members[0]->machine->applied() &&
             !host->machine->node().store().compaction_pending();  // it may wait for readers
    });
  };
  for (int quiet = 0; quiet < 3; ++quiet) {  // late calls of clients still come
    if (!fleet.Until(equal, "all members reach the same index")) return false;
    fleet.world().RunFor(seconds(5));
  }
  if (!fleet.Until(equal, "all members reach the same index")) return false;
  for (Host* host : Members(fleet)) observer.Learn(*host);
  return !fleet.failed();
}

void CompareHashes(Fleet& fleet) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::optional<Hashes> first;
    const std::vector<Host*> members = Members(fleet);
    const bool quiet = std::all_of(members.begin(), members.end(),
                                   [&](Host* host) { return CompareOnce(fleet, *host, first); });
    if (quiet) return;
    fleet.world().RunFor(seconds(1));
  }
  fleet.Fail("never: a moment without changes");
}

void StopAll(Fleet& fleet) {
  for (auto& host : fleet.hosts()) fleet.Stop(*host);
  for (auto& host : fleet.hosts()) {
    if (!host->machine->up()) continue;
    if (!fleet.Until([&] { return host->machine->stopped(); }, "an orderly stop")) return;
  }
  for (auto& host : fleet.hosts())
    if (host->machine->up()) host->machine->Down();
}

void CheckTrees(Fleet& fleet) {
  for (auto& host : fleet.hosts()) {
    if (!host->lived) continue;
    const server::Paths paths(host->machine->config());
    env::BlockingFileSystem& files = host->machine->disk();
    const btree::CheckReport report = btree::CheckFile(files, paths.db);
    if (!report.problems.empty())
      fleet.Fail(host->machine->host() + ": " + report.problems.front());
  }
}

}  // namespace quoin::sim

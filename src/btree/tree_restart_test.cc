// A start on a meta page that only the kernel's pages have: its checkpoint was under way when the
// program ended, or its sync failed. What the start takes for durable must be so before anything
// relies on it.

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "btree/tree.h"
#include "env/sim/sim_disk.h"

namespace quoin::btree {
namespace {

using Model = std::map<std::string, std::string>;

constexpr char kPath[] = "/data/db";
constexpr char kBucket[] = "key";

Model Contents(Tree& tree) {
  EpochDomain::ReaderSlot slot(tree.epochs());
  EpochDomain::Guard guard(slot);
  Model model;
  Cursor cursor = tree.Current().NewCursor(kBucket, OnMiss::kLoad);
  EXPECT_TRUE(cursor.SeekFirst().ok());
  while (cursor.Valid()) {
    model.emplace(cursor.key(), cursor.value());
    EXPECT_TRUE(cursor.Next().ok());
  }
  return model;
}

// Changes many keys, so that pages of the roots before become free.
void Fill(Tree& tree, std::mt19937_64& random, Model& model) {
  ASSERT_TRUE(tree.writer().CreateBucket(kBucket).ok());
  for (int i = 0; i < 60; ++i) {
    const std::string key = "key" + std::to_string(random() % 200);
    const std::string value(random() % 300, static_cast<char>('a' + random() % 26));
    ASSERT_TRUE(tree.writer().Put(kBucket, key, value).ok());
    model[key] = value;
  }
  tree.writer().Publish();
}

TEST(TreeRestart, WhatItReadStaysThroughAPowerFailureInTheNextCheckpoint) {
  const uint64_t first_seed = std::random_device()();
  bool through = false;
  for (uint64_t power_fails_at = 0; !through; ++power_fails_at) {
    for (uint64_t seed = first_seed; seed < first_seed + 8; ++seed) {
      SCOPED_TRACE(testing::Message() << "power fails at " << power_fails_at << ", seed " << seed);
      std::mt19937_64 random(seed);
      env::SimDisk disk;
      ASSERT_TRUE(disk.MakeDirectory("/data").ok());
      Model read, written;
      {
        auto tree = Tree::Open(disk, kPath, {});
        ASSERT_TRUE(tree.ok()) << tree.status();
        for (int i = 0; i < 3; ++i) {
          Fill(**tree, random, read);
          ASSERT_TRUE((*tree)->CheckpointNow().ok());
        }
        Fill(**tree, random, read);
        disk.FailSync(2, absl::InternalError("I/O error"));  // the one behind the meta page
        ASSERT_FALSE((*tree)->CheckpointNow().ok());
      }
      {
        auto tree = Tree::Open(disk, kPath, {});
        ASSERT_TRUE(tree.ok()) << tree.status();
        ASSERT_EQ(Contents(**tree), read);
        written = read;
        Fill(**tree, random, written);
        disk.set_power_fails_at(disk.operations() + power_fails_at);
        through = (*tree)->CheckpointNow().ok();
      }
      disk.Restart(seed);
      auto tree = Tree::Open(disk, kPath, {});
      ASSERT_TRUE(tree.ok()) << tree.status();
      ASSERT_TRUE((*tree)->Check().problems.empty()) << (*tree)->Check().problems.front();
      const Model found = Contents(**tree);
      ASSERT_TRUE(found == written || (!through && found == read));
    }
  }
}

}  // namespace
}  // namespace quoin::btree

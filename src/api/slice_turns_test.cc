// Long reads in turn: how many slices are under way, in which order, and what others wait for.

#include "api/slice_turns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "env/sim/sim_world.h"

namespace quoin::api {
namespace {

class SliceTurnsTest : public testing::Test {
 protected:
  SliceTurnsTest() : disk_(&world_), network_(world_), env_(world_, disk_, network_) {
    loop_ = env_.NewExecutor("io");
    storage_ = env_.NewExecutor("storage");
    turns_ = std::make_unique<SliceTurns>(*loop_, *storage_);
  }
  // A reader of so many slices, each of which asks for the next one.
  void Read(int reader, int slices) {
    turns_->Ask([this, reader, slices]() -> env::Task {
      EXPECT_TRUE(storage_->IsCurrent());
      read_.push_back(reader);
      return [this, reader, slices] {
        EXPECT_TRUE(loop_->IsCurrent());
        sent_.push_back(reader);
        if (slices > 1) Read(reader, slices - 1);
      };
    });
  }
  void Begin(int readers, int slices) {
    loop_->Post([=, this] {
      for (int reader = 0; reader < readers; ++reader) Read(reader, slices);
    });
  }

  env::SimWorld world_{1};
  env::SimDisk disk_;
  env::SimNetwork network_;
  env::SimEnv env_;
  std::unique_ptr<env::Executor> loop_, storage_;
  std::unique_ptr<SliceTurns> turns_;
  std::vector<int> read_, sent_;
};

TEST_F(SliceTurnsTest, ReadersAreServedInTurn) {
  Begin(3, 3);
  world_.RunUntil([this] { return sent_.size() == 9; }, 1000);
  EXPECT_EQ(read_, (std::vector<int>{0, 1, 2, 0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(sent_, read_);
}

TEST_F(SliceTurnsTest, AFewSlicesAreUnderWayHoweverManyRead) {
  size_t most = 0;
  Begin(100, 5);
  world_.RunUntil(
      [&] {
        most = std::max(most, read_.size() - sent_.size());
        return sent_.size() == 500;
      },
      100'000);
  EXPECT_EQ(sent_.size(), 500u);
  EXPECT_LE(most, 2u);
}

TEST_F(SliceTurnsTest, OthersWaitForAFewSlices) {
  Begin(100, 5);
  world_.RunUntil([this] { return read_.size() == 10; }, 100'000);
  std::optional<size_t> read_before, sent_before;
  storage_->Post([&] { read_before = read_.size(); });
  loop_->Post([&] { sent_before = sent_.size(); });
  world_.RunUntil([&] { return read_before && sent_before; }, 1000);
  ASSERT_TRUE(read_before && sent_before);
  EXPECT_LE(*read_before, 12u);
  EXPECT_LE(*sent_before, 12u);
}

}  // namespace
}  // namespace quoin::api

// The files of received trees: which one stands where, whatever raft decides in whatever order.

#include "server/received_trees.h"

#include <gtest/gtest.h>

#include "env/blocking.h"
#include "env/sim/sim_disk.h"
#include "env/sim/sim_network.h"
#include "env/sim/sim_world.h"

namespace quoin::server {
namespace {

constexpr Index kIndex(77);

class ReceivedTreesTest : public testing::Test {
 protected:
  ReceivedTreesTest() {
    config_.data_dir = "/data";
    paths_ = std::make_unique<Paths>(config_);
    EXPECT_TRUE(files().MakeDirectory(paths_->snap).ok());
    Write(paths_->db, "own");
    trees_ = std::make_unique<ReceivedTrees>(files(), config_, *bulk_);
  }

  env::BlockingFileSystem& files() { return env_.files().blocking(); }
  void Write(const std::string& path, std::string_view text) {
    auto file = files().Open(path, env::OpenMode::kCreateTrunc);
    ASSERT_TRUE(file.ok() && (*file)->blocking().Write(0, text).ok());
  }
  std::string Read(const std::string& path) {
    auto file = files().Open(path, env::OpenMode::kRead);
    if (!file.ok()) return "none";
    std::string text(16, '\0');
    text.resize(*(*file)->blocking().Read(0, text));
    return text;
  }
  std::string Received() { return Read(paths_->ReceivedTree(kIndex)); }

  // What `text` stands in, as it came with a message.
  std::shared_ptr<Data> Add(std::string_view text) {
    const std::string path = paths_->snap + "/tmp1";
    Write(path, text);
    auto data = std::make_shared<Data>();
    EXPECT_TRUE(trees_->Add(kIndex, path, data).ok());
    return data;
  }
  void Drop() {
    trees_->Drop(kIndex);
    world_.RunFor(std::chrono::seconds(1));
  }

  env::SimWorld world_{1};
  env::SimDisk disk_{&world_};
  env::SimNetwork network_{world_};
  env::SimEnv env_{world_, disk_, network_, "a"};
  std::unique_ptr<env::Executor> bulk_ = env_.NewExecutor("bulk");
  NodeConfig config_;
  std::unique_ptr<Paths> paths_;
  std::unique_ptr<ReceivedTrees> trees_;
};

TEST_F(ReceivedTreesTest, WhatRaftTakesStandsInThePlaceOfTheOwn) {
  const std::shared_ptr<Data> data = Add("a");
  EXPECT_EQ(Received(), "a");
  EXPECT_EQ(*trees_->Take(kIndex), data);
  EXPECT_EQ(Read(paths_->db), "a");
  EXPECT_EQ(Received(), "none");
}

TEST_F(ReceivedTreesTest, WhatRaftHasNoUseForGoes) {
  const std::weak_ptr<Data> data = Add("a");
  Drop();
  EXPECT_TRUE(data.expired());
  EXPECT_EQ(Received(), "none");
  EXPECT_EQ(Read(paths_->db), "own");
}

// A member that runs on another file than the one that is named would lose all at its next start.
TEST_F(ReceivedTreesTest, OfTwoTheNamedFileIsTheOpenOne) {
  const std::weak_ptr<Data> first = Add("a");
  const std::shared_ptr<Data> second = Add("b");
  EXPECT_TRUE(first.expired());
  EXPECT_EQ(*trees_->Take(kIndex), second);
  EXPECT_EQ(Read(paths_->db), "b");
  Drop();  // the message that was not taken
  EXPECT_EQ(Read(paths_->db), "b");
}

TEST_F(ReceivedTreesTest, ARefusedMessageLeavesTheTreeOfTheOther) {
  Add("a");
  const std::shared_ptr<Data> second = Add("b");
  Drop();
  EXPECT_EQ(*trees_->Take(kIndex), second);
  EXPECT_EQ(Read(paths_->db), "b");
}

TEST_F(ReceivedTreesTest, OneThatComesAgainLeavesNothing) {
  Add("a");
  ASSERT_TRUE(trees_->Take(kIndex).ok());
  const std::weak_ptr<Data> again = Add("b");
  Drop();
  EXPECT_TRUE(again.expired());
  EXPECT_EQ(Received(), "none");
  EXPECT_EQ(Read(paths_->db), "a");
}

}  // namespace
}  // namespace quoin::server

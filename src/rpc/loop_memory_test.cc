#include "rpc/loop_memory.h"

#include <gtest/gtest.h>

#include <deque>

#include "env/sim/sim_world.h"

namespace quoin::rpc {
namespace {

constexpr uint64_t kBudget = 1 << 20;
constexpr size_t kBig = 300 << 10;

// An answer that waits for its client.
class Answer final : public Holder {
 public:
  Answer(LoopMemory& memory, size_t bytes) : charge_(memory.account()) {
    charge_.Set(bytes);
    memory.Begin(*this);
    memory.NoteGrowth();
  }
  void GiveUp() override {
    charge_.Set(0);
    given_up = true;
  }
  bool given_up = false;

 private:
  MemoryCharge charge_;
};

class LoopMemoryTest : public testing::Test {
 protected:
  LoopMemoryTest() { server_->loops = {&memory_}; }
  // In one turn of the loop.
  void Queue(std::initializer_list<size_t> sizes) {
    loop_.Post([this, sizes = std::vector<size_t>(sizes)] {
      for (const size_t bytes : sizes) answers_.emplace_back(memory_, bytes);
    });
    world_.RunFor(std::chrono::milliseconds(1));
  }
  std::vector<bool> GivenUp() const {
    std::vector<bool> out;
    for (const Answer& answer : answers_) out.push_back(answer.given_up);
    return out;
  }

  env::SimWorld world_{1};
  env::SimExecutor loop_{world_, "io"};
  NullLogger log_;
  const std::shared_ptr<ServerMemory> server_ = std::make_shared<ServerMemory>(kBudget);
  LoopMemory memory_{server_, loop_, log_};
  std::deque<Answer> answers_;
};

TEST_F(LoopMemoryTest, WhoWaitsForLongestGivesUpFirst) {
  for (int i = 0; i < 4; ++i) Queue({kBig});
  EXPECT_EQ(GivenUp(), (std::vector<bool>{true, false, false, false}));
}

// A Put's answer is queued, and in the same turn another client gets more than there may be.
TEST_F(LoopMemoryTest, WhatWasQueuedInThisTurnIsNotToldTooSlow) {
  Queue({100, kBig, kBig, kBig, kBig, kBig});
  EXPECT_EQ(GivenUp(), (std::vector<bool>{false, false, false, false, true, true}));
}

TEST_F(LoopMemoryTest, ThoseOfEarlierTurnsGiveUpBeforeIt) {
  Queue({kBig, kBig});
  Queue({100, kBig, kBig});
  EXPECT_EQ(GivenUp(), (std::vector<bool>{true, false, false, false, false}));
}

}  // namespace
}  // namespace quoin::rpc

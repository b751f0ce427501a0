// What the peer loop sends in one task.

#include "server/peer_host.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "env/sim/sim_world.h"
#include "server/received_trees.h"

namespace quoin::server {
namespace {

using raft::MessageType;

// Keeps what it is given, call by call.
class KeepingTransport final : public peer::Transport {
 public:
  explicit KeepingTransport(std::vector<std::vector<raft::Message>>& sent) : sent_(sent) {}
  Status Listen(const std::string&) override { return OkStatus(); }
  std::vector<std::string> addresses() const override { return {}; }
  void AddPeer(NodeId, std::vector<std::string>) override {}
  void AddRemote(NodeId, std::vector<std::string>) override {}
  void RemovePeer(NodeId) override {}
  void UpdatePeer(NodeId, std::vector<std::string>) override {}
  bool HasPeer(NodeId) const override { return true; }
  void Send(std::vector<raft::Message> messages) override { sent_.push_back(std::move(messages)); }
  void SendSnapshot(raft::Message, std::unique_ptr<peer::SnapshotSource>) override {}
  std::vector<peer::PeerStatus> peers() const override { return {}; }
  void Stop() override {}

 private:
  std::vector<std::vector<raft::Message>>& sent_;
};

raft::Message Laden(MessageType type, uint64_t index, size_t bytes) {
  return {.type = type,
          .to = NodeId(2),
          .index = Index(index),
          .entries = {{Term(1), Index(index + 1), raft::EntryType::kNormal,
                       SharedBytes(std::string(bytes, 'x'))}}};
}

class PeerHostTest : public testing::TestWithParam<MessageType> {
 protected:
  PeerHostTest() {
    auto keeps = [this](env::Env&, env::Executor&, const peer::Options&, peer::Host&, Logger&) {
      return std::make_unique<KeepingTransport>(sent_);
    };
    EXPECT_EQ(host_.Start(env_, keeps), OkStatus());
  }
  ~PeerHostTest() override {
    loop_.Post([this] { host_.Stop(); });
    world_.RunFor(std::chrono::milliseconds(1));
  }

  env::SimWorld world_{1};
  env::SimDisk disk_{&world_};
  env::SimNetwork network_{world_};
  env::SimEnv env_{world_, disk_, network_};
  env::SimExecutor loop_{world_, "", "peer"};
  NullLogger log_;
  NodeConfig config_;
  NodeInfo info_;
  std::vector<std::vector<raft::Message>> sent_;
  ReceivedTrees received_{disk_, config_, loop_};
  PeerHost host_{config_, info_, {loop_, loop_, loop_, loop_, loop_}, disk_, received_, log_};
};

// A follower that comes back gets a window of many megabytes; one that finds its leader forwards
// as many of its clients' proposals.
TEST_P(PeerHostTest, EntriesGoInSlicesAndKeepTheirOrder) {
  const size_t bytes = limits::kMessageBytesMax / 4;
  bool others_ran = false;
  loop_.Post([&] {
    std::vector<raft::Message> messages;
    for (uint64_t i = 0; i < 40; ++i) messages.push_back(Laden(GetParam(), i, bytes));
    messages.push_back({.type = MessageType::kHeartbeat, .to = NodeId(3)});
    host_.Send(std::move(messages));
    EXPECT_EQ(sent_.size(), 2u) << "the heartbeat, and one slice";
    EXPECT_EQ(sent_[0].front().type, MessageType::kHeartbeat);
    loop_.Post([&] { others_ran = sent_.size() < 5; });
    loop_.Post([&] { host_.Send({Laden(GetParam(), 40, 10)}); });
  });
  world_.RunFor(std::chrono::milliseconds(10));
  EXPECT_TRUE(others_ran);
  uint64_t next = 0;
  for (size_t i = 1; i < sent_.size(); ++i) {
    EXPECT_LE(sent_[i].size(), 4u);
    for (const raft::Message& message : sent_[i]) EXPECT_EQ(message.index.value(), next++);
  }
  EXPECT_EQ(next, 41u);
}

INSTANTIATE_TEST_SUITE_P(Types, PeerHostTest,
                         testing::Values(MessageType::kApp, MessageType::kProp));

}  // namespace
}  // namespace quoin::server

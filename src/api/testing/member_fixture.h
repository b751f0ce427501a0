// A whole member of its own cluster on virtual time, with one I/O loop, for tests of services.
//
// Thread: the test's.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/context.h"
#include "base/check.h"
#include "base/log.h"
#include "env/sim/sim_world.h"
#include "proto/rpc.pb.h"
#include "server/node.h"

namespace quoin::api {

inline constexpr size_t kStepsMax = 5'000'000;

// Whoever derives ends its calls, on the loop, in its own destructor.
class MemberTest : public testing::Test {
 protected:
  explicit MemberTest(server::NodeConfig config = {})
      : disk_(&world_),
        network_(world_),
        config_(std::move(config)),
        env_(world_, disk_, network_) {
    const std::string peer_url = "http://10.0.0.1:2380";
    config_.data_dir = "data";
    config_.advertise_peer_urls = {peer_url};
    config_.initial_cluster = {{config_.name, {peer_url}}};
    io_ = env_.NewExecutor("io");
    owner_ = env_.NewExecutor("owner");
    auto node = server::Node::Start(env_, config_, {io_.get()}, *owner_, {}, log_);
    CHECK(node.ok());
    node_ = *std::move(node);
    CHECK(world_.RunUntil([this] { return node_->info().capable.load(); }, kStepsMax));
    context_ = std::make_unique<Context>(*node_, std::vector<env::Executor*>{io_.get()},
                                         [] { return ProcessStats(); });
  }

  void OnLoop(std::function<void()> task) {
    bool done = false;
    io_->Post([&] {
      task();
      done = true;
    });
    CHECK(world_.RunUntil([&] { return done; }, kStepsMax));
  }
  int64_t Apply(state::Operation operation, const std::string& payload) {
    std::optional<int64_t> revision;
    OnLoop([&] {
      auto wait = node_->frontend(0).Propose(operation, payload, [&](state::ApplyResult result) {
        CHECK(result.status.ok());
        revision = result.revision;
      });
      CHECK(wait.ok());
      std::move(*wait).Detach();
    });
    CHECK(world_.RunUntil([&] { return revision.has_value(); }, kStepsMax));
    return *revision;
  }
  void Compact(int64_t revision) {
    etcdserverpb::CompactionRequest compaction;
    compaction.set_revision(revision);
    Apply(state::Operation::kCompaction, compaction.SerializeAsString());
    world_.RunFor(std::chrono::milliseconds(100));
  }

  NullLogger log_;
  env::SimWorld world_{1};
  env::SimDisk disk_;
  env::SimNetwork network_;
  server::NodeConfig config_;
  env::SimEnv env_;
  std::unique_ptr<env::Executor> io_, owner_;
  std::unique_ptr<server::Node> node_;
  std::unique_ptr<Context> context_;
};

}  // namespace quoin::api

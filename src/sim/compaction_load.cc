// Old revisions are given up, now and then: only such as the observer has read. That the others
// stay readable is seen wherever history is read.
#include "proto/rpc.pb.h"
#include "sim/workload.h"

namespace quoin::sim {
namespace {

class CompactionLoad final : public Workload {
 public:
  explicit CompactionLoad(const Stage& stage) : fleet_(stage.fleet), observer_(stage.observer) {}

  void Start(Host& host) override {
    if (!fleet_.random().Chance(0.25)) return;
    const int64_t revision = observer_.DrawCompaction(host);
    if (revision == 0 || fleet_.failed()) return;
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    host.machine->Propose(state::Operation::kCompaction, request.SerializeAsString(),
                          [](const state::ApplyResult&) {});
  }
  void Check() override {}

 private:
  Fleet& fleet_;
  Observer& observer_;
};

}  // namespace

std::unique_ptr<Workload> NewCompactionLoad(const Stage& stage) {
  return std::make_unique<CompactionLoad>(stage);
}

}  // namespace quoin::sim

#include "server/auto_compactor.h"

#include <algorithm>

#include "proto/rpc.pb.h"

namespace quoin::server {
namespace {

constexpr env::Duration kRevisionInterval = std::chrono::minutes(5);
constexpr env::Duration kHour = std::chrono::hours(1);
constexpr size_t kRecordsPerPeriod = 10;  // periodic mode looks ten times per min(period, 1 h)

}  // namespace

env::Duration AutoCompactor::Interval() const {
  if (config_.auto_compaction == AutoCompactionMode::kRevision) return kRevisionInterval;
  return std::min(config_.auto_compaction_period, kHour) / static_cast<int64_t>(kRecordsPerPeriod);
}

void AutoCompactor::Start() {
  if (config_.auto_compaction != AutoCompactionMode::kOff) Schedule();
}

void AutoCompactor::Stop() { frontend_.loop().Cancel(timer_); }

void AutoCompactor::Schedule() {
  timer_ = frontend_.loop().RunAfter(Interval(), [this] {
    Tick();
    Schedule();
  });
}

void AutoCompactor::Tick() {
  int64_t target = config_.auto_compaction == AutoCompactionMode::kPeriodic ? PeriodicTarget()
                                                                            : RevisionTarget();
  if (target > compacted_ && !under_way_ && info_.is_leader.load()) Compact(target);
}

// Records one revision per interval; from the first full period on, the one recorded a period ago
// is the target, once per min(period, 1 h).
int64_t AutoCompactor::PeriodicTarget() {
  const size_t records = static_cast<size_t>(config_.auto_compaction_period / Interval());
  recorded_.push_back(frontend_.store().current_revision());
  if (recorded_.size() <= records) return 0;
  recorded_.pop_front();
  if (ticks_until_next_ > 0) {
    --ticks_until_next_;
    return 0;
  }
  return recorded_.front();
}

int64_t AutoCompactor::RevisionTarget() const {
  return std::max<int64_t>(
      0, frontend_.store().current_revision() - config_.auto_compaction_revisions);
}

void AutoCompactor::Compact(int64_t revision) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  auto done = [this, revision](const state::ApplyResult& result) {
    wait_.Over();
    under_way_ = false;
    // Somebody else may have compacted further: that is as good.
    if (!result.status.ok() && !absl::IsOutOfRange(result.status)) {
      log_.Warn("failed auto-compaction",
                {{"compact-revision", revision}, {"error", std::string(result.status.message())}});
      return;
    }
    compacted_ = revision;
    ticks_until_next_ = kRecordsPerPeriod - 1;
    log_.Info("completed auto-compaction", {{"compact-revision", revision}});
  };
  StatusOr<Frontend::Wait> wait = frontend_.Propose(state::Operation::kCompaction,
                                                    request.SerializeAsString(), std::move(done));
  under_way_ = wait.ok();
  if (under_way_) wait_ = *std::move(wait);
}

}  // namespace quoin::server

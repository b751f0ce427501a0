// AutoCompactor: proposes compactions on the leader, by time or by number of revisions, as etcd's
// two modes do.
//
// Thread: the apply loop (through that loop's frontend).
#pragma once

#include <cstdint>
#include <deque>

#include "base/log.h"
#include "server/config.h"
#include "server/frontend.h"
#include "server/node_info.h"

namespace quoin::server {

class AutoCompactor {
 public:
  AutoCompactor(const NodeConfig& config, const NodeInfo& info, Frontend& frontend, Logger& log)
      : config_(config), info_(info), frontend_(frontend), log_(log) {}
  void Start();
  void Stop();

 private:
  env::Duration Interval() const;
  void Schedule();
  void Tick();
  // The revision to compact to now, by the configured mode; 0 = none.
  int64_t PeriodicTarget();
  int64_t RevisionTarget() const;
  void Compact(int64_t revision);

  const NodeConfig& config_;
  const NodeInfo& info_;
  Frontend& frontend_;
  Logger& log_;
  env::TimerId timer_;
  std::deque<int64_t> recorded_;  // periodic: one revision per interval, oldest first
  size_t ticks_until_next_ = 0;
  int64_t compacted_ = 0;
  bool under_way_ = false;
  Frontend::Wait wait_;
};

}  // namespace quoin::server

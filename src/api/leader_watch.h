// LeaderWatch: ends a stream that requires a leader when there has been none for three election
// timeouts, as etcd does.
//
// Thread: the call's I/O loop.
#pragma once

#include <functional>
#include <utility>

#include "base/errors.h"
#include "env/executor.h"
#include "rpc/server.h"
#include "server/frontend.h"

namespace quoin::api {

class LeaderWatch {
 public:
  // `on_lost` runs at most once, and may destroy this object. Does nothing for calls without the
  // metadata "hasleader: true".
  LeaderWatch(const rpc::ServerCall& call, server::Frontend& frontend,
              std::function<void(const Status&)> on_lost)
      : frontend_(frontend), on_lost_(std::move(on_lost)) {
    auto wants = call.metadata("hasleader");
    if (wants && *wants == "true") Arm();
  }
  ~LeaderWatch() { frontend_.loop().Cancel(timer_); }

 private:
  static constexpr int kMissedMax = 3;

  void Arm() {
    timer_ = frontend_.loop().RunAfter(frontend_.config().election_timeout, [this] {
      timer_ = {};
      const bool led = frontend_.info().leader.load(std::memory_order_relaxed) != 0;
      missed_ = led ? 0 : missed_ + 1;
      if (missed_ == kMissedMax) return std::exchange(on_lost_, nullptr)(errors::NoLeader());
      Arm();
    });
  }

  server::Frontend& frontend_;
  std::function<void(const Status&)> on_lost_;
  env::TimerId timer_;
  int missed_ = 0;
};

}  // namespace quoin::api

// LeaseDoor: one I/O loop's way to the lease loop: what one turn asks travels together, and so do
// the answers.
//
// Thread: its I/O loop.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "env/executor.h"
#include "server/lease_loop.h"

namespace quoin::server {

class LeaseDoor {
 public:
  // Answers run on `loop`.
  using OnRenewed = LeaseLoop::OnRenewed;
  using OnTimes = LeaseLoop::OnTimes;
  using OnList = absl::AnyInvocable<void(std::vector<int64_t>)>;

  LeaseDoor(LeaseLoop& leases, env::Executor& lease_executor, env::Executor& loop)
      : leases_(leases), lease_executor_(lease_executor), loop_(loop) {}

  void Renew(int64_t id, OnRenewed done);
  void TimeToLive(int64_t id, bool with_keys, OnTimes done);
  void List(OnList done);

 private:
  using Asked = std::vector<std::pair<int64_t, OnRenewed>>;
  void Flush();

  LeaseLoop& leases_;
  env::Executor& lease_executor_;
  env::Executor& loop_;
  Asked gathered_;
};

}  // namespace quoin::server

// Workload: one kind of use of a cluster, and what must be true of it. A run draws which it has.
//
// Thread: the world's; between two events, but for what workloads post themselves.
#pragma once

#include <memory>
#include <string_view>

#include "sim/clients.h"
#include "sim/fleet.h"
#include "sim/observer.h"

namespace quoin::sim {

// What a workload works with. Value type; all outlive it.
struct Stage {
  Fleet& fleet;
  Observer& observer;
  Clients& clients;
};

class Workload {
 public:
  virtual ~Workload() = default;
  // Before any machine is started: draws its shape.
  virtual void Setup() {}
  // Some calls, by way of a member that is up.
  virtual void Start(Host& host) = 0;
  // A member has applied something since it was last looked at: for those that must know soon.
  virtual bool hears_of_changes() const { return false; }
  virtual void OnChange(Host&) {}
  // No fault comes any more: lets time pass until what must come about has. After every heal.
  virtual void Settle() {}
  // All members hold the same and the whole history is known: says what is wrong to the fleet.
  virtual void Check() = 0;
};

std::unique_ptr<Workload> NewKvLoad(const Stage& stage);
std::unique_ptr<Workload> NewCompactionLoad(const Stage& stage);
std::unique_ptr<Workload> NewMembershipLoad(const Stage& stage);
std::unique_ptr<Workload> NewLeaseLoad(const Stage& stage);
std::unique_ptr<Workload> NewWatchLoad(const Stage& stage);
std::unique_ptr<Workload> NewLockLoad(const Stage& stage);
std::unique_ptr<Workload> NewGrpcLoad(const Stage& stage);

}  // namespace quoin::sim

// Faults: what goes wrong in a run, drawn from its seed: power failures, orderly stops, links that
// are cut, reject or reset, delays, slow disks and loops. Some wait for an election, which is when
// they do most harm.
//
// Thread: one.
#pragma once

#include <functional>

#include "sim/fleet.h"
#include "sim/workload.h"

namespace quoin::sim {

// Thread: one.
class Faults {
 public:
  // Draws how this run is treated. `load`: makes some calls by way of a member.
  Faults(Fleet& fleet, std::function<void(Host&)> load);

  // One election follows the other.
  bool restless() const { return restless_; }
  double strike_chance() const { return strike_chance_; }

  void Draw();
  void StrikeAtElection(Host& elected);
  // It is on the way to the host, or written there.
  void StrikeAtSnapshot(Host& host);

 private:
  void ChangeGuard(Host& elected);
  void CutOff(const Host& host, bool in, bool out);
  void Reject(const Host& host);
  void CutClients(const Host& host);

  Prng& random() { return fleet_.random(); }

  Fleet& fleet_;
  const std::function<void(Host&)> load_;
  bool restless_ = false;
  double strike_chance_ = 0;  // of a fault soon after an election
};

}  // namespace quoin::sim

// What must come about once nothing is broken any more: all members apply the same index and hold
// the same, hash for hash, end in an orderly way, and leave sound trees.
//
// Thread: one.
#pragma once

#include "sim/fleet.h"
#include "sim/observer.h"

namespace quoin::sim {

// Each says to the fleet what does not come about.
bool Converge(Fleet& fleet, Observer& observer);
void CompareHashes(Fleet& fleet);
void StopAll(Fleet& fleet);
void CheckTrees(Fleet& fleet);

}  // namespace quoin::sim

// Observer: learns what members hold, revision by revision, so that in the end the whole history of
// the store is known. It looks into members directly, as no client could; what clients hear goes
// into History.
//
// Thread: one; not from a task of a machine, but Read.
#pragma once

#include <cstdint>
#include <optional>

#include "sim/fleet.h"
#include "sim/history.h"

namespace quoin::sim {

// Thread: one.
class Observer {
 public:
  explicit Observer(Fleet& fleet) : fleet_(fleet) {}

  History& history() { return history_; }
  // The member's newest.
  int64_t Revision(Host& host);
  // Everything that the member holds at `*revision` (0: at its newest, which is then told).
  std::optional<Content> Read(Host& host, int64_t* revision);
  // Learns what the member knows and nobody before; and whether what it holds now is what others
  // held.
  void Learn(Host& host);
  // A compaction up to here is about to be asked for: only what has been learned, as the checks
  // need every revision once. 0: there is nothing to compact.
  int64_t DrawCompaction(Host& host);
  int64_t compaction_asked() const { return compaction_asked_; }

 private:
  Fleet& fleet_;
  History history_;
  int64_t compaction_asked_ = 0;
};

}  // namespace quoin::sim

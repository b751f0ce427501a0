// repair: what to do with a directory whose log no server starts with. First says what would be
// lost, then does it.
//
// Thread: one; waits for the disk.
#pragma once

#include <cstdint>
#include <string>

#include "base/log.h"
#include "base/status.h"
#include "env/env.h"
#include "wal/salvage.h"

namespace quoin::utl {

// What the data file holds. Value type.
struct AppliedState {
  uint64_t index = 0;  // 0: there is none
  uint64_t term = 0;
  raft::ConfState members;
};

// Value type.
struct RepairPlan {
  enum class Way : uint8_t {
    kNone,    // the log is sound
    kCut,     // its damaged end is cut off: what stands before reaches as far as the data file
    kNewLog,  // what can be kept of it is no log of its own: a new one begins behind the data file
  };
  Way way = Way::kNone;
  std::string wal_dir;
  std::string refusal;  // why the log is refused
  wal::Salvage salvage;
  AppliedState applied;
};

// Changes nothing. DataLoss when nothing can be made of the directory.
StatusOr<RepairPlan> PlanRepair(env::BlockingFileSystem& files, const std::string& data_dir,
                                const std::string& wal_dir);
// What is replaced is kept under names with `.broken`. REQUIRES: the caller holds the data file's
// lock.
Status CarryOut(env::Env& env, const RepairPlan& plan, Logger& log);

enum class Tense : uint8_t { kWouldBe, kDone };
// For people; several lines.
std::string Describe(const RepairPlan& plan, Tense tense);

}  // namespace quoin::utl

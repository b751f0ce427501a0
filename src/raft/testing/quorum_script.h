// The scripts about quorums (`committed`, `vote`) and about configuration changes (`simple`,
// `enter-joint`, `leave-joint`), which drive those parts without a cluster.
//
// Thread: one.
#pragma once

#include <string>

#include "raft/configuration.h"
#include "raft/testing/datadriven.h"

namespace quoin::raft::testing {

std::string HandleQuorumCase(const Case& one);

// State carries over between the cases of a file.
class ConfChangeScript {
 public:
  std::string Handle(const Case& one);

 private:
  Members members_;
  Index last_index_;
};

}  // namespace quoin::raft::testing

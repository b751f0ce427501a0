// LostLog: tells when a leader's heartbeats prove that this member has lost a part of its log: its
// directory was put back from an older copy, or a disk gave up what it had synced.
//
// A heartbeat commits no further than what the member has acknowledged to that leader
// (raft/heartbeat.cc). One that commits beyond the end of the log therefore speaks of entries that
// were here and are gone. The member must not go on: what it promised is gone with them, its votes
// perhaps too. A new member cannot get such a heartbeat: it has acknowledged nothing yet.
//
// A single message may be forged or sent by mistake. A leader repeats it with each heartbeat, and
// nothing that it sends can mend it; so an election timeout of them in a row is asked for.
//
// Thread: the raft loop.
#pragma once

#include <string>

#include "raft_types/types.h"

namespace quoin::server {

class LostLog {
 public:
  explicit LostLog(int heartbeats_needed) : needed_(heartbeats_needed) {}

  // A heartbeat of the present leader that raft refused. True when it is the one that proves it.
  bool Note(NodeId leader, Term term, Index commit, Index last_index);

 private:
  const int needed_;
  NodeId leader_;
  Term term_;
  Index last_index_;  // a log that grows in between is being mended
  int heartbeats_ = 0;
};

// What etcd says when it meets the first one.
std::string LostLogText(Index commit, Index last_index);

}  // namespace quoin::server

#include "server/lost_log.h"

#include <fmt/format.h>

namespace quoin::server {

bool LostLog::Note(NodeId leader, Term term, Index commit, Index last_index) {
  if (commit <= last_index) return false;  // refused for another reason
  if (leader != leader_ || term != term_ || last_index != last_index_) heartbeats_ = 0;
  leader_ = leader;
  term_ = term;
  last_index_ = last_index;
  return ++heartbeats_ == needed_;
}

std::string LostLogText(Index commit, Index last_index) {
  return fmt::format(
      "tocommit({}) is out of range [lastIndex({})]. Was the raft log corrupted, truncated, or "
      "lost?",
      commit.value(), last_index.value());
}

}  // namespace quoin::server

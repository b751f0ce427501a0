#include "server/raft_status.h"

#include <fmt/format.h>

#include <string_view>

namespace quoin::server {
namespace {

std::string Id(NodeId id) { return fmt::format("{:x}", id.value()); }

std::string_view NameOf(raft::Role role) {
  switch (role) {
    case raft::Role::kFollower:
      return "StateFollower";
    case raft::Role::kPreCandidate:
      return "StatePreCandidate";
    case raft::Role::kCandidate:
      return "StateCandidate";
    case raft::Role::kLeader:
      return "StateLeader";
  }
  return "StateFollower";
}

}  // namespace

std::string RaftStatusJson(const raft::RaftStatus& status) {
  std::string progress;
  for (const auto& peer : status.progress) {
    progress += fmt::format(R"({}"{}":{{"match":{},"next":{},"state":"{}"}})",
                            progress.empty() ? "" : ",", Id(peer.id), peer.match.value(),
                            peer.next.value(), peer.answers ? "StateReplicate" : "StateProbe");
  }
  return fmt::format(
      R"({{"id":"{}","term":{},"vote":"{}","commit":{},"lead":"{}","raftState":"{}","applied":{},)"
      R"("progress":{{{}}},"leadtransferee":"0"}})",
      Id(status.id), status.term.value(), Id(status.vote), status.commit.value(), Id(status.leader),
      NameOf(status.role), status.applied.value(), progress);
}

}  // namespace quoin::server

#include "raft/quorum.h"

namespace quoin::raft {

NodeSet::NodeSet(std::initializer_list<NodeId> ids) : NodeSet(std::vector<NodeId>(ids)) {}

NodeSet::NodeSet(std::vector<NodeId> ids) : ids_(std::move(ids)) {
  std::sort(ids_.begin(), ids_.end());
  ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
}

bool NodeSet::Insert(NodeId id) {
  auto at = std::lower_bound(ids_.begin(), ids_.end(), id);
  if (at != ids_.end() && *at == id) return false;
  ids_.insert(at, id);
  return true;
}

bool NodeSet::Erase(NodeId id) {
  auto at = std::lower_bound(ids_.begin(), ids_.end(), id);
  if (at == ids_.end() || *at != id) return false;
  ids_.erase(at);
  return true;
}

size_t SymmetricDifference(const NodeSet& a, const NodeSet& b) {
  size_t shared = 0;
  for (NodeId id : a) shared += b.Contains(id) ? 1 : 0;
  return a.size() + b.size() - 2 * shared;
}

NodeSet JointQuorum::All() const {
  NodeSet all = incoming.voters;
  for (NodeId id : outgoing.voters) all.Insert(id);
  return all;
}

}  // namespace quoin::raft

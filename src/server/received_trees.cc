#include "server/received_trees.h"

#include <utility>

#include "base/check.h"

namespace quoin::server {

Status ReceivedTrees::Add(Index index, const std::string& path, std::shared_ptr<Data> data) {
  RETURN_IF_ERROR(files_.Rename(path, paths_.ReceivedTree(index)));
  Tree& tree = trees_[index];
  tree.data = std::move(data);
  ++tree.messages;
  Status status = files_.SyncDirectory(paths_.snap);
  if (!status.ok()) DropHere(index);  // its sender hears of it, raft does not
  return status;
}

StatusOr<std::shared_ptr<Data>> ReceivedTrees::Take(Index index) {
  auto found = trees_.find(index);
  CHECK(found != trees_.end()) << "raft took a snapshot without a tree, at index " << index.value();
  std::shared_ptr<Data> data = std::move(found->second.data);
  trees_.erase(found);
  RETURN_IF_ERROR(files_.Rename(paths_.ReceivedTree(index), paths_.db));
  RETURN_IF_ERROR(files_.SyncDirectory(paths_.snap));
  return data;
}

void ReceivedTrees::Drop(Index index) {
  bulk_.Post([this, index] { DropHere(index); });
}

// Nothing is there when another message brought the same index, and raft has taken that one.
void ReceivedTrees::DropHere(Index index) {
  auto found = trees_.find(index);
  if (found == trees_.end() || --found->second.messages > 0) return;
  trees_.erase(found);
  (void)files_.Remove(paths_.ReceivedTree(index));  // what stays is removed at the next start
}

}  // namespace quoin::server

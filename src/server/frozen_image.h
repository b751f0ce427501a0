// FrozenImage: a frozen root of the tree on loan from the apply loop, and where in the log it
// stands. Whoever drops the last reference, on whatever loop, gives it back.
//
// Thread: any; the image is read on the storage loop.
#pragma once

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "raft_types/types.h"
#include "server/data.h"

namespace quoin::server {

struct FrozenImage {
  ~FrozenImage() { give_back(std::move(data), std::move(image)); }

  std::shared_ptr<Data> data;
  std::unique_ptr<btree::Image> image;
  raft::SnapshotMetadata metadata;
  std::string membership_json;  // as it goes into MsgSnap
  absl::AnyInvocable<void(std::shared_ptr<Data>, std::unique_ptr<btree::Image>)> give_back;
};

}  // namespace quoin::server

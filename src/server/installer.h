// Installer: puts a leader's snapshot into the place of the present generation.
//
// Thread: the apply loop; the file is named on the bulk loop.
#pragma once

#include <functional>
#include <memory>

#include "server/apply_context.h"
#include "server/received_trees.h"

namespace quoin::server {

class Installer {
 public:
  enum class Stage : uint8_t {
    kIdle,
    kWaiting,  // for what is under way on the present generation
    kNaming,   // the received file is taking the place of the present one
  };
  // `named`: the file of the snapshot is in place, and open. Calls Finish.
  using OnNamed = std::function<void(std::shared_ptr<Data>)>;
  Installer(ApplyContext& context, ReceivedTrees& received, OnNamed named)
      : context_(context), received_(received), named_(std::move(named)) {}

  // kIdle → kWaiting. `installed` runs in Finish.
  void Await(raft::SnapshotMetadata metadata, env::Task installed);
  // kWaiting → kNaming, once nothing is under way on the present generation.
  void Begin();
  // kNaming → kIdle: the caller has replaced the present generation.
  env::Task Finish();

  Stage stage() const { return stage_; }
  // Of the snapshot that is being installed.
  const raft::SnapshotMetadata& metadata() const { return metadata_; }

 private:
  ApplyContext& context_;
  ReceivedTrees& received_;
  const OnNamed named_;
  Stage stage_ = Stage::kIdle;
  raft::SnapshotMetadata metadata_;
  env::Task installed_;
};

}  // namespace quoin::server

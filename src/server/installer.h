// Installer: keeps tree files that were received from a leader, opened, until raft says what
// becomes of them; and puts one into the place of the present file.
//
// Thread: the apply loop; files are named and opened on the bulk loop.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "server/apply_context.h"

namespace quoin::server {

class Installer {
 public:
  enum class Stage : uint8_t {
    kIdle,
    kWaiting,  // for what is under way on the present generation
    kNaming,   // the received file is taking the place of the present one
  };
  // `named`: the file of the snapshot is in place, and opened. Calls Finish.
  using OnNamed = std::function<void(std::shared_ptr<Data>)>;
  Installer(ApplyContext& context, OnNamed named) : context_(context), named_(std::move(named)) {}

  // A tree file has arrived whole, and was opened.
  void OnReceived(Index index, std::shared_ptr<Data> data);
  void DropReceived(Index index) { TakeReceived(index); }
  void DropAll() { received_.clear(); }

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
  struct Received {
    Index index;
    std::shared_ptr<Data> data;
  };
  std::shared_ptr<Data> TakeReceived(Index index);
  std::shared_ptr<Data> NameAndOpen(Index index, std::shared_ptr<Data> received);

  ApplyContext& context_;
  const OnNamed named_;
  Stage stage_ = Stage::kIdle;
  raft::SnapshotMetadata metadata_;
  env::Task installed_;
  std::vector<Received> received_;
};

}  // namespace quoin::server

#include "server/installer.h"

#include <string>
#include <utility>

#include "base/check.h"
#include "base/unknown.h"

namespace quoin::server {
namespace {

constexpr size_t kReceivedMax = 2;

}  // namespace

void Installer::OnReceived(Index index, std::shared_ptr<Data> data) {
  // Raft says of each one what becomes of it, but for those that the transport lost on the way.
  if (received_.size() == kReceivedMax) DropReceived(received_.front().index);
  received_.push_back({index, std::move(data)});
}

// Null when there is none. What is let go of ends on another loop.
std::shared_ptr<Data> Installer::TakeReceived(Index index) {
  std::shared_ptr<Data> data;
  for (auto received = received_.begin(); received != received_.end();) {
    if (received->index != index) {
      ++received;
      continue;
    }
    data = std::move(received->data);
    received = received_.erase(received);
    context_.loops.bulk.Post([data] {});
  }
  return data;
}

void Installer::Await(raft::SnapshotMetadata metadata, env::Task installed) {
  CHECK(stage_ == Stage::kIdle);
  stage_ = Stage::kWaiting;
  metadata_ = std::move(metadata);
  installed_ = std::move(installed);
}

// The file gets its name elsewhere: the apply loop waits for no disk.
void Installer::Begin() {
  CHECK(stage_ == Stage::kWaiting);
  stage_ = Stage::kNaming;
  const Index index = metadata_.index;
  context_.loops.bulk.Post([this, index, received = TakeReceived(index)]() mutable {
    std::shared_ptr<Data> opened = NameAndOpen(index, std::move(received));
    context_.loops.apply.Post(
        [this, opened = std::move(opened)]() mutable { named_(std::move(opened)); });
  });
}

// Thread: the bulk loop.
std::shared_ptr<Data> Installer::NameAndOpen(Index index, std::shared_ptr<Data> received) {
  env::BlockingFileSystem& files = context_.files.blocking();
  Status status = files.Rename(context_.paths.ReceivedTree(index), context_.paths.db);
  if (status.ok()) status = files.SyncDirectory(context_.paths.snap);
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
  if (received != nullptr) return received;
  StatusOr<std::shared_ptr<Data>> opened =
      OpenData(files, context_.paths.db, context_.config, context_.log);
  if (absl::IsFailedPrecondition(opened.status()))  // of a later version
    DieOnUnknown("the leader's snapshot at log index " + std::to_string(index.value()) + ": " +
                 std::string(opened.status().message()));
  if (!opened.ok()) DieOnDiskError(std::string(opened.status().message()));
  return *std::move(opened);
}

env::Task Installer::Finish() {
  CHECK(stage_ == Stage::kNaming);
  stage_ = Stage::kIdle;
  metadata_ = {};
  return std::exchange(installed_, nullptr);
}

}  // namespace quoin::server

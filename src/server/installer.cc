#include "server/installer.h"

#include <string>
#include <utility>

#include "base/check.h"

namespace quoin::server {

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
  context_.loops.bulk.Post([this, index = metadata_.index] {
    StatusOr<std::shared_ptr<Data>> data = received_.Take(index);
    if (!data.ok()) DieOnDiskError(std::string(data.status().message()));
    context_.loops.apply.Post(
        [this, data = *std::move(data)]() mutable { named_(std::move(data)); });
  });
}

env::Task Installer::Finish() {
  CHECK(stage_ == Stage::kNaming);
  stage_ = Stage::kIdle;
  metadata_ = {};
  return std::exchange(installed_, nullptr);
}

}  // namespace quoin::server

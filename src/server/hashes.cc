#include "server/hashes.h"

#include <utility>

#include "base/errors.h"
#include "server/node.h"

namespace quoin::server {
namespace {

constexpr size_t kWaitingMax = 64;

Status TooMany() { return absl::ResourceExhaustedError("quoin: too many hashes are asked for"); }

}  // namespace

void Hashes::HashKeys(int64_t revision, Wanted wanted, OnKeys done) {
  struct Run {
    std::shared_ptr<StorageReader> reader;  // of one generation, to the end
    std::optional<mvcc::HashRun> run;
    OnKeys done;
  };
  node_.storage_loop().Post([this, revision, wanted = std::move(wanted),
                             run = std::make_shared<Run>(Run{{}, {}, std::move(done)})] {
    const Status added = Add(wanted, [this, revision, run] {
      if (run->reader == nullptr) {
        run->reader = node_.storage_reader();
        run->run.emplace(run->reader->store(), revision);
      }
      const StatusOr<bool> ended = run->run->Slice(run->reader->slot);
      if (ended.ok() && !*ended) return false;
      ended.ok() ? run->done(run->run->result()) : run->done(ended.status());
      return true;
    });
    if (!added.ok()) run->done(added);
  });
}

void Hashes::HashTree(Wanted wanted, OnTree done) {
  node_.WithFrozenImage(
      [this, wanted, done = std::move(done)](std::shared_ptr<FrozenImage> frozen) mutable {
        node_.storage_loop().Post([this, frozen = std::move(frozen), wanted = std::move(wanted),
                                   done = std::move(done)]() mutable {
          HashImage(std::move(frozen), std::move(wanted), std::move(done));
        });
      },
      wanted);
}

void Hashes::HashImage(std::shared_ptr<FrozenImage> frozen, Wanted wanted, OnTree done) {
  if (frozen == nullptr) return done(TooMany());
  auto answer = std::make_shared<OnTree>(std::move(done));
  auto run = std::make_unique<mvcc::TreeHashRun>(*frozen->data->tree, *frozen->image,
                                                 mvcc::Volatile::kSkipped);
  const Status added =
      Add(std::move(wanted), [frozen = std::move(frozen), run = std::move(run), answer] {
        const StatusOr<bool> ended = run->Slice();
        if (ended.ok() && !*ended) return false;
        ended.ok() ? (*answer)(run->hash()) : (*answer)(ended.status());
        return true;
      });
  if (!added.ok()) (*answer)(added);
}

Status Hashes::Add(Wanted wanted, Slice slice) {
  if (stopped_) return errors::Stopped();
  std::erase_if(jobs_, [](const Job& job) { return !IsWanted(job.wanted); });
  if (jobs_.size() >= kWaitingMax) return TooMany();
  jobs_.push_back({std::move(wanted), std::move(slice)});
  if (!std::exchange(running_, true)) node_.storage_loop().Post([this] { Turn(); });
  return OkStatus();
}

void Hashes::Turn() {
  while (!jobs_.empty() && !IsWanted(jobs_.front().wanted)) jobs_.pop_front();
  running_ = !jobs_.empty();
  if (!running_) return;
  if (jobs_.front().slice()) jobs_.pop_front();
  node_.storage_loop().Post([this] { Turn(); });
}

void Hashes::Stop() {
  stopped_ = true;
  jobs_.clear();
}

}  // namespace quoin::server

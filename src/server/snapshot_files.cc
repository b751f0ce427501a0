#include "server/snapshot_files.h"

#include <algorithm>
#include <utility>

#include "base/lifeline.h"
#include "base/unknown.h"
#include "env/blocking.h"
#include "server/data.h"

namespace quoin::server {
namespace {

constexpr size_t kReadBytes = 1 << 20;  // one trip to storage; a multiple of every page size
constexpr uint64_t kSyncEveryBytes = 8 << 20;

class ImageSource final : public peer::SnapshotSource {
 public:
  ImageSource(std::shared_ptr<FrozenImage> image, env::Executor& peer, env::Executor& storage)
      : image_(std::move(image)),
        copy_(std::make_shared<btree::RawCopy>(*image_->image)),
        size_bytes_(image_->image->size_bytes()),
        peer_(peer),
        storage_(storage) {}

  uint64_t size_bytes() const override { return size_bytes_; }

  void Read(size_t bytes_max, absl::AnyInvocable<void(StatusOr<std::string>)> done) override {
    if (at_ < piece_.size() || offset_ == size_bytes_) {
      std::string bytes = piece_.substr(at_, bytes_max);
      at_ += bytes.size();
      return peer_.Post(lifeline_.Tie([bytes = std::move(bytes), done = std::move(done)]() mutable {
        done(std::move(bytes));
      }));
    }
    auto take =
        lifeline_.Tie([this, bytes_max, done = std::move(done)](StatusOr<std::string> b) mutable {
          Take(std::move(b), bytes_max, std::move(done));
        });
    storage_.Post([image = image_, copy = copy_, &peer = peer_, take = std::move(take)]() mutable {
      StatusOr<std::string> bytes = copy->Next(kReadBytes);
      peer.Post([image = std::move(image), copy = std::move(copy), bytes = std::move(bytes),
                 take = std::move(take)]() mutable { take(std::move(bytes)); });
    });
  }

 private:
  void Take(StatusOr<std::string> bytes, size_t bytes_max,
            absl::AnyInvocable<void(StatusOr<std::string>)> done) {
    if (!bytes.ok()) return done(bytes.status());
    piece_ = *std::move(bytes);
    offset_ += piece_.size();
    at_ = std::min(bytes_max, piece_.size());
    done(piece_.substr(0, at_));
  }

  const std::shared_ptr<FrozenImage> image_;
  const std::shared_ptr<btree::RawCopy> copy_;  // used on the storage loop
  const uint64_t size_bytes_;
  env::Executor& peer_;
  env::Executor& storage_;
  std::string piece_;
  size_t at_ = 0;
  uint64_t offset_ = 0;  // of what comes after piece_
  Lifeline lifeline_;
};

// The file while it arrives. Used on the bulk loop, in the order of the sink's calls.
class Arriving {
 public:
  Arriving(raft::Message message, ReceivedTreeHost host, uint64_t number)
      : message_(std::move(message)),
        host_(std::move(host)),
        files_(host_.files.blocking()),
        path_(host_.paths.snap + "/tmp" + std::to_string(number)) {}
  ~Arriving() {
    file_.reset();
    if (!named_) (void)files_.Remove(path_);
  }

  Status Write(std::string_view bytes) {
    if (file_ == nullptr) {
      ASSIGN_OR_RETURN(file_, files_.Open(path_, env::OpenMode::kCreateTrunc));
    }
    RETURN_IF_ERROR(file_->blocking().Write(size_, bytes));
    size_ += bytes.size();
    // All at once at the end would hold up the disk for everybody who syncs meanwhile.
    if (size_ - synced_ < kSyncEveryBytes) return OkStatus();
    synced_ = size_;
    return file_->blocking().Sync();
  }

  // What fails here fails while the member still has its own state.
  Status Finish() {
    if (file_ == nullptr) return absl::DataLossError("a snapshot without a tree file");
    RETURN_IF_ERROR(file_->blocking().Sync());
    file_.reset();
    StatusOr<std::shared_ptr<Data>> data = OpenData(files_, path_, host_.config, host_.log);
    // The cluster has gone where this version cannot follow; the leader would send it without end.
    if (absl::IsUnimplemented(data.status()))
      DieOnUnknown("a leader's snapshot: " + std::string(data.status().message()));
    RETURN_IF_ERROR(data.status());
    const Index held = (*data)->machine->applied_index(), index = message_.snapshot.metadata.index;
    if (held != index) {
      return absl::DataLossError("the tree file of a snapshot at index " +
                                 std::to_string(index.value()) + " holds index " +
                                 std::to_string(held.value()));
    }
    RETURN_IF_ERROR(host_.trees.Add(index, path_, *std::move(data)));
    named_ = true;
    host_.stored(std::move(message_));
    return OkStatus();
  }

 private:
  raft::Message message_;
  const ReceivedTreeHost host_;
  env::BlockingFileSystem& files_;
  const std::string path_;
  std::unique_ptr<env::File> file_;
  uint64_t size_ = 0;
  uint64_t synced_ = 0;
  bool named_ = false;
};

class ReceivedTree final : public peer::SnapshotSink {
 public:
  ReceivedTree(const raft::Message& message, uint64_t number, ReceivedTreeHost host)
      : peer_(host.peer),
        bulk_(host.bulk),
        file_(std::make_shared<Arriving>(message, std::move(host), number)) {}
  ~ReceivedTree() override {
    bulk_.Post([file = std::move(file_)] {});
  }

  void Write(std::string bytes, absl::AnyInvocable<void(Status)> done) override {
    Run([bytes = std::move(bytes)](Arriving& file) { return file.Write(bytes); }, std::move(done));
  }
  void Finish(absl::AnyInvocable<void(Status)> done) override {
    Run([](Arriving& file) { return file.Finish(); }, std::move(done));
  }

 private:
  void Run(absl::AnyInvocable<Status(Arriving&)> work, absl::AnyInvocable<void(Status)> done) {
    bulk_.Post([file = file_, work = std::move(work), &peer = peer_,
                done = lifeline_.Tie(std::move(done))]() mutable {
      peer.Post(
          [done = std::move(done), status = work(*file)]() mutable { done(std::move(status)); });
    });
  }

  env::Executor& peer_;
  env::Executor& bulk_;
  std::shared_ptr<Arriving> file_;
  Lifeline lifeline_;
};

}  // namespace

std::unique_ptr<peer::SnapshotSource> NewImageSource(std::shared_ptr<FrozenImage> image,
                                                     env::Executor& peer, env::Executor& storage) {
  return std::make_unique<ImageSource>(std::move(image), peer, storage);
}

std::unique_ptr<peer::SnapshotSink> NewReceivedTree(const raft::Message& message, uint64_t number,
                                                    ReceivedTreeHost host) {
  return std::make_unique<ReceivedTree>(message, number, std::move(host));
}

}  // namespace quoin::server

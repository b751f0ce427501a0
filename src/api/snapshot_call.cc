// Maintenance.Snapshot: the data file as one frozen moment, streamed at the client's pace. A client
// that takes next to nothing is cut off: what is frozen cannot be used anew, and others wait.

#include <openssl/evp.h>

#include <utility>

#include "api/maintenance_service.h"
#include "base/check.h"
#include "base/limits.h"
#include "proto/rpc.pb.h"
#include "server/wanted.h"

namespace quoin::api {
namespace {

constexpr size_t kReadBytes = 8 * limits::kSnapshotChunkBytes;  // one trip to storage
constexpr env::Duration kLookEvery = std::chrono::seconds(5);
// What a client has to take within limits::kSnapshotIdleMax; more while others wait for an image.
constexpr uint64_t kLeastBytes = 1 << 20;
constexpr uint64_t kLeastWhenAwaited = 16 << 20;

// SHA-256 of what has been sent so far.
class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new()) {
    CHECK_EQ(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr), 1);
  }
  ~Digest() { EVP_MD_CTX_free(context_); }
  void Update(std::string_view data) {
    CHECK_EQ(EVP_DigestUpdate(context_, data.data(), data.size()), 1);
  }
  std::string Final() {
    std::string out(32, '\0');
    unsigned int size = 0;
    CHECK_EQ(EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(out.data()), &size), 1);
    CHECK_EQ(size, out.size());
    return out;
  }

 private:
  EVP_MD_CTX* context_;
};

class SnapshotCall final : public rpc::CallHandler {
 public:
  SnapshotCall(const Context& context, rpc::ServerCall& call)
      : node_(context.node()), frontend_(context.FrontendOf(call.executor())), call_(call) {}
  ~SnapshotCall() override { LetGo(); }

  void OnMessage(std::string_view) override {
    Status admitted = AdmitCall(call_, frontend_, /*learner_may=*/true);
    if (!admitted.ok()) return call_.Finish(admitted);
    using Frozen = std::shared_ptr<server::FrozenImage>;
    node_.WithFrozenImage(BackTo<Frozen>(frontend_.loop(), lifeline_,
                                         [this](Frozen frozen) { Begin(std::move(frozen)); }),
                          want_.wanted());
  }
  void OnDrained() override { ReadNext(); }
  void OnCancel(const Status&) override { LetGo(); }

 private:
  // What the storage loop reads, one piece after another.
  struct Source {
    explicit Source(std::shared_ptr<server::FrozenImage> image)
        : frozen(std::move(image)), copy(*frozen->image) {}
    const std::shared_ptr<server::FrozenImage> frozen;
    btree::RawCopy copy;
  };

  void Begin(std::shared_ptr<server::FrozenImage> frozen) {
    if (frozen == nullptr)
      return call_.Finish(absl::ResourceExhaustedError("quoin: too many snapshots are asked for"));
    size_ = frozen->image->size_bytes();
    source_ = std::make_shared<Source>(std::move(frozen));
    taken_at_ = frontend_.loop().clock().Now();
    WatchClient();
    ReadNext();
  }

  void ReadNext() {
    if (source_ == nullptr || reading_ || !call_.has_room()) return;
    if (offset_ == size_) return End();
    reading_ = true;
    using Bytes = StatusOr<std::string>;
    node_.storage_loop().Post(
        [source = source_,
         done = BackTo<Bytes>(frontend_.loop(), lifeline_, [this](const Bytes& bytes) {
           SendBytes(bytes);
         })]() mutable { done(source->copy.Next(kReadBytes)); });
  }

  // What the connection has taken of the messages tells how fast the client is.
  void WatchClient() {
    watch_ = frontend_.loop().RunAfter(kLookEvery, [this] {
      watch_ = {};
      if (IsTooSlow()) return CutOff();
      WatchClient();
    });
  }
  bool IsTooSlow() {
    const env::Duration now = frontend_.loop().clock().Now();
    const uint64_t taken = sent_bytes_ - call_.unsent_bytes();
    const bool has_all = reading_ || call_.unsent_bytes() == 0;
    const bool awaited = frontend_.info().images_awaited.load(std::memory_order_relaxed) > 0;
    if (has_all || taken - taken_ >= (awaited ? kLeastWhenAwaited : kLeastBytes)) {
      taken_ = taken;
      taken_at_ = now;
    }
    return now - taken_at_ >= limits::kSnapshotIdleMax;
  }
  void LetGo() {
    if (watch_.value != 0) frontend_.loop().Cancel(std::exchange(watch_, {}));
    source_.reset();
    want_.Withdraw();
    lifeline_.Cut();
  }
  void CutOff() {
    LetGo();
    call_.Finish(absl::ResourceExhaustedError("quoin: the snapshot was taken too slowly"));
  }

  void SendBytes(const StatusOr<std::string>& bytes) {
    reading_ = false;
    if (!bytes.ok()) return call_.Finish(bytes.status());
    digest_.Update(*bytes);
    for (size_t at = 0; at < bytes->size(); at += limits::kSnapshotChunkBytes) {
      std::string_view blob = std::string_view(*bytes).substr(at, limits::kSnapshotChunkBytes);
      offset_ += blob.size();
      SendBlob(size_ - offset_, blob);
    }
    ReadNext();
  }

  void SendBlob(uint64_t remaining, std::string_view blob) {
    etcdserverpb::SnapshotResponse response;
    response.set_remaining_bytes(remaining);
    response.set_blob(blob.data(), blob.size());
    response.set_version(frontend_.cluster()->storage_version);
    std::string message = response.SerializeAsString();
    sent_bytes_ += message.size();
    call_.Send(std::move(message));
  }

  void End() {
    LetGo();
    SendBlob(0, digest_.Final());
    call_.Finish(OkStatus());
  }

  server::Node& node_;
  server::Frontend& frontend_;
  rpc::ServerCall& call_;
  std::shared_ptr<Source> source_;
  uint64_t size_ = 0, offset_ = 0;  // of the file
  uint64_t sent_bytes_ = 0;         // of messages
  uint64_t taken_ = 0;
  env::Duration taken_at_{0};
  env::TimerId watch_;
  bool reading_ = false;
  Digest digest_;
  server::Want want_;
  Lifeline lifeline_;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewSnapshotCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<SnapshotCall>(context, call);
}

}  // namespace quoin::api

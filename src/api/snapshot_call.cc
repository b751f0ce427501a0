// Maintenance.Snapshot: the data file as one frozen moment, streamed at the client's pace.

#include <openssl/evp.h>

#include "api/maintenance_service.h"
#include "base/check.h"
#include "base/limits.h"
#include "proto/rpc.pb.h"

namespace quoin::api {
namespace {

constexpr size_t kReadBytes = 8 * limits::kSnapshotChunkBytes;  // one trip to storage

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

  void OnMessage(std::string_view) override {
    Status admitted = AdmitCall(call_, frontend_, /*learner_may=*/true);
    if (!admitted.ok()) return call_.Finish(admitted);
    using Frozen = std::shared_ptr<server::FrozenImage>;
    node_.WithFrozenImage(BackTo<Frozen>(frontend_.loop(), lifeline_,
                                         [this](Frozen frozen) { Begin(std::move(frozen)); }));
  }
  void OnDrained() override { ReadNext(); }
  void OnCancel(const Status&) override { lifeline_.Cut(); }

 private:
  void Begin(std::shared_ptr<server::FrozenImage> frozen) {
    frozen_ = std::move(frozen);
    ReadNext();
  }

  void ReadNext() {
    if (frozen_ == nullptr || reading_ || !call_.has_room())
      return;
    const uint64_t size = frozen_->image->size_bytes();
    if (offset_ == size) return End();
    reading_ = true;
    const size_t n = static_cast<size_t>(std::min<uint64_t>(kReadBytes, size - offset_));
    using Bytes = StatusOr<std::string>;
    node_.storage_loop().Post(
        [frozen = frozen_, offset = offset_, n,
         done = BackTo<Bytes>(frontend_.loop(), lifeline_, [this](const Bytes& bytes) {
           SendBytes(bytes);
         })]() mutable { done(frozen->image->ReadRaw(offset, n)); });
  }

  void SendBytes(const StatusOr<std::string>& bytes) {
    reading_ = false;
    if (!bytes.ok()) return call_.Finish(bytes.status());
    const uint64_t size = frozen_->image->size_bytes();
    digest_.Update(*bytes);
    for (size_t at = 0; at < bytes->size(); at += limits::kSnapshotChunkBytes) {
      std::string_view blob = std::string_view(*bytes).substr(at, limits::kSnapshotChunkBytes);
      offset_ += blob.size();
      SendBlob(size - offset_, blob);
    }
    ReadNext();
  }

  void SendBlob(uint64_t remaining, std::string_view blob) {
    etcdserverpb::SnapshotResponse response;
    response.set_remaining_bytes(remaining);
    response.set_blob(blob.data(), blob.size());
    response.set_version(frontend_.cluster()->storage_version);
    call_.Send(response.SerializeAsString());
  }

  void End() {
    SendBlob(0, digest_.Final());
    call_.Finish(OkStatus());
  }

  server::Node& node_;
  server::Frontend& frontend_;
  rpc::ServerCall& call_;
  std::shared_ptr<server::FrozenImage> frozen_;
  uint64_t offset_ = 0;
  bool reading_ = false;
  Digest digest_;
  Lifeline lifeline_;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewSnapshotCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<SnapshotCall>(context, call);
}

}  // namespace quoin::api

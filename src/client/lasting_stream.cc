#include "client/lasting_stream.h"

#include <algorithm>
#include <utility>

namespace quoin::client {
namespace {

constexpr env::Duration kPause = std::chrono::milliseconds(25);
constexpr env::Duration kPauseMax = std::chrono::seconds(1);
constexpr int kDoublingsMax = 6;

}  // namespace

// One stream of one channel. Lives until that has ended, whoever has lost interest.
class LastingStream::Connection final : public rpc::ClientStream::Handler {
 public:
  explicit Connection(LastingStream& owner) : owner_(&owner) {}

  void Opened(std::unique_ptr<rpc::ClientStream> stream, size_t endpoint) {
    stream_ = std::move(stream);
    if (owner_ != nullptr) owner_->OnOpened(endpoint);
  }
  void OnMessage(std::string_view message) override {
    if (owner_ != nullptr) owner_->OnMessage(message);
  }
  void OnEnd(const Status& status) override {
    if (owner_ != nullptr) owner_->OnEnd(status);
  }
  void Send(std::string message) {
    if (stream_ != nullptr) stream_->Send(std::move(message));
  }
  void Forget() { owner_ = nullptr; }

 private:
  LastingStream* owner_;
  std::unique_ptr<rpc::ClientStream> stream_;
};

void LastingStream::Open() {
  auto connection = std::make_shared<Connection>(*this);
  connection_ = connection;
  client_.OpenStream(method_, std::nullopt, *connection,
                     [connection](std::unique_ptr<rpc::ClientStream> stream, size_t endpoint) {
                       connection->Opened(std::move(stream), endpoint);
                     });
}

void LastingStream::Send(std::string message) {
  if (connection_ != nullptr) connection_->Send(std::move(message));
}

void LastingStream::Close() {
  loop_.Cancel(std::exchange(retry_, {}));
  Drop();
}

// The stream may be calling us: it ends after this turn.
void LastingStream::Drop() {
  endpoint_.reset();
  if (connection_ == nullptr) return;
  connection_->Forget();
  loop_.Post([connection = std::exchange(connection_, nullptr)] {});
}

void LastingStream::Move(env::Duration patience) {
  if (!endpoint_) return;
  client_.Doubt(*endpoint_, patience);
  if (!MayMove()) return;
  Drop();
  Open();
}

void LastingStream::OnOpened(size_t endpoint) {
  endpoint_ = endpoint;
  user_.OnOpened();
}

void LastingStream::OnMessage(std::string_view message) {
  failures_ = 0;
  user_.OnMessage(message);
}

void LastingStream::OnEnd(const Status& status) {
  if (endpoint_) client_.Leave(*endpoint_);
  Drop();
  if (!user_.OnBroken(status)) return;
  const env::Duration pause =
      std::min<env::Duration>(kPause * (1 << std::min(failures_++, kDoublingsMax)), kPauseMax);
  retry_ = loop_.RunAfter(pause, [this] {
    retry_ = {};
    Open();
  });
}

}  // namespace quoin::client

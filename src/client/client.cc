#include "client/client.h"

#include <future>

#include "base/check.h"

namespace quoin::client {
namespace {

// A copy that shares nothing with `status`: what goes to another thread has one owner. (Shared
// errors count their references inside a library that the thread sanitizer cannot look into.)
Status Detached(const Status& status) {
  if (status.ok()) return status;
  Status copy(status.code(), status.message());
  status.ForEachPayload([&](absl::string_view name, const absl::Cord& payload) {
    copy.SetPayload(name, absl::Cord(std::string(payload)));
  });
  return copy;
}

StatusOr<std::string> Detached(StatusOr<std::string> bytes) {
  if (bytes.ok()) return bytes;
  return Detached(bytes.status());
}

// Passes a server's stream on and remembers how it ended. Lives on the loop.
class StreamReader : public rpc::ClientStream::Handler {
 public:
  StreamReader(std::string request, absl::FunctionRef<Status(std::string_view)> take,
               std::promise<Status> done)
      : request_(std::move(request)), take_(take), done_(std::move(done)) {}

  void Opened(std::unique_ptr<rpc::ClientStream> stream) {
    stream_ = std::move(stream);
    if (ended_) return;
    stream_->Send(std::move(request_));
    stream_->HalfClose();
  }

  void OnMessage(std::string_view message) override {
    if (ended_) return;
    if (Status status = take_(message); !status.ok()) {
      End(status);  // before Cancel, which ends the stream in its own words
      stream_->Cancel();
    }
  }

  void OnEnd(const Status& status) override { End(status); }

 private:
  void End(const Status& status) {
    if (std::exchange(ended_, true)) return;
    done_.set_value(Detached(status));
  }

  std::string request_;
  absl::FunctionRef<Status(std::string_view)> take_;
  std::promise<Status> done_;
  std::unique_ptr<rpc::ClientStream> stream_;
  bool ended_ = false;
};

}  // namespace

Status StoppedWaiting() { return absl::CancelledError("context canceled"); }

void ArrivalBox::Put(Arrival arrival) {
  const std::lock_guard lock(mutex_);
  arrival_ = std::move(arrival);
  came_.notify_one();
}

Arrival ArrivalBox::Take(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!came_.wait(lock, stop, [this] { return arrival_.has_value(); })) return {StoppedWaiting()};
  return *std::move(arrival_);
}

Client::Client(env::Env& env, env::Executor& loop, ClientOptions options) : loop_(loop) {
  RunOnLoop([&] { async_ = std::make_unique<AsyncClient>(env, loop, std::move(options)); });
}

Client::~Client() {
  RunOnLoop([&] { async_.reset(); });
}

void Client::RunOnLoop(absl::FunctionRef<void()> task) {
  CHECK(!loop_.IsCurrent()) << "a loop cannot wait for itself";
  std::promise<void> promise;
  std::future<void> ran = promise.get_future();
  loop_.Post([task, promise = std::move(promise)]() mutable {
    task();
    promise.set_value();
  });
  ran.wait();
}

std::shared_ptr<ArrivalBox> Client::StartBytes(const MethodInfo& method, std::string request,
                                               Timeout timeout) {
  CHECK(!loop_.IsCurrent());
  auto box = std::make_shared<ArrivalBox>();
  loop_.Post([this, method, request = std::move(request), timeout, box]() mutable {
    const env::Duration started = loop_.clock().Now();
    async_->Unary(method, std::move(request), timeout,
                  [this, started, box = std::move(box)](StatusOr<std::string> bytes) {
                    box->Put({Detached(std::move(bytes)), loop_.clock().Now() - started});
                  });
  });
  return box;
}

Status Client::ReadStreamBytes(const MethodInfo& method, std::string request, Timeout timeout,
                               absl::FunctionRef<Status(std::string_view)> take) {
  std::promise<Status> done;
  std::future<Status> end = done.get_future();
  std::unique_ptr<StreamReader> reader;
  RunOnLoop([&] {
    reader = std::make_unique<StreamReader>(std::move(request), take, std::move(done));
    async_->OpenStream(method, timeout, *reader,
                       [&reader](std::unique_ptr<rpc::ClientStream> stream, size_t) {
                         reader->Opened(std::move(stream));
                       });
  });
  const Status status = end.get();
  RunOnLoop([&] { reader.reset(); });
  return status;
}

}  // namespace quoin::client

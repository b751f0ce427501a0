// FakeCluster: channels whose streams the test answers by hand.
//
// Thread: the test's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/async_client.h"
#include "client/testing/manual_loop.h"

namespace quoin::client::testing_support {

// One stream that a client has opened. Value type.
struct FakeStream {
  std::string address;
  rpc::ClientStream::Handler* handler = nullptr;  // null: ended, or its user let go of it
  std::vector<std::string> sent;

  void End(const Status& status) { std::exchange(handler, nullptr)->OnEnd(status); }
};

// Thread: the test's.
class FakeCluster {
 public:
  std::unique_ptr<AsyncClient> NewClient(const std::vector<std::string>& addresses) {
    ClientOptions options;
    for (const std::string& address : addresses)
      options.endpoints.push_back(*ParseEndpoint(address));
    return std::make_unique<AsyncClient>(loop_, options, [this](const Endpoint& endpoint) {
      return std::make_unique<Channel>(*this, endpoint.address);
    });
  }
  ManualLoop& loop() { return loop_; }
  FakeStream& last_stream() { return *streams_.back(); }
  const std::vector<std::string>& probed() const { return probed_; }
  int streams_open() const {
    int open = 0;
    for (const auto& stream : streams_) open += stream->handler != nullptr;
    return open;
  }

 private:
  // A user's handle. Thread: the test's.
  class Handle final : public rpc::ClientStream {
   public:
    explicit Handle(std::shared_ptr<FakeStream> stream) : stream_(std::move(stream)) {}
    ~Handle() override { stream_->handler = nullptr; }
    void Send(std::string message) override { stream_->sent.push_back(std::move(message)); }
    void HalfClose() override {}
    void Cancel() override { stream_->End(absl::CancelledError("context canceled")); }

   private:
    std::shared_ptr<FakeStream> stream_;
  };
  // Thread: the test's.
  class Channel final : public rpc::Channel {
   public:
    Channel(FakeCluster& cluster, std::string address)
        : cluster_(cluster), address_(std::move(address)) {}
    bool ready() const override { return true; }
    void Connect(absl::AnyInvocable<void(Status)> done) override { done(OkStatus()); }
    void Probe(env::Duration) override { cluster_.probed_.push_back(address_); }
    void Unary(std::string, std::string, const rpc::CallOptions&,
               absl::AnyInvocable<void(StatusOr<std::string>)> done) override {
      done(absl::UnimplementedError("this cluster has streams only"));
    }
    std::unique_ptr<rpc::ClientStream> Stream(std::string, const rpc::CallOptions&,
                                              rpc::ClientStream::Handler& handler) override {
      cluster_.streams_.push_back(std::make_shared<FakeStream>(FakeStream{address_, &handler, {}}));
      return std::make_unique<Handle>(cluster_.streams_.back());
    }

   private:
    FakeCluster& cluster_;
    const std::string address_;
  };

  ManualLoop loop_;
  std::vector<std::shared_ptr<FakeStream>> streams_;
  std::vector<std::string> probed_;  // addresses whose connection was tested
};

}  // namespace quoin::client::testing_support

// A server in a simulated world, and clients that write frames by hand.
//
// Thread: the world's.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "env/sim/sim_network.h"
#include "env/sim/sim_world.h"
#include "rpc/grpc_wire.h"
#include "rpc/server.h"
#include "rpc/testing/raw_http2.h"

namespace quoin::rpc::raw {

inline constexpr uint32_t kProtocolError = 1, kFlowControlError = 3, kCancel = 8,
                          kEnhanceYourCalm = 11;

// What the server's services saw.
struct Seen {
  size_t started = 0;
  size_t messages = 0;
  size_t cancelled = 0;
  size_t drained = 0;
  size_t refused = 0;  // what they would have kept
  std::string last_metadata;
};

// What the services do with a message: nothing; or answer it, with this text.
struct Orders {
  bool answers = false;
  std::string answer = "answer";
  // A long answer: its size, how much of it follows at once, and how it ends early.
  uint64_t announces = 0;
  size_t appends = 0;
  Status fails;
  // What they say that they keep of a message, while they wait and for their client.
  size_t waits_with = 0;
  size_t stands_with = 0;
};

// One call of either method. Thread: its loop.
class OneCall final : public CallHandler {
 public:
  OneCall(ServerCall& call, Seen& seen, const Orders& orders)
      : call_(call), seen_(seen), orders_(orders) {
    ++seen_.started;
    seen_.last_metadata = call.metadata("read").value_or("none");
  }
  void OnMessage(std::string_view) override {
    ++seen_.messages;
    if (orders_.waits_with > 0) call_.SetWaitingBytes(orders_.waits_with);
    if (orders_.stands_with > 0) {
      const bool stands = call_.SetStandingBytes(stands_ + orders_.stands_with);
      stands ? stands_ += orders_.stands_with : ++seen_.refused;
    }
    if (!orders_.answers) return;
    if (orders_.announces > 0) return AnswerAtLength();
    call_.Send(orders_.answer);
    call_.Finish(OkStatus());
  }
  void OnCancel(const Status&) override { ++seen_.cancelled; }

 private:
  void AnswerAtLength() {
    call_.StartMessage(orders_.announces);
    call_.AppendMessage(std::string(orders_.appends, 'x'));
    const bool whole = orders_.appends == orders_.announces;
    if (!orders_.fails.ok()) {
      call_.executor().RunAfter(std::chrono::milliseconds(100),
                                [this] { call_.Finish(orders_.fails); });
    } else if (whole) {
      call_.Finish(OkStatus());
    }
  }

  ServerCall& call_;
  Seen& seen_;
  const Orders& orders_;
  size_t stands_ = 0;
};

// Methods /s/Unary and /s/Stream. Thread: any, before the server starts; then its loops.
class TwoMethods final : public GrpcDispatcher {
 public:
  explicit TwoMethods(Seen& seen) : seen_(seen) {}
  Method* Find(std::string_view path) override {
    if (path == "/s/Unary") return &unary_;
    return path == "/s/Stream" ? &stream_ : nullptr;
  }
  bool HasService(std::string_view service) const override { return service == "s"; }
  bool ReadsMetadata(std::string_view name) const override { return name == "read"; }
  Orders orders;

 private:
  std::unique_ptr<CallHandler> Start(ServerCall& call) {
    return std::make_unique<OneCall>(call, seen_, orders);
  }
  Seen& seen_;
  Method unary_{CallKind::kUnary, [this](ServerCall& call) { return Start(call); }};
  Method stream_{CallKind::kBidi, [this](ServerCall& call) { return Start(call); }};
};

// A connection on which the test writes what it wants. Thread: the client's loop.
class RawClient final : public env::Connection::Handler {
 public:
  // `settings`: the payload of its first frame.
  explicit RawClient(std::string settings = "") : settings_(std::move(settings)) {}
  void Begin(std::unique_ptr<env::Connection> connection) {
    connection_ = std::move(connection);
    connection_->Start(*this);
    Write(std::string(kPreface) + Encode(kSettings, 0, 0, settings_));
  }
  void Write(std::string bytes) { connection_->Write(std::move(bytes)); }
  // Frames of one type that came, by stream.
  std::vector<Frame> Of(uint8_t type) const {
    std::vector<Frame> out;
    std::copy_if(frames_.begin(), frames_.end(), std::back_inserter(out),
                 [type](const Frame& frame) { return frame.type == type; });
    return out;
  }
  bool closed() const { return closed_; }
  env::Connection& connection() { return *connection_; }

 private:
  void OnData(std::string_view data) override {
    for (Frame& frame : reader_.Take(data)) frames_.push_back(std::move(frame));
  }
  void OnClosed(Status) override { closed_ = true; }
  std::unique_ptr<env::Connection> connection_;
  const std::string settings_;
  FrameReader reader_;
  std::vector<Frame> frames_;
  bool closed_ = false;
};

// A server's machine and a client's. Thread: the test's.
class RawWorld {
 public:
  explicit RawWorld(const ServerOptions& options = {}, size_t loops = 1)
      : network_(world_),
        client_disk_(&world_),
        server_disk_(&world_),
        client_env_(world_, client_disk_, network_, "10.0.0.1"),
        server_env_(world_, server_disk_, network_, "10.0.0.2"),
        client_loop_(client_env_.NewExecutor("client")),
        methods_(seen_) {
    std::vector<env::Executor*> all;
    for (size_t i = 0; i < loops; ++i) {
      server_loops_.push_back(server_env_.NewExecutor("server"));
      all.push_back(server_loops_.back().get());
    }
    server_loops_[0]->Post([this, all, options] {
      server_ = Server::New(server_env_, all, options, &methods_, nullptr, log_);
      EXPECT_TRUE(server_->Listen(kAddress, {}).ok());
    });
    world_.RunFor(std::chrono::seconds(1));
  }

  void Connect(RawClient& client) {
    client_loop_->Post([this, &client] {
      network_.Connect(kAddress, std::chrono::seconds(5), *client_loop_,
                       [&client](StatusOr<std::unique_ptr<env::Connection>> made) {
                         ASSERT_TRUE(made.ok()) << made.status();
                         client.Begin(*std::move(made));
                       });
    });
    world_.RunFor(std::chrono::seconds(1));
  }
  // Sends, and gives it time to be read and answered.
  void Send(RawClient& client, std::string bytes) {
    client_loop_->Post([&client, bytes = std::move(bytes)] { client.Write(bytes); });
    world_.RunFor(std::chrono::milliseconds(500));
  }
  static std::string Request(uint32_t stream, std::string_view path = "/s/Unary",
                             const std::string& more_headers = "") {
    return Encode(kHeaders, kEndHeaders, stream, RequestHead(path) + more_headers);
  }
  static std::string Message() { return MessagePrefix(3) + "abc"; }
  static std::string WholeRequest(uint32_t stream) {
    return Request(stream) + Encode(kData, kEndStream, stream, Message());
  }
  void ExpectAnotherIsServed() {
    methods_.orders = {true, "answer"};
    RawClient other;
    Connect(other);
    Send(other, WholeRequest(1));
    EXPECT_EQ(other.Of(kData).size(), 1u);
    EXPECT_FALSE(other.closed());
  }

  Seen& seen() { return seen_; }
  Orders& orders() { return methods_.orders; }
  void RunFor(env::Duration time) { world_.RunFor(time); }
  void OnClient(env::Task task) {
    client_loop_->Post(std::move(task));
    world_.RunFor(std::chrono::milliseconds(500));
  }

 private:
  static constexpr char kAddress[] = "10.0.0.2:2379";
  env::SimWorld world_{1};
  env::SimNetwork network_;
  env::SimDisk client_disk_, server_disk_;
  env::SimEnv client_env_, server_env_;
  std::unique_ptr<env::Executor> client_loop_;
  std::vector<std::unique_ptr<env::Executor>> server_loops_;
  NullLogger log_;
  Seen seen_;
  TwoMethods methods_;
  std::unique_ptr<Server> server_;
};

}  // namespace quoin::rpc::raw

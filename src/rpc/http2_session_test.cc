// Calls as a client speaks them, over a simulated network: what a session keeps for a client that
// sends and does not read.

#include "rpc/http2_session.h"

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

#include "env/sim/sim_network.h"
#include "env/sim/sim_world.h"
#include "rpc/grpc_wire.h"

namespace quoin::rpc {
namespace {

using std::chrono::seconds;

constexpr char kClient[] = "10.0.0.1", kServer[] = "10.0.0.2";
constexpr char kAddress[] = "10.0.0.2:2379";
constexpr size_t kRequestBytes = 100;
constexpr size_t kAnswerBytes = 1000;

struct Counts {
  size_t taken = 0;  // requests that reached a handler
  size_t most_unsent = 0;
  bool half_closed = false;
};

std::string AnswerOf(size_t request) {
  return std::string(kAnswerBytes, static_cast<char>('a' + request % 26));
}

// Answers each request by ten times its size; holds requests back when it is told to.
class Echo final : public CallHandler {
 public:
  Echo(ServerCall& call, Counts& counts, size_t pause_at)
      : call_(call), counts_(counts), pause_at_(pause_at) {}
  void OnMessage(std::string_view message) override {
    EXPECT_EQ(message.size(), kRequestBytes);
    if (++counts_.taken == pause_at_) {
      call_.PauseRequests();
      call_.executor().RunAfter(seconds(1), [this] { call_.ResumeRequests(); });
    }
    call_.Send(AnswerOf(counts_.taken - 1));
    counts_.most_unsent = std::max(counts_.most_unsent, call_.unsent_bytes());
  }
  void OnHalfClose() override {
    counts_.half_closed = true;
    call_.Finish(OkStatus());
  }
  void OnCancel(const Status&) override {}

 private:
  ServerCall& call_;
  Counts& counts_;
  const size_t pause_at_;
};

class OneMethod final : public GrpcDispatcher {
 public:
  OneMethod(Counts& counts, size_t pause_at)
      : method_{CallKind::kBidi, [&counts, pause_at](ServerCall& call) {
                  return std::make_unique<Echo>(call, counts, pause_at);
                }} {}
  Method* Find(std::string_view path) override { return path == "/s/M" ? &method_ : nullptr; }
  bool HasService(std::string_view service) const override { return service == "s"; }

 private:
  Method method_;
};

// A client of one call that sends `requests` requests as fast as its peer lets it.
class Client final : public env::Connection::Handler {
 public:
  Client(size_t requests, uint32_t window) : left_(requests * FramedRequest().size()) {
    nghttp2_session_callbacks* callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks,
        [](nghttp2_session*, uint8_t, int32_t, const uint8_t* data, size_t size, void* self) {
          static_cast<Client*>(self)->OnAnswers(
              std::string_view(reinterpret_cast<const char*>(data), size));
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t, uint32_t error, void* self) {
          static_cast<Client*>(self)->closed_ = true;
          EXPECT_EQ(error, NGHTTP2_NO_ERROR);
          return 0;
        });
    nghttp2_session_client_new(&h2_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    nghttp2_submit_settings(h2_, NGHTTP2_FLAG_NONE, &settings, 1);
  }
  ~Client() override { nghttp2_session_del(h2_); }

  void Begin(std::unique_ptr<env::Connection> connection) {
    connection_ = std::move(connection);
    connection_->Start(*this);
    const nghttp2_nv headers[] = {Header(":method", "POST"), Header(":scheme", "http"),
                                  Header(":path", "/s/M"), Header(":authority", "x"),
                                  Header("content-type", "application/grpc")};
    nghttp2_data_provider provider{};
    provider.source.ptr = this;
    provider.read_callback = Read;
    nghttp2_submit_request(h2_, nullptr, headers, 5, &provider, nullptr);
    Flush();
  }
  void OpenWindow() {
    const nghttp2_settings_entry settings{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20};
    nghttp2_submit_settings(h2_, NGHTTP2_FLAG_NONE, &settings, 1);
    Flush();
  }
  size_t sent() const { return sent_; }
  size_t received() const { return received_; }
  bool closed() const { return closed_; }

 private:
  static nghttp2_nv Header(const char* name, const char* value) {
    return {reinterpret_cast<uint8_t*>(const_cast<char*>(name)),
            reinterpret_cast<uint8_t*>(const_cast<char*>(value)), strlen(name), strlen(value),
            NGHTTP2_NV_FLAG_NONE};
  }
  static std::string FramedRequest() {
    return MessagePrefix(kRequestBytes) + std::string(kRequestBytes, 'q');
  }
  static ssize_t Read(nghttp2_session*, int32_t, uint8_t* to, size_t room, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    Client& self = *static_cast<Client*>(source->ptr);
    static const std::string framed = FramedRequest();
    const size_t size = std::min(room, self.left_);
    for (size_t i = 0; i < size; ++i)
      to[i] = static_cast<uint8_t>(framed[(self.sent_ + i) % framed.size()]);
    self.sent_ += size;
    self.left_ -= size;
    if (self.left_ == 0) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }
  // What comes are the answers, whole and in order.
  void OnAnswers(std::string_view data) {
    const size_t framed = MessagePrefix(0).size() + kAnswerBytes;
    while (!data.empty()) {
      const std::string answer = MessagePrefix(kAnswerBytes) + AnswerOf(received_ / framed);
      const size_t at = received_ % framed, size = std::min(data.size(), framed - at);
      ASSERT_EQ(data.substr(0, size), std::string_view(answer).substr(at, size));
      received_ += size;
      data.remove_prefix(size);
    }
  }
  void OnData(std::string_view data) override {
    EXPECT_EQ(
        nghttp2_session_mem_recv(h2_, reinterpret_cast<const uint8_t*>(data.data()), data.size()),
        static_cast<ssize_t>(data.size()));
    Flush();
  }
  void OnClosed(Status) override {}
  void OnDrained() override { Flush(); }
  void Flush() {
    while (connection_->unsent_bytes() < 64 * 1024) {
      const uint8_t* data;
      const ssize_t size = nghttp2_session_mem_send(h2_, &data);
      if (size <= 0) return;
      connection_->Write(std::string(reinterpret_cast<const char*>(data), size));
    }
  }

  nghttp2_session* h2_;
  std::unique_ptr<env::Connection> connection_;
  size_t left_, sent_ = 0, received_ = 0;
  bool closed_ = false;
};

struct World {
  World(size_t requests, uint32_t window, size_t pause_at = 0)
      : network(world),
        client_disk(&world),
        server_disk(&world),
        client_env(world, client_disk, network, kClient),
        server_env(world, server_disk, network, kServer),
        client_loop(client_env.NewExecutor("client")),
        server_loop(server_env.NewExecutor("server")),
        method(counts, pause_at),
        client(requests, window) {
    server_loop->Post([this] {
      server = Server::New(server_env, {server_loop.get()}, options, &method, nullptr, log);
      EXPECT_TRUE(server->Listen(kAddress, {}).ok());
    });
    client_loop->RunAfter(seconds(1), [this] {
      network.Connect(kAddress, seconds(5), *client_loop,
                      [this](StatusOr<std::unique_ptr<env::Connection>> made) {
                        ASSERT_TRUE(made.ok()) << made.status();
                        client.Begin(*std::move(made));
                      });
    });
  }

  env::SimWorld world{1};
  env::SimNetwork network;
  env::SimDisk client_disk, server_disk;
  env::SimEnv client_env, server_env;
  std::unique_ptr<env::Executor> client_loop, server_loop;
  NullLogger log;
  ServerOptions options;
  Counts counts;
  OneMethod method;
  std::unique_ptr<Server> server;
  Client client;
};

TEST(Http2Session, AClientThatDoesNotReadIsNotServedFurther) {
  constexpr size_t kRequests = 100'000;
  World w(kRequests, /*window=*/0);
  w.world.RunFor(seconds(20));
  // About 1 MiB of answers wait, and 1 MiB of requests: the stream's window.
  EXPECT_GT(w.counts.taken, 100u);
  EXPECT_LE(w.counts.most_unsent, w.options.call_unsent_bytes_max + 2 * kAnswerBytes);
  EXPECT_LT(w.client.sent(), size_t{2} << 20);
  EXPECT_FALSE(w.client.closed());

  w.client_loop->Post([&] { w.client.OpenWindow(); });
  EXPECT_TRUE(w.world.RunUntil([&] { return w.client.closed(); }, 10'000'000));
  EXPECT_EQ(w.counts.taken, kRequests);
  EXPECT_TRUE(w.counts.half_closed);
  EXPECT_EQ(w.client.received(), kRequests * (kAnswerBytes + MessagePrefix(0).size()));
}

TEST(Http2Session, PausedRequestsFillTheWindowOfTheStreamAndNoMore) {
  constexpr size_t kRequests = 100'000;
  World w(kRequests, /*window=*/1 << 20, /*pause_at=*/10);
  w.world.RunUntil([&] { return w.counts.taken == 10; }, 1'000'000);
  w.world.RunFor(std::chrono::milliseconds(500));
  EXPECT_EQ(w.counts.taken, 10u);
  EXPECT_LT(w.client.sent(), size_t{1500} << 10);

  EXPECT_TRUE(w.world.RunUntil([&] { return w.client.closed(); }, 10'000'000));
  EXPECT_EQ(w.counts.taken, kRequests);
  EXPECT_TRUE(w.counts.half_closed);
}

}  // namespace
}  // namespace quoin::rpc

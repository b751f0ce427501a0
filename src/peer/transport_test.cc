// Transports on simulated machines: what arrives, who is refused, what breaks.

#include "peer/transport.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "env/sim/sim_world.h"
#include "raft_types/codec.h"

namespace quoin::peer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kCluster = 0xc547b6c6b4371e14;
const NodeId kRemoved(0x13884ca0cb2e62d4);

raft::Message NewMessage(raft::MessageType type, NodeId from, NodeId to, uint64_t index = 0) {
  raft::Message message;
  message.type = type;
  message.from = from;
  message.to = to;
  message.term = Term(2);
  message.index = Index(index);
  return message;
}

// A file in memory that is sent. `fail_at`: its reading fails there.
class MemorySource final : public SnapshotSource {
 public:
  MemorySource(env::Executor& loop, std::string bytes, size_t fail_at)
      : loop_(loop), bytes_(std::move(bytes)), fail_at_(fail_at) {}
  ~MemorySource() override { *alive_ = false; }
  uint64_t size_bytes() const override { return bytes_.size(); }
  void Read(size_t bytes_max, absl::AnyInvocable<void(StatusOr<std::string>)> done) override {
    loop_.Post([this, alive = alive_, bytes_max, done = std::move(done)]() mutable {
      if (!*alive) return;
      if (at_ >= fail_at_) return done(absl::DataLossError("unreadable"));
      std::string piece = bytes_.substr(at_, bytes_max);
      at_ += piece.size();
      done(std::move(piece));
    });
  }

 private:
  env::Executor& loop_;
  const std::string bytes_;
  const size_t fail_at_;
  size_t at_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// What a member has stored of incoming snapshots, and how its disk behaves.
struct Store {
  std::map<uint64_t, std::string> finished;  // by index
  int unfinished = 0;                        // sinks that exist
  size_t largest_write = 0;
  bool fails = false;
  bool stalls = false;
};

class MemorySink final : public SnapshotSink {
 public:
  MemorySink(env::Executor& loop, Store& store, uint64_t index)
      : loop_(loop), store_(store), index_(index) {
    ++store_.unfinished;
  }
  ~MemorySink() override { --store_.unfinished; }
  void Write(std::string bytes, absl::AnyInvocable<void(Status)> done) override {
    store_.largest_write = std::max(store_.largest_write, bytes.size());
    bytes_ += bytes;
    if (store_.stalls) return;
    loop_.RunAfter(milliseconds(1), [done = std::move(done), fails = store_.fails]() mutable {
      done(fails ? absl::ResourceExhaustedError("no space left on device") : OkStatus());
    });
  }
  void Finish(absl::AnyInvocable<void(Status)> done) override {
    store_.finished[index_] = bytes_;
    loop_.Post([done = std::move(done)]() mutable { done(OkStatus()); });
  }

 private:
  env::Executor& loop_;
  Store& store_;
  const uint64_t index_;
  std::string bytes_;
};

// One machine with a transport, and what its host heard.
class Machine final : public Host {
 public:
  Machine(env::SimWorld& world, env::SimNetwork& network, NodeId id, std::string address)
      : id_(id), address_(std::move(address)), disk_(&world) {
    env_ = std::make_unique<env::SimEnv>(world, disk_, network, address_);
    loop_ = env_->NewExecutor("peer");
    Options options;
    options.self = id;
    options.cluster_id = kCluster;
    options.self_peer_urls = {url()};
    options.queue_bytes_max = 1 << 20;
    transport_ = Transport::New(*env_, *loop_, options, *this, log_);
  }
  ~Machine() override {
    loop_->Post([this] { transport_->Stop(); });
    SimExecutorDrain();
    transport_.reset();
    loop_.reset();
  }

  std::string url() const { return "http://" + address_ + ":2380"; }
  void Listen() { ASSERT_TRUE(transport_->Listen(address_ + ":2380").ok()); }
  // Runs on the peer loop, as all use of a transport.
  template <typename Use>
  void On(Use use) {
    loop_->Post([this, use] { use(*transport_); });
  }
  void Add(const Machine& other) {
    On([id = other.id_, url = other.url()](Transport& t) { t.AddPeer(id, {url}); });
  }
  void Send(raft::Message message) {
    On([message](Transport& t) { t.Send({message}); });
  }
  void SendSnapshot(raft::Message message, std::string file, size_t fail_at = SIZE_MAX) {
    On([this, message, file, fail_at](Transport& t) {
      t.SendSnapshot(message, std::make_unique<MemorySource>(*loop_, file, fail_at));
    });
  }

  // --- Host ---
  void OnMessages(std::vector<raft::Message> messages) override {
    for (raft::Message& message : messages) heard.push_back(std::move(message));
  }
  void OnUnreachable(NodeId) override { ++unreachable; }
  void OnSnapshotSent(NodeId, bool ok) override { snapshots_sent.push_back(ok); }
  void OnRemoved() override { removed = true; }
  StatusOr<std::unique_ptr<SnapshotSink>> ReceiveSnapshot(const raft::Message& message) override {
    return std::make_unique<MemorySink>(*loop_, store, message.snapshot.metadata.index.value());
  }
  bool IsRemoved(NodeId id) override { return id == kRemoved; }
  void HandleHttp(rpc::HttpRequest request, rpc::HttpHandler::Reply reply) override {
    rpc::HttpResponse response;
    response.body = "host: " + request.target;
    reply(std::move(response));
  }

  std::vector<raft::Message> heard;
  int unreachable = 0;
  std::vector<bool> snapshots_sent;
  bool removed = false;
  Store store;

  NodeId id() const { return id_; }
  const std::string& address() const { return address_; }
  env::SimEnv& env() { return *env_; }
  env::Executor& loop() { return *loop_; }

 private:
  void SimExecutorDrain() { env_->Crash(); }

  const NodeId id_;
  const std::string address_;
  env::SimDisk disk_;
  NullLogger log_;
  std::unique_ptr<env::SimEnv> env_;
  std::unique_ptr<env::Executor> loop_;
  std::unique_ptr<Transport> transport_;
};

class TransportTest : public testing::Test {
 protected:
  TransportTest() {
    for (Machine* machine : {&a_, &b_, &c_}) machine->Listen();
  }
  void Connect(Machine& one, Machine& other) {
    one.Add(other);
    other.Add(one);
    world_.RunFor(seconds(1));
  }
  bool Until(const std::function<bool()>& done) { return world_.RunUntil(done, 2'000'000); }

  env::SimWorld world_{1};
  env::SimNetwork network_{world_};
  Machine a_{world_, network_, NodeId(0xd88018525b4604a0), "10.0.0.1"};
  Machine b_{world_, network_, NodeId(0xdff0671f73c25251), "10.0.0.2"};
  Machine c_{world_, network_, NodeId(3), "10.0.0.3"};
};

TEST_F(TransportTest, MessagesArriveInOrderOnTheirStreams) {
  Connect(a_, b_);
  for (uint64_t i = 1; i <= 100; ++i) {
    raft::Message append = NewMessage(raft::MessageType::kApp, a_.id(), b_.id(), i - 1);
    append.log_term = Term(i == 1 ? 1 : 2);
    append.entries.push_back(
        {Term(2), Index(i), raft::EntryType::kNormal, SharedBytes("entry " + std::to_string(i))});
    append.commit = Index(i / 2);
    a_.Send(append);
  }
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
  ASSERT_TRUE(Until([&] { return b_.heard.size() == 101; }));
  uint64_t next = 1;
  for (const raft::Message& message : b_.heard) {
    EXPECT_EQ(message.from, a_.id());
    EXPECT_EQ(message.to, b_.id());
    if (message.type != raft::MessageType::kApp) continue;
    EXPECT_EQ(message.index.value(), next - 1);
    EXPECT_EQ(message.entries.at(0).data.view(), "entry " + std::to_string(next));
    EXPECT_EQ(message.commit.value(), next / 2);
    ++next;
  }
  EXPECT_EQ(next, 101u);
}

TEST_F(TransportTest, IdleStreamsStayOpenAndPeersActive) {
  Connect(a_, b_);
  env::Duration since{0};
  a_.On([&](Transport& t) { since = *t.peers().at(0).active_since; });
  world_.RunFor(seconds(60));
  bool same = false;
  a_.On([&](Transport& t) { same = t.peers().at(0).active_since == since; });
  world_.RunFor(seconds(1));
  EXPECT_TRUE(same);
}

TEST_F(TransportTest, ACutLinkEndsTheStreamsAndHealingOpensThemAgain) {
  Connect(a_, b_);
  network_.Cut(a_.address(), b_.address());
  network_.Cut(b_.address(), a_.address());
  world_.RunFor(seconds(20));
  bool active = true;
  a_.On([&](Transport& t) { active = t.peers().at(0).active_since.has_value(); });
  world_.RunFor(seconds(1));
  EXPECT_FALSE(active);
  network_.HealAll();
  world_.RunFor(seconds(10));
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
  EXPECT_TRUE(Until([&] { return !b_.heard.empty(); }));
}

TEST_F(TransportTest, WithoutStreamsThePipelineCarries) {
  // b does not know a as a member: it refuses a's streams, remembers where a listens, and answers.
  a_.Add(b_);
  world_.RunFor(seconds(1));
  a_.Send(NewMessage(raft::MessageType::kVote, a_.id(), b_.id()));
  ASSERT_TRUE(Until([&] { return !b_.heard.empty(); }));
  b_.Send(NewMessage(raft::MessageType::kVoteResp, b_.id(), a_.id()));
  EXPECT_TRUE(Until([&] { return !a_.heard.empty(); }));
}

TEST_F(TransportTest, NobodyListens) {
  a_.On([](Transport& t) { t.AddPeer(NodeId(9), {"http://10.0.0.9:2380"}); });
  world_.RunFor(seconds(1));
  a_.Send(NewMessage(raft::MessageType::kVote, a_.id(), NodeId(9)));
  EXPECT_TRUE(Until([&] { return a_.unreachable > 0; }));
}

TEST_F(TransportTest, TheNextAddressIsTried) {
  b_.Add(a_);
  a_.On([this](Transport& t) { t.AddPeer(b_.id(), {"http://10.0.0.9:2380", b_.url()}); });
  world_.RunFor(seconds(10));
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
  EXPECT_TRUE(Until([&] { return !b_.heard.empty(); }));
}

TEST_F(TransportTest, AReaderThatIsStuckCostsABoundedQueueAndNobodyElse) {
  Connect(a_, b_);
  Connect(a_, c_);
  network_.Cut(a_.address(), b_.address());
  raft::Message big = NewMessage(raft::MessageType::kApp, a_.id(), b_.id(), 1);
  big.entries.push_back(
      {Term(2), Index(2), raft::EntryType::kNormal, SharedBytes(std::string(100'000, 'x'))});
  for (int i = 0; i < 100; ++i) a_.Send(big);
  EXPECT_TRUE(Until([&] { return a_.unreachable > 50; }));
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), c_.id()));
  EXPECT_TRUE(Until([&] { return !c_.heard.empty(); }));
}

TEST_F(TransportTest, AMemberThatWasRemovedHearsIt) {
  Machine gone(world_, network_, kRemoved, "10.0.0.4");
  gone.Add(a_);
  EXPECT_TRUE(Until([&] { return gone.removed; }));
}

TEST_F(TransportTest, AForgedSenderEndsTheStream) {
  Connect(a_, b_);
  a_.Send(NewMessage(raft::MessageType::kVote, NodeId(3), b_.id()));
  a_.Send(NewMessage(raft::MessageType::kVote, a_.id(), b_.id()));
  world_.RunFor(seconds(5));
  for (const raft::Message& message : b_.heard) EXPECT_EQ(message.from, a_.id());
  b_.heard.clear();
  a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
  EXPECT_TRUE(Until([&] { return !b_.heard.empty(); }));
}

TEST_F(TransportTest, ACrashedPeerComesBack) {
  Connect(a_, b_);
  for (int round = 0; round < 3; ++round) {
    network_.Reset(a_.address(), b_.address());
    world_.RunFor(seconds(5));
    b_.heard.clear();
    a_.Send(NewMessage(raft::MessageType::kHeartbeat, a_.id(), b_.id()));
    EXPECT_TRUE(Until([&] { return !b_.heard.empty(); })) << round;
  }
}

class SnapshotTest : public TransportTest {
 protected:
  SnapshotTest() { Connect(a_, b_); }
  raft::Message Snap(uint64_t index) {
    raft::Message message = NewMessage(raft::MessageType::kSnap, a_.id(), b_.id());
    message.snapshot.metadata.index = Index(index);
    message.snapshot.metadata.term = Term(2);
    message.snapshot.data = SharedBytes("{}");
    return message;
  }
  static std::string File(size_t bytes) {
    std::string file;
    for (uint64_t i = 0; file.size() < bytes; ++i) file += std::to_string(i) + ";";
    return file;
  }
};

TEST_F(SnapshotTest, TheFileArrivesBeforeItsMessage) {
  const std::string file = File(5 << 20);
  a_.SendSnapshot(Snap(77), file);
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_TRUE(a_.snapshots_sent[0]);
  ASSERT_EQ(b_.heard.size(), 1u);
  EXPECT_EQ(b_.heard[0].snapshot.metadata.index.value(), 77u);
  EXPECT_TRUE(b_.store.finished[77] == file);
  EXPECT_LT(b_.store.largest_write, size_t{3} << 20);
  world_.RunFor(seconds(1));
  EXPECT_EQ(b_.store.unfinished, 0);
}

TEST_F(SnapshotTest, AnEmptyFileArrivesToo) {
  a_.SendSnapshot(Snap(5), "");
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_TRUE(a_.snapshots_sent[0]);
  EXPECT_EQ(b_.store.finished.count(5), 1u);
}

TEST_F(SnapshotTest, WhatCannotBeReadIsNotDelivered) {
  a_.SendSnapshot(Snap(77), File(3 << 20), 1 << 20);
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_FALSE(a_.snapshots_sent[0]);
  world_.RunFor(seconds(5));
  EXPECT_TRUE(b_.heard.empty());
  EXPECT_TRUE(b_.store.finished.empty());
  EXPECT_EQ(b_.store.unfinished, 0);
}

TEST_F(SnapshotTest, ADiskThatIsFullIsToldToTheSender) {
  b_.store.fails = true;
  a_.SendSnapshot(Snap(77), File(3 << 20));
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_FALSE(a_.snapshots_sent[0]);
  EXPECT_TRUE(b_.heard.empty());
  world_.RunFor(seconds(1));
  EXPECT_EQ(b_.store.unfinished, 0);
}

TEST_F(SnapshotTest, ADiskThatHangsIsGivenUp) {
  b_.store.stalls = true;
  a_.SendSnapshot(Snap(77), File(30 << 20));
  ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); }));
  EXPECT_FALSE(a_.snapshots_sent[0]);
}

TEST_F(SnapshotTest, ABrokenConnectionAtAnyMoment) {
  for (int pause = 0; pause < 40; ++pause) {
    a_.snapshots_sent.clear();
    b_.heard.clear();
    b_.store.finished.clear();
    a_.SendSnapshot(Snap(77), File(2 << 20));
    world_.RunFor(milliseconds(pause));
    network_.Reset(a_.address(), b_.address());
    ASSERT_TRUE(Until([&] { return !a_.snapshots_sent.empty(); })) << pause;
    world_.RunFor(seconds(2));
    EXPECT_EQ(b_.store.unfinished, 0) << pause;
    // What the sender takes for delivered is.
    if (a_.snapshots_sent[0]) {
      EXPECT_EQ(b_.store.finished.count(77), 1u);
    }
    EXPECT_EQ(b_.heard.size(), b_.store.finished.size()) << pause;
  }
}

// --- hand-made requests ---

// A connection that sends bytes and keeps what comes back until the other side closes.
struct RawClient : env::Connection::Handler {
  void OnData(std::string_view data) override { received += data; }
  void OnClosed(Status) override { closed = true; }
  std::unique_ptr<env::Connection> connection;
  std::string received;
  bool closed = false;
};

struct Exchange {
  std::string what, head, body, response;
};

std::string Unescaped(std::string_view json) {
  std::string out;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] != '\\') {
      out.push_back(json[i]);
      continue;
    }
    const char kind = json[++i];
    if (kind == 'u') {
      out.push_back(static_cast<char>(std::stoi(std::string(json.substr(i + 1, 4)), nullptr, 16)));
      i += 4;
    } else {
      out.push_back(kind == 'n' ? '\n' : kind == 'r' ? '\r' : kind == 't' ? '\t' : kind);
    }
  }
  return out;
}

// The string value of `"name": "…"` in one flat JSON object.
std::string StringOf(const std::string& object, const std::string& name) {
  const std::string key = "\"" + name + "\": \"";
  size_t at = object.find(key);
  if (at == std::string::npos) return "";
  at += key.size();
  size_t end = at;
  while (object[end] != '"') end += object[end] == '\\' ? 2 : 1;
  return Unescaped(std::string_view(object).substr(at, end - at));
}

std::string FromHex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return out;
}

std::vector<Exchange> RecordedRefusals() {
  const char* given = std::getenv("QUOIN_SHARED");
  const std::filesystem::path shared =
      given != nullptr ? std::filesystem::path(given)
                       : std::filesystem::path(QUOIN_SOURCE_DIR) / ".." / "shared";
  std::ifstream file(shared / "vectors/peer/3.7.1/errors.json");
  std::stringstream text;
  text << file.rdbuf();
  const std::string json = text.str();
  std::vector<Exchange> out;
  for (size_t at = json.find("{\n"); at != std::string::npos;) {
    const size_t next = json.find("\n {\n", at + 1);
    const std::string object = json.substr(at, next - at);
    out.push_back({StringOf(object, "what"), StringOf(object, "request_head"),
                   FromHex(StringOf(object, "request_body_hex")), StringOf(object, "response")});
    at = next == std::string::npos ? next : next + 2;
  }
  return out;
}

int StatusOf(const std::string& response) { return std::atoi(response.c_str() + 9); }

std::map<std::string, std::string> HeadersOf(const std::string& response) {
  std::map<std::string, std::string> out;
  std::stringstream lines(response.substr(0, response.find("\r\n\r\n")));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    const size_t colon = line.find(": ");
    std::string value = line.substr(colon + 2);
    if (value.ends_with("\r")) value.pop_back();
    out[line.substr(0, colon)] = value;
  }
  // Framing and the hour are nobody's promise.
  for (const char* name : {"Date", "Content-Length", "Transfer-Encoding", "Connection"})
    out.erase(name);
  return out;
}

class RefusalTest : public TransportTest {
 protected:
  void Begin(RawClient& client, const std::string& bytes) {
    network_.Connect(a_.address() + ":2380", seconds(1), c_.loop(), [&, bytes](auto connection) {
      ASSERT_TRUE(connection.ok());
      client.connection = *std::move(connection);
      client.connection->Start(client);
      client.connection->Write(bytes);
    });
  }
  std::string Ask(const std::string& bytes) {
    RawClient client;
    Begin(client, bytes);
    world_.RunUntil([&] { return client.closed; }, 200'000);
    return client.received;
  }
  // The head of a request of `from`, up to its length.
  static std::string Head(std::string_view target, NodeId from, uint64_t cluster = kCluster) {
    return fmt::format(
        "{} HTTP/1.1\r\nHost: x\r\nX-Server-From: {:x}\r\nX-Server-Version: 3.7.1\r\n"
        "X-Min-Cluster-Version: 3.0.0\r\nX-Etcd-Cluster-ID: {:x}\r\n",
        target, from.value(), cluster);
  }
  static std::string Framed(const raft::Message& message) {
    std::string body;
    raft::EncodeMessage(message, body);
    return std::string(7, '\0') + static_cast<char>(body.size()) + body;
  }
};

TEST_F(RefusalTest, AreAnsweredAsRecorded) {
  const std::vector<Exchange> recorded = RecordedRefusals();
  if (recorded.empty()) GTEST_SKIP() << "shared/vectors/peer is not here";
  Connect(a_, b_);
  int compared = 0;
  for (const Exchange& exchange : recorded) {
    const bool ours = exchange.what.starts_with("stream") ||
                      exchange.what.starts_with("pipeline") ||
                      exchange.what.starts_with("snapshot");
    if (!ours || exchange.response.empty()) continue;  // an empty one: etcd's handler panics
    const std::string got = Ask(exchange.head + exchange.body);
    EXPECT_EQ(StatusOf(got), StatusOf(exchange.response)) << exchange.what << "\n" << got;
    EXPECT_EQ(HeadersOf(got), HeadersOf(exchange.response)) << exchange.what;
    // A text that was sent chunked stands between its size and the end.
    std::string body = exchange.response.substr(exchange.response.find("\r\n\r\n") + 4);
    if (exchange.response.find("chunked") != std::string::npos) body = body.substr(4, 0x1e);
    EXPECT_EQ(got.substr(got.find("\r\n\r\n") + 4), body) << exchange.what;
    ++compared;
  }
  EXPECT_GT(compared, 25);
}

TEST_F(RefusalTest, OtherPathsAreTheHosts) {
  const std::string got = Ask("GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(got.ends_with("host: /version")) << got;
}

TEST_F(RefusalTest, ASnapshotWithoutItsSnapshotIsNoCrash) {
  const std::string framed = Framed(NewMessage(raft::MessageType::kSnap, b_.id(), a_.id()));
  const std::string got =
      Ask(Head("POST /raft/snapshot", b_.id()) +
          fmt::format("Connection: close\r\nContent-Length: {}\r\n\r\n", framed.size()) + framed);
  EXPECT_TRUE(got.starts_with("HTTP/1.1 204")) << got;  // raft ignores it
}

TEST_F(TransportTest, TheLiveAddressOfTwoIsReached) {
  Machine gone(world_, network_, kRemoved, "10.0.0.4");
  network_.Cut("10.0.0.4", "10.0.0.9");
  gone.On([this](Transport& t) { t.AddPeer(a_.id(), {"http://10.0.0.9:2380", a_.url()}); });
  world_.RunFor(seconds(120));
  EXPECT_TRUE(gone.removed);
}

TEST_F(TransportTest, ALostStreamIsReported) {
  Connect(a_, b_);
  ASSERT_EQ(a_.unreachable, 0);
  network_.Reset(a_.address(), b_.address());
  world_.RunFor(seconds(5));
  EXPECT_GT(a_.unreachable, 0);
}

TEST_F(RefusalTest, ASnapshotOfAnotherClusterIsRefusedByItsHead) {
  RawClient client;
  Begin(client,
        Head("POST /raft/snapshot", b_.id(), kCluster + 1) + "Content-Length: 400000000\r\n\r\n");
  world_.RunFor(seconds(5));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 412")) << client.received;
}

TEST_F(RefusalTest, AMessageOfMoreThanIsTakenWholeIsRefusedByItsHead) {
  RawClient client;
  Begin(client, Head("POST /raft", b_.id()) + "Content-Length: 400000000\r\n\r\n");
  world_.RunFor(seconds(5));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 413")) << client.received;
}

TEST_F(RefusalTest, AStalledSnapshotDoesNotStay) {
  Connect(a_, b_);
  raft::Message message = NewMessage(raft::MessageType::kSnap, b_.id(), a_.id());
  message.snapshot.metadata.index = Index(9);
  message.snapshot.metadata.term = Term(2);
  RawClient client;
  Begin(client, Head("POST /raft/snapshot", b_.id()) + "Content-Length: 400000000\r\n\r\n" +
                    Framed(message));
  world_.RunFor(seconds(5));
  EXPECT_EQ(a_.store.unfinished, 1);
  world_.RunFor(seconds(70));
  EXPECT_EQ(a_.store.unfinished, 0);
  EXPECT_TRUE(client.closed);
}

TEST_F(RefusalTest, ASenderThatBecomesAMemberMeanwhile) {
  RawClient client;
  Begin(client, Head("GET /raft/stream/message/3", NodeId(3)) +
                    fmt::format("X-Raft-To: {:x}\r\nContent-Length: 5\r\n\r\n", a_.id().value()));
  world_.RunFor(seconds(1));
  a_.Add(c_);
  world_.RunFor(seconds(1));
  c_.loop().Post([&] { client.connection->Write(std::string("12345")); });
  world_.RunFor(seconds(2));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 404")) << client.received;
}

}  // namespace
}  // namespace quoin::peer

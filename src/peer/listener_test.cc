// What a stranger may send: refused as etcd refuses it, in bounded time and memory.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "peer/testing/machines.h"
#include "raft_types/codec.h"

namespace quoin::peer {
namespace {

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

// "" where the shared material is not.
std::string ReadShared(const std::string& path) {
  const char* given = std::getenv("QUOIN_SHARED");
  const std::filesystem::path shared =
      given != nullptr ? std::filesystem::path(given)
                       : std::filesystem::path(QUOIN_SOURCE_DIR) / ".." / "shared";
  std::ifstream file(shared / path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<Exchange> RecordedRefusals() {
  const std::string json = ReadShared("vectors/peer/3.7.1/errors.json");
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
  void Begin(RawClient& client, const std::string& bytes) { Begin(client, bytes, a_.address()); }
  void Begin(RawClient& client, const std::string& bytes, const std::string& address) {
    network_.Connect(address + ":2380", seconds(1), c_.loop(), [&, bytes](auto connection) {
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

// --- what etcd's members asked each other ---

// A recorded request of one member to another.
struct Asked {
  std::string folder, head, body, answer_head;
  std::string header(const std::string& name) const {
    const size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const size_t from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
  }
  NodeId id(const std::string& name) const {
    return NodeId(std::strtoull(header(name).c_str(), nullptr, 16));
  }
  uint64_t cluster() const { return id("X-Etcd-Cluster-Id").value(); }
};

// The requests in one file of captures. `body`: the field that holds what is sent with them.
std::vector<Asked> RecordedRequests(const std::string& folder, const std::string& name,
                                    const std::string& body) {
  const std::string json = ReadShared("vectors/peer/" + folder + "/" + name);
  const std::string key = "\"request_head\": ";
  std::vector<Asked> out;
  for (size_t at = json.find(key); at != std::string::npos;) {
    const size_t next = json.find(key, at + 1);
    const std::string object = json.substr(at, next - at);
    out.push_back({folder, StringOf(object, "request_head"),
                   body.empty() ? "" : FromHex(StringOf(object, body)),
                   StringOf(object, "response_head")});
    at = next;
  }
  return out;
}

class CapturedRequests : public RefusalTest, public testing::WithParamInterface<const char*> {
 protected:
  // What a member of that cluster, which knows the asker, answers to this.
  std::string AnswerTo(const Asked& asked, NodeId self, const std::string& bytes) {
    Machine machine(world_, network_, self, "10.0.0.7", asked.cluster());
    machine.Listen();
    machine.On([&asked](Transport& t) {
      t.AddPeer(asked.id("X-Server-From"), {asked.header("X-Peerurls")});
    });
    RawClient client;
    Begin(client, bytes, machine.address());
    world_.RunUntil([&] { return client.received.find("\r\n\r\n") != std::string::npos; }, 20'000);
    world_.RunFor(milliseconds(10));
    heard_ = machine.heard;
    return client.received;
  }
  std::vector<raft::Message> heard_;
};

TEST_P(CapturedRequests, ForStreamsAreGranted) {
  int granted = 0;
  for (const char* name : {"stream-message.json", "stream-msgapp-v2.json"}) {
    for (const Asked& asked : RecordedRequests(GetParam(), name, "")) {
      if (asked.id("X-Server-From") == kRemoved) continue;  // hears that it was removed
      const std::string got = AnswerTo(asked, asked.id("X-Raft-To"), asked.head);
      EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK\r\n")) << asked.head << got;
      ++granted;
      auto ours = HeadersOf(got), theirs = HeadersOf(asked.answer_head);
      if (asked.header("X-Server-Version") != theirs["X-Server-Version"]) continue;
      theirs["X-Server-Version"] = ours["X-Server-Version"];
      EXPECT_EQ(ours, theirs);
    }
  }
  if (granted == 0) GTEST_SKIP() << "shared/vectors/peer is not here";
  EXPECT_GE(granted, 4);
}

TEST_P(CapturedRequests, WithOneMessageAreTaken) {
  const std::vector<Asked> all = RecordedRequests(GetParam(), "pipeline.json", "hex");
  for (const Asked& asked : all) {
    StatusOr<raft::Message> message = raft::DecodeMessage(asked.body);
    ASSERT_TRUE(message.ok()) << message.status();
    const std::string got = AnswerTo(asked, message->to, asked.head + asked.body);
    EXPECT_TRUE(got.starts_with("HTTP/1.1 204")) << asked.head << got;
    EXPECT_EQ(HeadersOf(got), HeadersOf(asked.answer_head));
    ASSERT_EQ(heard_.size(), 1u);
    EXPECT_EQ(heard_[0], *message);
  }
  if (all.empty()) GTEST_SKIP() << "none of them were recorded, or shared/vectors/peer is not here";
}

TEST_P(CapturedRequests, WithASnapshotAreStored) {
  int stored = 0;
  for (const char* name : {"snapshot-1.json", "snapshot-2.json"}) {
    for (const Asked& asked : RecordedRequests(GetParam(), name, "message_hex")) {
      StatusOr<raft::Message> message = raft::DecodeMessage(asked.body);
      ASSERT_TRUE(message.ok()) << message.status();
      std::string length;
      for (int shift = 56; shift >= 0; shift -= 8)
        length.push_back(static_cast<char>(asked.body.size() >> shift));
      const std::string body = length + asked.body + "a file";
      const std::string got =
          AnswerTo(asked, message->to,
                   asked.head + fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", body.size(), body));
      EXPECT_TRUE(got.starts_with("HTTP/1.1 204")) << asked.head << got;
      EXPECT_EQ(HeadersOf(got), HeadersOf(asked.answer_head));
      ASSERT_EQ(heard_.size(), 1u);
      EXPECT_EQ(heard_[0], *message);
      EXPECT_FALSE(message->snapshot.empty());
      ++stored;
    }
  }
  if (stored == 0) GTEST_SKIP() << "none of them were recorded, or shared/vectors/peer is not here";
}

INSTANTIATE_TEST_SUITE_P(Versions, CapturedRequests,
                         testing::Values("3.7.1", "mixed-3.6.14-leads", "mixed-3.7.1-leads",
                                         "mixed-3.5.30"));

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

TEST_F(RefusalTest, AMessageOfAnotherClusterIsRefusedByItsHead) {
  RawClient client;
  Begin(client, Head("POST /raft", b_.id(), kCluster + 1) + "Content-Length: 1000000\r\n\r\n");
  world_.RunFor(seconds(5));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 412")) << client.received;
  EXPECT_TRUE(client.closed);
}

TEST_F(RefusalTest, ABodyThatNobodyReadsIsNotWaitedFor) {
  for (const char* length :
       {"Content-Length: 60000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"}) {
    RawClient client;
    Begin(client, Head("POST /anything", b_.id()) + length);
    world_.RunFor(seconds(5));
    EXPECT_TRUE(client.received.ends_with("host: /anything")) << client.received;
    EXPECT_TRUE(client.closed);
  }
}

TEST_F(RefusalTest, AQuestionIsSmall) {
  RawClient told, untold;
  Begin(told, Head("POST /leases", b_.id()) + "Content-Length: 300000\r\n\r\n");
  Begin(untold, Head("POST /leases", b_.id()) + "Transfer-Encoding: chunked\r\n\r\n" +
                    fmt::format("{:x}\r\n", 300000) + std::string(300000, 'x') + "\r\n");
  world_.RunFor(seconds(5));
  EXPECT_TRUE(told.received.starts_with("HTTP/1.1 413")) << told.received;
  EXPECT_TRUE(untold.received.starts_with("HTTP/1.1 413")) << untold.received;
  EXPECT_TRUE(untold.closed);
}

TEST_F(RefusalTest, AQuestionWithABodyKeepsItsConnection) {
  const std::string one =
      Head("POST /leases", b_.id()) + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  const std::string two = "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const std::string got = Ask(one + two);
  EXPECT_THAT(got, testing::HasSubstr("host: /leases"));
  EXPECT_TRUE(got.ends_with("host: /version")) << got;
}

TEST_F(RefusalTest, AMessageThatDoesNotGoOnDoesNotStay) {
  RawClient client;
  Begin(client,
        Head("POST /raft", b_.id()) + "Content-Length: 1000000\r\n\r\n" + std::string(1000, 'x'));
  world_.RunFor(seconds(20));
  EXPECT_FALSE(client.closed);
  world_.RunFor(seconds(50));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 408")) << client.received;
  EXPECT_TRUE(client.closed);
}

// Requests that do not come to their end are bounded in sum, and members go on.
TEST_F(RefusalTest, HalfMessagesAreBoundedInSum) {
  constexpr size_t kBytes = 1 << 20, kClients = 2 * kHeldBytesMax / kBytes;
  Connect(a_, b_);
  std::deque<RawClient> clients;
  for (size_t i = 0; i < kClients; ++i) {
    Begin(clients.emplace_back(), Head("POST /raft", b_.id()) +
                                      fmt::format("Content-Length: {}\r\n\r\n", kBytes + 1) +
                                      std::string(kBytes, 'x'));
    world_.RunFor(milliseconds(200));
  }
  size_t closed = 0;
  for (const RawClient& client : clients) closed += client.closed ? 1 : 0;
  EXPECT_EQ(closed, kClients / 2);
  EXPECT_TRUE(clients.front().received.starts_with("HTTP/1.1 503")) << clients.front().received;
  EXPECT_FALSE(clients.back().closed);
  raft::Message message = NewMessage(raft::MessageType::kHeartbeat, b_.id(), a_.id());
  std::string body;
  raft::EncodeMessage(message, body);
  const std::string got =
      Ask(Head("POST /raft", b_.id()) +
          fmt::format("Connection: close\r\nContent-Length: {}\r\n\r\n", body.size()) + body);
  EXPECT_TRUE(got.starts_with("HTTP/1.1 204")) << got;
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

// The start of a snapshot of `from`: its message, and no file.
class UploadTest : public RefusalTest {
 protected:
  UploadTest() { Connect(a_, b_); }
  std::string Upload(NodeId from, uint64_t index) const {
    raft::Message message = NewMessage(raft::MessageType::kSnap, from, a_.id());
    message.snapshot.metadata.index = Index(index);
    message.snapshot.metadata.term = Term(2);
    return Head("POST /raft/snapshot", from) + "Content-Length: 400000000\r\n\r\n" +
           Framed(message);
  }
};

TEST_F(UploadTest, ANewOneOfASenderTakesThePlaceOfItsFormer) {
  RawClient first, second;
  Begin(first, Upload(b_.id(), 9));
  world_.RunFor(seconds(1));
  Begin(second, Upload(b_.id(), 10));
  world_.RunFor(seconds(1));
  EXPECT_EQ(a_.store.unfinished, 1);
  EXPECT_TRUE(first.received.starts_with("HTTP/1.1 500")) << first.received;
  EXPECT_FALSE(second.closed);
}

TEST_F(UploadTest, OnlySoManyAreReceivedAtOnce) {
  std::vector<std::unique_ptr<RawClient>> clients;
  for (uint64_t i = 0; i < 6; ++i) {
    clients.push_back(std::make_unique<RawClient>());
    Begin(*clients.back(), Upload(NodeId(100 + i), 9 + i));
    world_.RunFor(seconds(1));
  }
  EXPECT_EQ(a_.store.unfinished, 4);
  EXPECT_TRUE(clients.back()->received.starts_with("HTTP/1.1 500")) << clients.back()->received;
  EXPECT_THAT(a_.log.warnings, testing::Contains("refused a snapshot; others are being received"));
  // Those that fall silent make room.
  world_.RunFor(seconds(70));
  EXPECT_EQ(a_.store.unfinished, 0);
  RawClient later;
  Begin(later, Upload(NodeId(200), 20));
  world_.RunFor(seconds(1));
  EXPECT_EQ(a_.store.unfinished, 1);
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

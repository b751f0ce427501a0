// Plain HTTP requests over a simulated network: how long one may take to say what it wants.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "env/sim/sim_network.h"
#include "env/sim/sim_world.h"
#include "rpc/server.h"

namespace quoin::rpc {
namespace {

using std::chrono::seconds;

constexpr char kAddress[] = "10.0.0.2:2379";

class Pages final : public HttpHandler {
 public:
  void Handle(HttpRequest request, env::Executor&, Reply reply) override {
    asked.push_back(std::string(request.header("Host").value_or("-")) + " " + request.target);
    HttpResponse response;
    response.body = "page";
    reply(std::move(response));
  }
  std::vector<std::string> asked;  // host and target
};

struct Client final : env::Connection::Handler {
  void OnData(std::string_view data) override { received += data; }
  void OnClosed(Status) override { closed = true; }
  std::unique_ptr<env::Connection> connection;
  std::string received;
  bool closed = false;
};

class Http1SessionTest : public testing::Test {
 protected:
  Http1SessionTest() {
    server_loop_->Post([this] {
      server_ = Server::New(server_env_, {server_loop_.get()}, options_, nullptr, &pages_, log_);
      EXPECT_TRUE(server_->Listen(kAddress, {}).ok());
    });
    world_.RunFor(seconds(1));
    client_loop_->Post([this] {
      network_.Connect(kAddress, seconds(5), *client_loop_,
                       [this](StatusOr<std::unique_ptr<env::Connection>> made) {
                         ASSERT_TRUE(made.ok()) << made.status();
                         client_.connection = *std::move(made);
                         client_.connection->Start(client_);
                       });
    });
    world_.RunFor(seconds(1));
  }
  void Say(const std::string& bytes) {
    client_loop_->Post([this, bytes] { client_.connection->Write(bytes); });
  }

  env::SimWorld world_{1};
  env::SimNetwork network_{world_};
  env::SimDisk client_disk_{&world_}, server_disk_{&world_};
  env::SimEnv client_env_{world_, client_disk_, network_, "10.0.0.1"};
  env::SimEnv server_env_{world_, server_disk_, network_, "10.0.0.2"};
  std::unique_ptr<env::Executor> client_loop_ = client_env_.NewExecutor("client");
  std::unique_ptr<env::Executor> server_loop_ = server_env_.NewExecutor("server");
  NullLogger log_;
  ServerOptions options_;
  Pages pages_;
  Client client_;
  std::unique_ptr<Server> server_;
};

TEST_F(Http1SessionTest, HalfAHeadDoesNotStay) {
  Say("GET /pa");
  world_.RunFor(options_.header_timeout + seconds(10));
  EXPECT_TRUE(client_.closed);
}

TEST_F(Http1SessionTest, NorDoesHalfASecondOne) {
  Say("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /pa");
  world_.RunFor(seconds(5));
  EXPECT_TRUE(client_.received.ends_with("page")) << client_.received;
  EXPECT_FALSE(client_.closed);
  world_.RunFor(options_.header_timeout + seconds(10));
  EXPECT_TRUE(client_.closed);
}

TEST_F(Http1SessionTest, AConnectionBetweenTwoRequestsStays) {
  Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  world_.RunFor(10 * options_.header_timeout);
  EXPECT_FALSE(client_.closed);
  client_.received.clear();
  Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  world_.RunFor(seconds(5));
  EXPECT_TRUE(client_.received.ends_with("page")) << client_.received;
}

// --- heads as Go's server takes them ---

TEST_F(Http1SessionTest, LinesMayEndWithoutCarriageReturn) {
  Say("GET /a HTTP/1.1\nHost: x\n\n");
  world_.RunFor(seconds(1));
  Say("GET /b HTTP/1.1\r\nHost: x\nX: y\r\n\nGET /c HTTP/1.1\nHost: x\n\r\n");
  world_.RunFor(seconds(1));
  for (const char byte : std::string("GET /d HTTP/1.1\nHost: x\n\n")) {
    Say(std::string(1, byte));
    world_.RunFor(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(pages_.asked, (std::vector<std::string>{"x /a", "x /b", "x /c", "x /d"}));
  EXPECT_FALSE(client_.closed);
}

TEST_F(Http1SessionTest, ABodyKeepsItsLineFeeds) {
  Say("POST /a HTTP/1.1\nHost: x\nContent-Length: 4\n\n\n\n\n\nGET /b HTTP/1.1\nHost: x\n\n");
  world_.RunFor(seconds(1));
  EXPECT_EQ(pages_.asked, (std::vector<std::string>{"x /a", "x /b"}));
}

// Three or four bytes of the only chunk of an empty body ended the process: Beast asserts that it
// sees five.
TEST_F(Http1SessionTest, AChunkedBodyMayComeByteByByte) {
  for (const char* chunks :
       {"0\r\n\r\n", "1\r\nx\r\n0\r\n\r\n", "5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n"}) {
    Say("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (const char byte : std::string(chunks)) {
      Say(std::string(1, byte));
      world_.RunFor(std::chrono::milliseconds(10));
    }
  }
  EXPECT_EQ(pages_.asked, (std::vector<std::string>{"x /a", "x /a", "x /a"}));
  EXPECT_FALSE(client_.closed);
}

TEST_F(Http1SessionTest, TheHostOfAnAbsoluteTargetCounts) {
  Say("GET http://foo.test:1/a?b=c HTTP/1.1\r\nHost: x\r\n\r\n");
  Say("GET https://foo.test HTTP/1.1\r\nHost: x\r\n\r\n");
  world_.RunFor(seconds(1));
  EXPECT_EQ(pages_.asked, (std::vector<std::string>{"foo.test:1 /a?b=c", "foo.test /"}));
}

TEST_F(Http1SessionTest, OptionsOfTheServerAsAWhole) {
  Say("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
  world_.RunFor(seconds(1));
  EXPECT_EQ(client_.received, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(pages_.asked.empty());
}

TEST_F(Http1SessionTest, AnOldVersionIsAnsweredInItsOwn) {
  Say("GET /a HTTP/1.0\r\n\r\n");
  world_.RunFor(seconds(6));
  EXPECT_TRUE(client_.received.starts_with("HTTP/1.0 200 OK\r\n")) << client_.received;
  EXPECT_TRUE(client_.closed);
}

struct Refused {
  std::string head, why;
};
class RefusedHead : public Http1SessionTest, public testing::WithParamInterface<Refused> {};
TEST_P(RefusedHead, IsAnsweredAsGoDoes) {
  Say(GetParam().head);
  world_.RunFor(seconds(6));
  EXPECT_EQ(client_.received, "HTTP/1.1 " + GetParam().why +
                                  "\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                  "Connection: close\r\n\r\n" +
                                  GetParam().why);
  EXPECT_TRUE(client_.closed);
  EXPECT_TRUE(pages_.asked.empty());
}
INSTANTIATE_TEST_SUITE_P(
    Heads, RefusedHead,
    testing::Values(
        Refused{"GET /a HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header"},
        Refused{"GET http://x/a HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header"},
        Refused{"GET /a HTTP/1.1\r\nHost: a b\r\n\r\n", "400 Bad Request: malformed Host header"},
        Refused{"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"},
        Refused{"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"}));

}  // namespace
}  // namespace quoin::rpc

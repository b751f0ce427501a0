// Fetching a page over a simulated network, from a server that says exactly what it is told.

#include "rpc/http_client.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "env/sim/sim_world.h"

namespace quoin::rpc {
namespace {

// Answers whatever it is asked with bytes, one at a time.
class Teller final : public env::Connection::Handler {
 public:
  Teller(env::SimNetwork& network, env::Executor& loop, std::string answer)
      : loop_(loop), answer_(std::move(answer)) {
    auto listener = network.Listen("10.0.0.2:80", {&loop}, {}, [this](auto connection, auto&) {
      connection_ = std::move(connection);
      connection_->Start(*this);
    });
    EXPECT_TRUE(listener.ok());
    listener_ = *std::move(listener);
  }
  void OnData(std::string_view) override {
    if (told_ == 0) TellNext();
  }
  void OnClosed(Status) override {}

 private:
  void TellNext() {
    if (told_ == answer_.size()) return;
    connection_->Write(answer_.substr(told_++, 1));
    loop_.RunAfter(std::chrono::milliseconds(5), [this] { TellNext(); });
  }
  env::Executor& loop_;
  const std::string answer_;
  size_t told_ = 0;
  std::unique_ptr<env::Listener> listener_;
  std::unique_ptr<env::Connection> connection_;
};

StatusOr<HttpResponse> FetchFrom(const std::string& chunks) {
  env::SimWorld world(1);
  env::SimNetwork network(world);
  env::SimDisk disk(&world);
  env::SimEnv env(world, disk, network, "10.0.0.1");
  env::SimEnv other(world, disk, network, "10.0.0.2");
  std::unique_ptr<env::Executor> loop = env.NewExecutor("client");
  std::unique_ptr<env::Executor> server = other.NewExecutor("server");
  Teller teller(network, *server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks);
  std::optional<StatusOr<HttpResponse>> answer;
  std::unique_ptr<Fetch> fetch;
  loop->Post([&] {
    FetchRequest request;
    request.head.url = "http://10.0.0.2:80";
    request.timeout = std::chrono::seconds(10);
    fetch = StartFetch(env, *loop, std::move(request),
                       [&](StatusOr<HttpResponse> got) { answer = std::move(got); });
  });
  world.RunFor(std::chrono::seconds(11));
  fetch.reset();
  return answer.value_or(absl::UnknownError("no answer"));
}

// A member whose stream to another ended without a word ended, too, when those five bytes came in
// pieces.
TEST(HttpClient, AnAnswerMayComeByteByByte) {
  const StatusOr<HttpResponse> empty = FetchFrom("0\r\n\r\n");
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(empty->body, "");
  const StatusOr<HttpResponse> full = FetchFrom("3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_EQ(full->body, "abcd");
}

}  // namespace
}  // namespace quoin::rpc

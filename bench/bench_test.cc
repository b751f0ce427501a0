// The load generator against nghttp2's own server: what it sends must be HTTP/2, what it counts
// must be right.
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "bench/connection.h"
#include "bench/histogram.h"
#include "bench/requests.h"

namespace quoin::bench {
namespace {

TEST(HistogramTest, QuantilesAreWithinABucket) {
  Histogram histogram;
  for (uint64_t i = 1; i <= 100000; ++i) histogram.Record(i * 1000);
  EXPECT_EQ(histogram.count(), 100000u);
  for (double fraction : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = fraction * 100000 * 1000;
    EXPECT_GE(static_cast<double>(histogram.Quantile(fraction)), exact * 0.999) << fraction;
    EXPECT_LE(static_cast<double>(histogram.Quantile(fraction)), exact * 1.02) << fraction;
  }
  EXPECT_EQ(histogram.Quantile(1), 100000000u);
  EXPECT_EQ(histogram.max(), 100000000u);
}

TEST(HistogramTest, TakesEveryValue) {
  Histogram histogram;
  EXPECT_EQ(histogram.Quantile(0.5), 0u);
  for (uint64_t value : {uint64_t{0}, uint64_t{63}, uint64_t{64}, UINT64_MAX})
    histogram.Record(value);
  EXPECT_EQ(histogram.Quantile(0.25), 0u);
  EXPECT_EQ(histogram.Quantile(1), UINT64_MAX);
}

TEST(RequestSourceTest, WritesMessages) {
  Load load;
  load.mode = Load::Mode::kFill;
  load.keys = 12;
  load.value_bytes = 3;
  RequestSource source(load);
  std::string out;
  std::vector<std::string> messages;
  for (out.clear(); source.Next(out); out.clear()) messages.push_back(out);
  ASSERT_EQ(messages.size(), 12u);
  EXPECT_EQ(messages[11].substr(0, 25),
            std::string("\0\0\0\0\x19\x0a\x12", 7) + "bench/000000000011");
  EXPECT_EQ(messages[11].substr(25, 2), "\x12\x03");
  EXPECT_EQ(messages[11].size(), 30u);
}

// One server session and the calls it has seen.
class Server {
 public:
  explicit Server(bool refuse) : refuse_(refuse) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 8}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 1);
  }
  ~Server() { nghttp2_session_del(session_); }

  // Gives the client's bytes to the session and takes the answer, a few bytes at a time.
  void Exchange(Connection& client) {
    std::string input = std::move(client.output());
    client.output().clear();
    const ssize_t used = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(input.data()), input.size());
    ASSERT_EQ(used, static_cast<ssize_t>(input.size())) << nghttp2_strerror(static_cast<int>(used));
    const uint8_t* data = nullptr;
    for (ssize_t size = 0; (size = nghttp2_session_mem_send(session_, &data)) > 0;) {
      std::string_view bytes(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
      for (; !bytes.empty(); bytes.remove_prefix(std::min<size_t>(bytes.size(), 7))) {
        ASSERT_TRUE(client.Receive(bytes.substr(0, 7))) << client.error();
      }
    }
  }

  struct Call {
    std::map<std::string, std::string> headers;
    std::string body;
  };
  std::vector<Call> finished;

 private:
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_length, const uint8_t* value, size_t value_length, uint8_t,
                      void* self) {
    static_cast<Server*>(self)->open_[frame->hd.stream_id].headers.emplace(
        std::string(reinterpret_cast<const char*>(name), name_length),
        std::string(reinterpret_cast<const char*>(value), value_length));
    return 0;
  }
  static int OnData(nghttp2_session*, uint8_t, int32_t stream, const uint8_t* data, size_t size,
                    void* self) {
    static_cast<Server*>(self)->open_[stream].body.append(reinterpret_cast<const char*>(data),
                                                          size);
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    const bool carries_call = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (carries_call && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
      static_cast<Server*>(self)->Answer(frame->hd.stream_id);
    return 0;
  }

  void Answer(int32_t stream) {
    finished.push_back(std::move(open_[stream]));
    open_.erase(stream);
    const auto header = [](std::string_view name, std::string_view value) {
      return nghttp2_nv{reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                        reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                        value.size(), NGHTTP2_NV_FLAG_NONE};
    };
    const nghttp2_nv headers[] = {header(":status", "200"),
                                  header("content-type", "application/grpc"),
                                  header("grpc-status", refuse_ ? "3" : "0")};
    nghttp2_submit_headers(session_, NGHTTP2_FLAG_END_STREAM, stream, nullptr, headers, 3, nullptr);
  }

  nghttp2_session* session_ = nullptr;
  std::map<int32_t, Call> open_;
  const bool refuse_;
};

class Counter : public Connection::Observer {
 public:
  void OnCallEnd(Kind kind, uint64_t started_at, bool ok) override {
    ++(ok ? good : bad);
    ++of_kind[static_cast<size_t>(kind)];
    latest_start = std::max(latest_start, started_at);
  }
  uint64_t good = 0;
  uint64_t bad = 0;
  uint64_t of_kind[kKindCount] = {};
  uint64_t latest_start = 0;
};

TEST(ConnectionTest, TalksToAServerOfNghttp2) {
  Load load;
  load.mode = Load::Mode::kMixed;
  load.value_bytes = 9000;  // windows run out now and then
  RequestSource source(load);
  Counter counter;
  Connection client("host:1", 20, source, counter);
  Server server(false);
  for (uint64_t turn = 1; turn <= 200; ++turn) {
    client.StartCalls(turn);
    ASSERT_LE(client.calls_running(), turn == 1 ? 0u : 8u);  // the server's settings come first
    server.Exchange(client);
  }
  EXPECT_GT(server.finished.size(), 1000u);
  EXPECT_EQ(counter.good, server.finished.size());
  EXPECT_EQ(counter.bad, 0u);
  EXPECT_EQ(counter.latest_start, 200u);
  EXPECT_GT(counter.of_kind[0], 100u);
  EXPECT_GT(counter.of_kind[1], 100u);
  for (const Server::Call& call : server.finished) {
    const bool put = call.body.size() > 100;
    const std::map<std::string, std::string> expected = {
        {":method", "POST"},
        {":scheme", "http"},
        {":path", put ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Range"},
        {":authority", "host:1"},
        {"content-type", "application/grpc"},
        {"te", "trailers"}};
    ASSERT_EQ(call.headers, expected);
    ASSERT_EQ(call.body.size(), put ? 5u + 20 + 3 + 9000 : 25u);
  }
}

TEST(ConnectionTest, CountsRefusedCalls) {
  RequestSource source{Load()};
  Counter counter;
  Connection client("host:1", 4, source, counter);
  Server server(true);
  for (uint64_t turn = 1; turn <= 10; ++turn) {
    client.StartCalls(turn);
    server.Exchange(client);
  }
  EXPECT_EQ(counter.good, 0u);
  EXPECT_EQ(counter.bad, 36u);  // the first turn brings the settings
}

TEST(ConnectionTest, EndsOnNonsense) {
  RequestSource source{Load()};
  Counter counter;
  for (const std::string& bytes :
       {std::string("\xff\xff\xff\0\0\0\0\0\0", 9), std::string("\0\0\1\1\4\0\0\0\1\xff", 10),
        std::string("\0\0\0\1\0\0\0\0\1", 9), std::string("\0\0\0\7\0\0\0\0\0", 9),
        std::string("\0\0\1\10\0\0\0\0\0\0", 10)}) {
    Connection client("host:1", 4, source, counter);
    EXPECT_FALSE(client.Receive(bytes));
    EXPECT_FALSE(client.error().empty());
  }
}

}  // namespace
}  // namespace quoin::bench

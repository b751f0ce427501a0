// Conversations on streams of Watch with a whole member behind them, on virtual time: what the
// client asks, and what it is told, line by line.

#include "api/watch_service.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/testing/member_fixture.h"
#include "base/limits.h"
#include "proto/rpc.pb.h"

namespace quoin::api {
namespace {

using std::chrono::milliseconds;
using Lines = std::vector<std::string>;

constexpr size_t kStandingBytesMax = 100'000;

std::string Describe(const etcdserverpb::WatchResponse& response) {
  std::string text = fmt::format("{} at {}:", response.watch_id(), response.header().revision());
  if (response.created()) text += " created";
  if (response.canceled()) text += " canceled";
  if (response.compact_revision() != 0)
    text += fmt::format(" compacted {}", response.compact_revision());
  if (!response.cancel_reason().empty()) text += fmt::format(" ({})", response.cancel_reason());
  for (const mvccpb::Event& event : response.events()) {
    text += fmt::format(" {} {}", event.type() == mvccpb::Event::PUT ? "put" : "delete",
                        event.kv().key());
    if (event.kv().value().size() < 10) text += "=" + event.kv().value();
    if (event.has_prev_kv()) text += fmt::format(" was {}", event.prev_kv().value());
  }
  if (response.fragment()) text += " and more";
  return text;
}

// The library's side of a call: keeps what is sent until the client reads it.
class FakeCall final : public rpc::ServerCall {
 public:
  explicit FakeCall(env::Executor& loop) : loop_(loop) {}

  std::string_view method() const override { return "/etcdserverpb.Watch/Watch"; }
  std::optional<std::string_view> metadata(std::string_view) const override { return {}; }
  std::optional<env::Duration> deadline() const override { return {}; }
  std::string remote_address() const override { return "client"; }
  env::Executor& executor() override { return loop_; }
  void Send(std::string message) override {
    unsent_ += message.size();
    most_unsent_ = std::max(most_unsent_, unsent_);
    largest_ = std::max(largest_, message.size());
    sent_.push_back(std::move(message));
  }
  void StartMessage(uint64_t) override { ADD_FAILURE() << "a watch sends whole messages"; }
  void AppendMessage(std::string) override {}
  void AppendMessage(SharedBytes) override {}
  size_t unsent_bytes() const override { return unsent_; }
  void Finish(const Status& status) override { finished_ = status; }
  void PauseRequests() override {}
  void ResumeRequests() override {}
  bool SetStandingBytes(size_t bytes) override {
    if (bytes > standing_bytes_ && bytes > kStandingBytesMax) return false;
    standing_bytes_ = bytes;
    return true;
  }

  // The client reads everything. True: there was something.
  bool Read() {
    for (const std::string& message : sent_) {
      etcdserverpb::WatchResponse response;
      EXPECT_TRUE(response.ParseFromString(message));
      events_ += static_cast<size_t>(response.events_size());
      told_.push_back(Describe(response));
    }
    const bool any = !sent_.empty();
    sent_.clear();
    unsent_ = 0;
    return any;
  }
  Lines TakeTold() { return std::exchange(told_, {}); }
  size_t events() const { return events_; }
  size_t most_unsent() const { return most_unsent_; }
  size_t largest() const { return largest_; }
  const std::optional<Status>& finished() const { return finished_; }
  size_t standing_bytes() const { return standing_bytes_; }

 private:
  env::Executor& loop_;
  size_t standing_bytes_ = 0;
  std::vector<std::string> sent_;
  Lines told_;
  size_t unsent_ = 0, most_unsent_ = 0, largest_ = 0, events_ = 0;
  std::optional<Status> finished_;
};

class WatchCallTest : public MemberTest {
 protected:
  WatchCallTest() : MemberTest(WithProgress()) {}
  ~WatchCallTest() override {
    OnLoop([this] { streams_.clear(); });
  }
  static server::NodeConfig WithProgress() {
    server::NodeConfig config;
    config.watch_progress_interval = milliseconds(1000);
    return config;
  }

  // One client's stream.
  struct Stream {
    explicit Stream(env::Executor& loop) : call(loop) {}
    FakeCall call;
    std::unique_ptr<rpc::CallHandler> handler;
  };
  Stream& Open() {
    streams_.push_back(std::make_unique<Stream>(*io_));
    Stream& stream = *streams_.back();
    OnLoop([&] { stream.handler = NewWatchCall(*context_, stream.call); });
    return stream;
  }
  void Close(Stream& stream) {
    OnLoop([&] {
      stream.handler->OnCancel(absl::CancelledError("context canceled"));
      stream.handler.reset();
    });
  }

  void Say(Stream& stream, const etcdserverpb::WatchRequest& request) {
    OnLoop([&] { stream.handler->OnMessage(request.SerializeAsString()); });
  }
  // Time passes, and the client reads all that comes.
  Lines Hear(Stream& stream) {
    do {
      OnLoop([&] {
        if (stream.call.Read()) stream.handler->OnDrained();
      });
      world_.RunFor(milliseconds(5));
    } while (stream.call.unsent_bytes() > 0);
    return stream.call.TakeTold();
  }
  Lines Ask(Stream& stream, const etcdserverpb::WatchRequest& request) {
    Say(stream, request);
    return Hear(stream);
  }

  int64_t Put(const std::string& key, const std::string& value) {
    etcdserverpb::PutRequest put;
    put.set_key(key);
    put.set_value(value);
    return Apply(state::Operation::kPut, put.SerializeAsString());
  }
  int64_t Delete(const std::string& key) {
    etcdserverpb::DeleteRangeRequest range;
    range.set_key(key);
    return Apply(state::Operation::kDeleteRange, range.SerializeAsString());
  }
  int64_t watchers() const { return node_->info().watchers.load(); }

  static etcdserverpb::WatchRequest Create(const std::string& key, int64_t id = 0,
                                           int64_t start = 0) {
    etcdserverpb::WatchRequest request;
    request.mutable_create_request()->set_key(key);
    request.mutable_create_request()->set_watch_id(id);
    request.mutable_create_request()->set_start_revision(start);
    return request;
  }
  static etcdserverpb::WatchRequest Cancel(int64_t id) {
    etcdserverpb::WatchRequest request;
    request.mutable_cancel_request()->set_watch_id(id);
    return request;
  }
  static etcdserverpb::WatchRequest AskProgress() {
    etcdserverpb::WatchRequest request;
    request.mutable_progress_request();
    return request;
  }

  std::vector<std::unique_ptr<Stream>> streams_;
};

TEST_F(WatchCallTest, IdsAreGivenTakenAndRefused) {
  Stream& stream = Open();
  EXPECT_EQ(Ask(stream, Create("a")), Lines{"0 at 1: created"});
  EXPECT_EQ(Ask(stream, Create("a", 2)), Lines{"2 at 1: created"});
  EXPECT_EQ(Ask(stream, Create("a", 2)),
            Lines{"-1 at 1: created canceled (mvcc: duplicate watch ID provided on the "
                  "WatchStream)"});
  EXPECT_EQ(Ask(stream, Create("a")), Lines{"1 at 1: created"});
  EXPECT_EQ(Ask(stream, Create("a")), Lines{"3 at 1: created"});  // 2 is taken
  EXPECT_EQ(Ask(stream, Cancel(99)), Lines{});
  EXPECT_EQ(Ask(stream, Cancel(2)), Lines{"2 at 1: canceled"});
  EXPECT_EQ(Ask(stream, Cancel(2)), Lines{});
  EXPECT_EQ(Ask(stream, Create("a", 2)), Lines{"2 at 1: created"});
  EXPECT_EQ(Ask(stream, Create("a", -7)), Lines{"-7 at 1: created"});
  EXPECT_EQ(watchers(), 5);
  Close(stream);
  EXPECT_EQ(watchers(), 0);
}

TEST_F(WatchCallTest, WhatCannotBeWatchedIsRefusedAndTheStreamStays) {
  Stream& stream = Open();
  EXPECT_EQ(Ask(stream, Create("a", 0, -1)),
            Lines{"-1 at 1: created canceled (etcdserver: mvcc: required revision has been "
                  "compacted)"});
  etcdserverpb::WatchRequest backwards = Create("b");
  backwards.mutable_create_request()->set_range_end("a");
  EXPECT_EQ(Ask(stream, backwards),
            Lines{"-1 at 1: created canceled (mvcc: watcher range is empty)"});
  EXPECT_EQ(Ask(stream, {}), Lines{});
  EXPECT_EQ(watchers(), 0);
  EXPECT_EQ(Ask(stream, Create("a")), Lines{"0 at 1: created"});
  EXPECT_FALSE(stream.call.finished());
}

TEST_F(WatchCallTest, EventsComeWithWhatWasAskedFor) {
  Stream& stream = Open();
  etcdserverpb::WatchRequest all = Create("a");
  all.mutable_create_request()->set_range_end("z");
  all.mutable_create_request()->set_prev_kv(true);
  etcdserverpb::WatchRequest deletes = all;
  deletes.mutable_create_request()->set_prev_kv(false);
  deletes.mutable_create_request()->add_filters(etcdserverpb::WatchCreateRequest::NOPUT);
  Ask(stream, all);
  Ask(stream, deletes);
  Put("k", "1");
  Put("k", "2");
  Delete("k");
  EXPECT_EQ(Hear(stream), (Lines{"0 at 2: put k=1", "0 at 3: put k=2 was 1",
                                 "0 at 4: delete k= was 2", "1 at 4: delete k="}));
  // The same from the past, in one response.
  EXPECT_EQ(Ask(stream, Create("k", 9, 2)),
            (Lines{"9 at 4: created", "9 at 4: put k=1 put k=2 delete k="}));
  // And from the future.
  EXPECT_EQ(Ask(stream, Create("k", 10, 6)), Lines{"10 at 4: created"});
  Ask(stream, Cancel(0));
  Ask(stream, Cancel(9));
  Put("k", "5");
  Put("k", "6");
  EXPECT_EQ(Hear(stream), Lines{"10 at 6: put k=6"});
}

TEST_F(WatchCallTest, ProgressIsToldWhenEverybodyIsThere) {
  Stream& stream = Open();
  EXPECT_EQ(Ask(stream, AskProgress()), Lines{});  // nobody watches
  Ask(stream, Create("k"));
  Put("other", "1");
  EXPECT_EQ(Ask(stream, AskProgress()), Lines{"-1 at 2:"});
  Ask(stream, Create("k", 5, 4));  // its time has not come
  EXPECT_EQ(Ask(stream, AskProgress()), Lines{});
  Put("other", "2");
  Put("other", "3");
  EXPECT_EQ(Ask(stream, AskProgress()), Lines{"-1 at 4:"});
}

TEST_F(WatchCallTest, NotificationsComeWhenNothingElseDid) {
  Stream& stream = Open();
  etcdserverpb::WatchRequest request = Create("k");
  request.mutable_create_request()->set_progress_notify(true);
  Ask(stream, request);
  world_.RunFor(milliseconds(1200));
  EXPECT_EQ(Hear(stream), Lines{"0 at 1:"});
  Put("k", "1");
  world_.RunFor(milliseconds(1200));
  EXPECT_EQ(Hear(stream), Lines{"0 at 2: put k=1"});
  world_.RunFor(milliseconds(1200));
  EXPECT_EQ(Hear(stream), Lines{"0 at 2:"});
}

TEST_F(WatchCallTest, CompactionEndsWhoWantsWhatIsGone) {
  Stream& stream = Open();
  for (const char* value : {"1", "2", "3", "4"}) Put("k", value);
  Compact(4);
  EXPECT_EQ(Ask(stream, Create("k", 1, 3)),
            (Lines{"1 at 5: created", "1 at 0: canceled compacted 4"}));
  EXPECT_EQ(Ask(stream, Create("k", 2, 4)), (Lines{"2 at 5: created", "2 at 5: put k=3 put k=4"}));
  EXPECT_EQ(watchers(), 1);
  // It is known until the client lets it go, once.
  EXPECT_EQ(Ask(stream, Cancel(1)), Lines{"1 at 5: canceled"});
  EXPECT_EQ(Ask(stream, Cancel(1)), Lines{});
}

// Keys of watchers count from the creation to the end, but for small ones.
TEST_F(WatchCallTest, KeysThatAreTooMuchAreRefusedAndTheStreamStays) {
  Stream& stream = Open();
  const std::string key(40'000, 'k');
  for (const char* value : {"1", "2", "3"}) Put("k", value);
  Compact(4);
  EXPECT_EQ(Ask(stream, Create(key)), Lines{"0 at 4: created"});
  etcdserverpb::WatchRequest range = Create(key);
  range.mutable_create_request()->set_range_end("l");
  EXPECT_EQ(Ask(stream, range), Lines{"1 at 4: created"});
  EXPECT_EQ(stream.call.standing_bytes(), 80'001u);
  const Lines refused{"-1 at 4: created canceled (etcdserver: too many requests)"};
  EXPECT_EQ(Ask(stream, Create(key)), refused);
  EXPECT_EQ(watchers(), 2);
  EXPECT_EQ(Ask(stream, Create("small")), Lines{"2 at 4: created"});
  Ask(stream, Cancel(0));
  // It is counted as long as it lives: here compaction ends it.
  Ask(stream, Create(key, 9, 1));
  EXPECT_EQ(stream.call.standing_bytes(), 40'001u);
  EXPECT_EQ(Ask(stream, Create(key)), Lines{"3 at 4: created"});
  EXPECT_EQ(Ask(stream, Create(key)), refused);
}

TEST_F(WatchCallTest, NonsenseEndsTheStream) {
  Stream& stream = Open();
  Ask(stream, Create("k"));
  OnLoop([&] { stream.handler->OnMessage("\xff\xff\xff"); });
  ASSERT_TRUE(stream.call.finished());
  EXPECT_EQ(stream.call.finished()->code(), absl::StatusCode::kInternal);
  EXPECT_EQ(watchers(), 0);
}

TEST_F(WatchCallTest, LargeResponsesAreSplitWhereThatIsAskedFor) {
  Stream& stream = Open();
  const std::string large(600'000, 'v');
  for (int i = 0; i < 5; ++i) Put("k", large);
  etcdserverpb::WatchRequest request = Create("k", 3, 2);
  request.mutable_create_request()->set_fragment(true);
  EXPECT_EQ(Ask(stream, request), (Lines{"3 at 6: created", "3 at 6: put k put k put k and more",
                                         "3 at 6: put k put k"}));
  // Otherwise whole revisions, as many as fit in 2 MiB.
  EXPECT_EQ(Ask(stream, Create("k", 4, 2)),
            (Lines{"4 at 6: created", "4 at 4: put k put k put k", "4 at 6: put k put k"}));
}

// A client that never reads, with any number of watchers: what waits for it is bounded, others get
// theirs at once, and when it reads at last it gets everything.
TEST_F(WatchCallTest, AHundredThousandWatchersOfAClientThatDoesNotRead) {
  constexpr int64_t kWatchers = 100'000, kPuts = 3;
  Stream& silent = Open();
  Stream& other = Open();
  for (int64_t first = 1; first <= kWatchers; first += 1000) {
    OnLoop([&] {
      for (int64_t id = first; id < first + 1000; ++id)
        silent.handler->OnMessage(Create("k", id).SerializeAsString());
    });
    Hear(silent);
  }
  EXPECT_EQ(watchers(), kWatchers);
  Ask(other, Create("k"));
  const std::string value(200'000, 'v');
  for (int64_t i = 0; i < kPuts; ++i) {
    Put("k", value);
    EXPECT_EQ(Hear(other).size(), 1u);
  }
  EXPECT_LE(silent.call.most_unsent(), limits::kCallUnsentBytesMax + silent.call.largest());
  EXPECT_GT(silent.call.unsent_bytes(), limits::kCallUnsentBytesMax);
  Close(silent);
  EXPECT_EQ(watchers(), 1);
  Put("k", "small");
  EXPECT_EQ(Hear(other), Lines{"0 at 5: put k=small"});
}

TEST_F(WatchCallTest, WhoReadsLateGetsEverythingOnce) {
  constexpr int64_t kWatchers = 500, kPuts = 4;
  Stream& stream = Open();
  for (int64_t i = 0; i < kWatchers; ++i) Say(stream, Create("k", i + 1));
  Hear(stream);
  for (int64_t i = 0; i < kPuts; ++i) Put("k", std::string(10'000, 'v'));
  EXPECT_LE(stream.call.most_unsent(), limits::kCallUnsentBytesMax + stream.call.largest());
  const size_t before = stream.call.events();
  std::map<std::string, size_t> told;  // responses by watch
  while (stream.call.events() < before + kWatchers * kPuts) {
    const Lines lines = Hear(stream);
    ASSERT_FALSE(lines.empty()) << stream.call.events();
    for (const std::string& line : lines) ++told[line.substr(0, line.find(' '))];
  }
  EXPECT_EQ(Hear(stream), Lines{});
  EXPECT_EQ(told.size(), static_cast<size_t>(kWatchers));
  EXPECT_EQ(Ask(stream, AskProgress()), Lines{"-1 at 5:"});
}

}  // namespace
}  // namespace quoin::api

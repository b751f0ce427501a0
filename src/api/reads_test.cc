// Reads with a whole member behind them, on virtual time: answers too big for one turn, clients
// that take them slowly or not at all, and what goes on meanwhile.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "api/context.h"
#include "api/kv_service.h"
#include "api/maintenance_service.h"
#include "base/errors.h"
#include "base/limits.h"
#include "base/log.h"
#include "env/sim/sim_world.h"
#include "proto/rpc.pb.h"
#include "server/node.h"
#include "state/txn.h"

namespace quoin::api {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kStepsMax = 5'000'000;
constexpr char kPeerUrl[] = "http://10.0.0.1:2380";
const std::string kFromKey(1, '\0');

// The library's side of a call, and a client that takes bytes when it is told to.
class FakeCall final : public rpc::ServerCall {
 public:
  explicit FakeCall(env::Executor& loop) : loop_(loop) {}

  std::string_view method() const override { return "/etcdserverpb.KV/Range"; }
  std::optional<std::string_view> metadata(std::string_view) const override { return {}; }
  std::optional<env::Duration> deadline() const override { return {}; }
  std::string remote_address() const override { return "client"; }
  env::Executor& executor() override { return loop_; }
  void Send(std::string message) override {
    StartMessage(message.size());
    AppendMessage(std::move(message));
  }
  void StartMessage(uint64_t total_bytes) override {
    EXPECT_EQ(missing_, 0) << "a message within a message";
    missing_ = total_bytes;
    messages_.emplace_back();
  }
  void AppendMessage(std::string part) override {
    EXPECT_LE(part.size(), missing_) << "more than was announced";
    missing_ -= part.size();
    unsent_ += part.size();
    most_unsent_ = std::max(most_unsent_, unsent_);
    messages_.back() += part;
  }
  void AppendMessage(SharedBytes part) override { AppendMessage(std::string(part.view())); }
  size_t unsent_bytes() const override { return unsent_; }
  void Finish(const Status& status) override {
    EXPECT_TRUE(missing_ == 0 || !status.ok()) << "less than was announced";
    finished_ = status;
  }
  void PauseRequests() override {}
  void ResumeRequests() override {}

  // The client takes up to `bytes` of what is there; true: there was something.
  bool Take(size_t bytes) {
    const size_t taken = std::min(bytes, unsent_);
    unsent_ -= taken;
    return taken > 0;
  }
  const std::vector<std::string>& messages() const { return messages_; }
  size_t most_unsent() const { return most_unsent_; }
  const std::optional<Status>& finished() const { return finished_; }

 private:
  env::Executor& loop_;
  std::vector<std::string> messages_;
  uint64_t missing_ = 0;
  size_t unsent_ = 0, most_unsent_ = 0;
  std::optional<Status> finished_;
};

class ReadsTest : public testing::Test {
 protected:
  // A client's call.
  struct Call {
    explicit Call(env::Executor& loop) : call(loop) {}
    FakeCall call;
    std::unique_ptr<rpc::CallHandler> handler;
    bool ended() const { return call.finished().has_value(); }
    Status status() const { return call.finished().value_or(absl::UnknownError("goes on")); }
  };
  using NewCall = std::unique_ptr<rpc::CallHandler> (*)(const Context&, rpc::ServerCall&);

  ReadsTest() : disk_(&world_), network_(world_), env_(world_, disk_, network_) {
    config_.data_dir = "data";
    config_.advertise_peer_urls = {kPeerUrl};
    config_.initial_cluster = {{config_.name, {kPeerUrl}}};
    io_ = env_.NewExecutor("io");
    owner_ = env_.NewExecutor("owner");
    auto node = server::Node::Start(env_, config_, {io_.get()}, *owner_, {}, log_);
    CHECK(node.ok());
    node_ = *std::move(node);
    CHECK(world_.RunUntil([this] { return node_->info().capable.load(); }, kStepsMax));
    context_ = std::make_unique<Context>(*node_, std::vector<env::Executor*>{io_.get()},
                                         [] { return ProcessStats(); });
  }
  ~ReadsTest() override {
    OnLoop([this] { calls_.clear(); });
    context_.reset();
  }

  Call& Ask(NewCall new_call, const google::protobuf::MessageLite& request) {
    calls_.push_back(std::make_unique<Call>(*io_));
    Call& call = *calls_.back();
    OnLoop([&] {
      call.handler = new_call(*context_, call.call);
      call.handler->OnMessage(request.SerializeAsString());
    });
    return call;
  }
  // The client takes `bytes` at once; time passes until the member has filled up again.
  void Take(Call& call, size_t bytes) {
    OnLoop([&] {
      const bool drained = call.call.Take(bytes);
      if (drained && !call.ended()) call.handler->OnDrained();
    });
    world_.RunFor(milliseconds(5));
  }
  // To its end; the session then destroys the handler.
  void TakeAll(Call& call) {
    while (!call.ended()) Take(call, SIZE_MAX);
    OnLoop([&] { call.handler.reset(); });
  }

  void OnLoop(std::function<void()> task) {
    bool done = false;
    io_->Post([&] {
      task();
      done = true;
    });
    CHECK(world_.RunUntil([&] { return done; }, kStepsMax));
  }
  int64_t Apply(state::Operation operation, const std::string& payload) {
    std::optional<int64_t> revision;
    OnLoop([&] {
      auto wait = node_->frontend(0).Propose(operation, payload, [&](state::ApplyResult result) {
        CHECK(result.status.ok());
        revision = result.revision;
      });
      CHECK(wait.ok());
      std::move(*wait).Detach();
    });
    CHECK(world_.RunUntil([&] { return revision.has_value(); }, kStepsMax));
    return *revision;
  }
  static std::string Key(int i) { return "k" + std::to_string(1'000'000 + i); }
  // Keys 0 … count-1, a hundred a transaction; returns the last revision.
  int64_t Fill(int count, size_t value_bytes) {
    int64_t revision = 0;
    for (int first = 0; first < count; first += 100) {
      etcdserverpb::TxnRequest txn;
      for (int i = first; i < std::min(count, first + 100); ++i) {
        etcdserverpb::PutRequest* put = txn.add_success()->mutable_request_put();
        put->set_key(Key(i));
        put->set_value(std::string(value_bytes, 'v'));
      }
      revision = Apply(state::Operation::kTxn, txn.SerializeAsString());
    }
    return revision;
  }
  void Compact(int64_t revision) {
    etcdserverpb::CompactionRequest compaction;
    compaction.set_revision(revision);
    Apply(state::Operation::kCompaction, compaction.SerializeAsString());
    world_.RunFor(milliseconds(100));
  }
  bool CompactionPending() {
    std::optional<bool> pending;
    node_->apply_executor().Post(
        [&] { pending = node_->apply_loop().machine().store().compaction_pending(); });
    CHECK(world_.RunUntil([&] { return pending.has_value(); }, kStepsMax));
    return *pending;
  }

  static etcdserverpb::RangeRequest Everything() {
    etcdserverpb::RangeRequest range;
    range.set_key(kFromKey);
    range.set_range_end(kFromKey);
    return range;
  }
  static etcdserverpb::RangeResponse Answer(const Call& call) {
    etcdserverpb::RangeResponse response;
    EXPECT_EQ(call.status(), OkStatus());
    const bool is_one = call.call.messages().size() == 1;
    EXPECT_TRUE(is_one && response.ParseFromString(call.call.messages()[0]));
    return response;
  }

  NullLogger log_;
  env::SimWorld world_{1};
  env::SimDisk disk_;
  env::SimNetwork network_;
  server::NodeConfig config_;
  env::SimEnv env_;
  std::unique_ptr<env::Executor> io_, owner_;
  std::unique_ptr<server::Node> node_;
  std::unique_ptr<Context> context_;
  std::vector<std::unique_ptr<Call>> calls_;
};

// --- ranges and compactions ---

class OrderedReadsTest : public ReadsTest,
                         public testing::WithParamInterface<etcdserverpb::RangeRequest::SortOrder> {
};

// Half the answer is on its way when all that it still needs is compacted: it is completed.
TEST_P(OrderedReadsTest, AnAnswerThatWasBegunIsCompletedThoughACompactionComes) {
  constexpr int kKeys = 5000;
  const int64_t revision = Fill(kKeys, 1000);
  etcdserverpb::RangeRequest range = Everything();
  range.set_sort_order(GetParam());
  Call& call = Ask(&NewRangeCall, range);
  world_.RunFor(seconds(1));
  ASSERT_FALSE(call.ended()) << "all of it was taken at once: the test tests nothing";
  ASSERT_GT(call.call.unsent_bytes(), 0);
  Fill(kKeys, 10);
  const int64_t after = Fill(1, 10);
  Compact(after);
  EXPECT_TRUE(CompactionPending());
  TakeAll(call);
  const etcdserverpb::RangeResponse answer = Answer(call);
  EXPECT_EQ(answer.header().revision(), revision);
  EXPECT_EQ(answer.count(), kKeys);
  ASSERT_EQ(answer.kvs_size(), kKeys);
  for (const mvccpb::KeyValue& kv : answer.kvs()) EXPECT_EQ(kv.value().size(), 1000);
  world_.RunFor(seconds(1));
  EXPECT_FALSE(CompactionPending()) << "the compaction waits for nobody";
}

INSTANTIATE_TEST_SUITE_P(Orders, OrderedReadsTest,
                         testing::Values(etcdserverpb::RangeRequest::NONE,
                                         etcdserverpb::RangeRequest::DESCEND));

TEST_F(ReadsTest, AClientThatTakesNothingHoldsACompactionForHalfAMinute) {
  Fill(5000, 1000);
  Call& call = Ask(&NewRangeCall, Everything());
  world_.RunFor(seconds(1));
  Compact(Fill(100, 10));
  world_.RunFor(limits::kPinIdleMax - seconds(3));
  EXPECT_TRUE(CompactionPending());
  EXPECT_FALSE(call.ended());
  world_.RunFor(seconds(5));
  EXPECT_FALSE(CompactionPending());
  TakeAll(call);
  EXPECT_EQ(call.status(), errors::TakenTooSlowly());
}

TEST_F(ReadsTest, AClientThatIsSlowHoldsACompactionForFiveMinutes) {
  Fill(10'000, 1000);
  Call& call = Ask(&NewRangeCall, Everything());
  world_.RunFor(seconds(1));
  Compact(Fill(100, 10));
  const env::Duration compacted = world_.Now();
  while (CompactionPending() && !call.ended()) {
    Take(call, 400'000);  // more than a part of the answer
    world_.RunFor(seconds(20));
  }
  ASSERT_FALSE(call.ended());
  EXPECT_GE(world_.Now() - compacted, limits::kCompactionWaitMax);
  EXPECT_LE(world_.Now() - compacted, limits::kCompactionWaitMax + seconds(25));
  TakeAll(call);
  EXPECT_EQ(call.status(), errors::TakenTooSlowly());
}

TEST_F(ReadsTest, AClientThatHasGoneHoldsNothing) {
  Fill(5000, 1000);
  Call& call = Ask(&NewRangeCall, Everything());
  world_.RunFor(seconds(1));
  Compact(Fill(100, 10));
  EXPECT_TRUE(CompactionPending());
  OnLoop([&] {
    call.handler->OnCancel(absl::CancelledError("context canceled"));
    call.handler.reset();
  });
  world_.RunFor(milliseconds(100));
  EXPECT_FALSE(CompactionPending());
}

// As etcd's: a stream may end between two messages.
TEST_F(ReadsTest, AStreamEndsWithACompactionAndHoldsNothing) {
  Fill(5000, 1000);
  Call& call = Ask(&NewRangeStreamCall, Everything());
  world_.RunFor(seconds(1));
  ASSERT_FALSE(call.ended());
  Compact(Fill(100, 10));
  EXPECT_FALSE(CompactionPending());
  TakeAll(call);
  EXPECT_EQ(call.status(), errors::Compacted());
}

// --- transactions that only read ---

class ReadOnlyTxnTest : public ReadsTest {
 protected:
  // What the transaction is answered behind the header, found in one go.
  std::string Expected(const etcdserverpb::TxnRequest& txn) {
    std::string body;
    OnLoop([&] {
      EpochDomain::Guard guard(node_->frontend(0).slot());
      const mvcc::View view = node_->frontend(0).store().Current(btree::OnMiss::kLoad);
      auto found = state::RunReadOnlyTxn(view, txn, mvcc::ReadBudget());
      CHECK(found.ok()) << found.status();
      AppendHeader(node_->frontend(0).info(), view.revision(), body);
      body += **found;
    });
    return body;
  }
  static void AddRange(etcdserverpb::TxnRequest& txn, const etcdserverpb::RangeRequest& range) {
    *txn.add_success()->mutable_request_range() = range;
    *txn.add_failure()->mutable_request_range() = range;
  }
  static etcdserverpb::Compare* AddValueGuard(etcdserverpb::TxnRequest& txn,
                                              const std::string& value) {
    etcdserverpb::Compare* guard = txn.add_compare();
    guard->set_key(kFromKey);
    guard->set_range_end(kFromKey);
    guard->set_target(etcdserverpb::Compare::VALUE);
    guard->set_result(etcdserverpb::Compare::EQUAL);
    guard->set_value(value);
    return guard;
  }
  etcdserverpb::RangeRequest SomeRange(std::mt19937& random, int keys, int64_t revision) {
    auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    etcdserverpb::RangeRequest range;
    const int first = below(keys);
    range.set_key(Key(first));
    if (below(10) > 0) range.set_range_end(below(2) == 0 ? kFromKey : Key(first + below(keys)));
    if (below(3) == 0) range.set_limit(below(keys));
    range.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(below(3)));
    range.set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(below(5)));
    range.set_keys_only(below(3) == 0);
    range.set_count_only(below(6) == 0);
    if (below(3) == 0) range.set_revision(2 + below(static_cast<int>(revision) - 1));
    if (below(4) == 0) range.set_min_mod_revision(1 + below(static_cast<int>(revision)));
    return range;
  }
};

TEST_F(ReadOnlyTxnTest, LargeOnesAreAnsweredAsSmallOnes) {
  constexpr int kKeys = 3000;
  Fill(kKeys, 100);
  const int64_t revision = Fill(kKeys / 2, 30);
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    etcdserverpb::TxnRequest txn;
    for (uint32_t guards = random() % 3; guards > 0; --guards) {
      AddValueGuard(txn, std::string(random() % 2 == 0 ? 100 : 30, 'v'))
          ->set_key(Key(static_cast<int>(random() % kKeys)));
    }
    for (uint32_t ranges = random() % 6; ranges > 0; --ranges)
      AddRange(txn, SomeRange(random, kKeys, revision));
    Call& call = Ask(&NewTxnCall, txn);
    TakeAll(call);
    ASSERT_EQ(call.status(), OkStatus());
    ASSERT_EQ(call.call.messages().size(), 1);
    EXPECT_TRUE(call.call.messages()[0] == Expected(txn));
  }
}

TEST_F(ReadOnlyTxnTest, AnAnswerOfAnyLengthTakesTheMemoryOfAPart) {
  Fill(5000, 1000);
  etcdserverpb::TxnRequest txn;
  for (int i = 0; i < 20; ++i) AddRange(txn, Everything());
  Call& call = Ask(&NewTxnCall, txn);
  EXPECT_FALSE(call.ended()) << "on the I/O loop, in one turn";
  world_.RunFor(seconds(1));
  Compact(Fill(5000, 10));  // all of it is still of one moment
  TakeAll(call);
  ASSERT_EQ(call.status(), OkStatus());
  EXPECT_LT(call.call.most_unsent(), limits::kCallUnsentBytesMax + (600 << 10));
  etcdserverpb::TxnResponse response;
  ASSERT_TRUE(response.ParseFromString(call.call.messages()[0]));
  ASSERT_EQ(response.responses_size(), 20);
  for (const etcdserverpb::ResponseOp& op : response.responses()) {
    ASSERT_EQ(op.response_range().kvs_size(), 5000);
    EXPECT_EQ(op.response_range().kvs(4999).value().size(), 1000);
  }
}

TEST_F(ReadOnlyTxnTest, AGuardEndsAtTheFirstKeyThatDecides) {
  Fill(5000, 10);
  etcdserverpb::TxnRequest txn;
  AddValueGuard(txn, "another");
  AddValueGuard(txn, std::string(10, 'v'));
  OnLoop([&] {
    EpochDomain::Guard guard(node_->frontend(0).slot());
    const mvcc::View view = node_->frontend(0).store().Current(btree::OnMiss::kLoad);
    mvcc::ReadBudget budget{1, 1000};
    auto holds = state::GuardsRun(txn).Slice(view, view.revision(), budget);
    ASSERT_TRUE(holds.ok());
    EXPECT_EQ(*holds, std::optional<bool>(false));
  });
}

TEST_F(ReadOnlyTxnTest, GuardsOverManyKeysLeaveTheIoLoop) {
  Fill(5000, 10);
  etcdserverpb::TxnRequest txn;
  for (int i = 0; i < 32; ++i) AddValueGuard(txn, std::string(10, 'v'));
  Call& call = Ask(&NewTxnCall, txn);
  EXPECT_FALSE(call.ended()) << "on the I/O loop, in one turn";
  TakeAll(call);
  ASSERT_EQ(call.status(), OkStatus());
  EXPECT_EQ(call.call.messages()[0], Expected(txn));
}

TEST_F(ReadOnlyTxnTest, WhatCannotBeReadIsSaidBeforeAnythingIsSent) {
  Fill(3000, 100);
  etcdserverpb::TxnRequest txn;
  AddRange(txn, Everything());
  etcdserverpb::RangeRequest future = Everything();
  future.set_revision(1'000'000);
  AddRange(txn, future);
  AddValueGuard(txn, std::string(100, 'v'));
  Call& call = Ask(&NewTxnCall, txn);
  TakeAll(call);
  EXPECT_EQ(call.status(), errors::FutureRevision());
  EXPECT_TRUE(call.call.messages().empty());
}

// --- snapshots ---

TEST_F(ReadsTest, AClientThatTakesNoSnapshotIsCutOffAndHoldsNobodyUp) {
  Fill(5000, 1000);
  const etcdserverpb::SnapshotRequest request;
  Call& stalled = Ask(&NewSnapshotCall, request);
  world_.RunFor(seconds(1));
  ASSERT_FALSE(stalled.ended());
  ASSERT_GT(stalled.call.unsent_bytes(), 0);
  Fill(10, 10);
  Call& hash = Ask(&NewHashCall, etcdserverpb::HashRequest());
  TakeAll(hash);
  EXPECT_EQ(hash.status(), OkStatus());
  Call& other = Ask(&NewSnapshotCall, request);
  TakeAll(other);
  EXPECT_EQ(other.status(), OkStatus());
  world_.RunFor(limits::kSnapshotIdleMax - seconds(10));
  EXPECT_FALSE(stalled.ended());
  world_.RunFor(seconds(20));
  EXPECT_TRUE(absl::IsResourceExhausted(stalled.status())) << stalled.status();
}

TEST_F(ReadsTest, AClientThatTakesASnapshotSlowlyIsNotCutOff) {
  Fill(3000, 1000);
  Call& slow = Ask(&NewSnapshotCall, etcdserverpb::SnapshotRequest());
  world_.RunFor(seconds(1));
  while (!slow.ended()) {
    Take(slow, 600'000);
    world_.RunFor(seconds(14));
  }
  EXPECT_EQ(slow.status(), OkStatus());
  std::string file;
  for (const std::string& message : slow.call.messages()) {
    etcdserverpb::SnapshotResponse response;
    ASSERT_TRUE(response.ParseFromString(message));
    file += response.blob();
  }
  EXPECT_EQ(file.size() % 512, 32) << "pages and a digest";
}

TEST_F(ReadsTest, OfManySlowClientsTheSlowestMakeRoom) {
  Fill(40'000, 1000);
  std::vector<Call*> slow;
  for (size_t i = 0; i < limits::kFrozenImagesMax; ++i) {
    Fill(1, 10);  // each has an image of its own
    slow.push_back(&Ask(&NewSnapshotCall, etcdserverpb::SnapshotRequest()));
    world_.RunFor(seconds(1));
  }
  const auto take_slowly = [&](int seconds_of_it) {
    for (int second = 0; second < seconds_of_it; second += 5) {
      for (Call* call : slow)
        if (!call->ended()) Take(*call, 300'000);
      world_.RunFor(seconds(5));
    }
  };
  take_slowly(60);
  for (const Call* call : slow) EXPECT_FALSE(call->ended()) << "nobody waits";
  Fill(1, 10);
  Call& hash = Ask(&NewHashCall, etcdserverpb::HashRequest());
  take_slowly(60);
  TakeAll(hash);
  EXPECT_EQ(hash.status(), OkStatus());
}

TEST_F(ReadsTest, AHashThatNobodyWaitsForEnds) {
  Fill(20'000, 100);
  const etcdserverpb::HashKVRequest request;
  for (int i = 0; i < 2000; ++i) {
    Call& given_up = Ask(&NewHashKvCall, request);
    OnLoop([&] {
      given_up.handler->OnCancel(absl::CancelledError());
      given_up.handler.reset();
    });
  }
  const uint64_t before = world_.events();
  Call& hash = Ask(&NewHashKvCall, request);
  TakeAll(hash);
  EXPECT_EQ(hash.status(), OkStatus());
  EXPECT_LT(world_.events() - before, 2000) << "slices of others ran";
}

TEST_F(ReadsTest, TooManyHashesAreRefused) {
  Fill(20'000, 100);
  const etcdserverpb::HashKVRequest request;
  std::vector<Call*> calls;
  for (int i = 0; i < 200; ++i) calls.push_back(&Ask(&NewHashKvCall, request));
  size_t refused = 0;
  for (Call* call : calls) {
    TakeAll(*call);
    refused += absl::IsResourceExhausted(call->status());
    EXPECT_TRUE(call->status().ok() || absl::IsResourceExhausted(call->status()));
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 200);
}

// --- streams ---

class StreamTest : public ReadsTest {
 protected:
  // The responses of a stream that has ended well.
  std::vector<etcdserverpb::RangeResponse> Stream(const etcdserverpb::RangeRequest& range) {
    Call& call = Ask(&NewRangeStreamCall, range);
    TakeAll(call);
    EXPECT_EQ(call.status(), OkStatus());
    std::vector<etcdserverpb::RangeResponse> responses;
    for (const std::string& message : call.call.messages()) {
      etcdserverpb::RangeStreamResponse response;
      EXPECT_TRUE(response.ParseFromString(message));
      responses.push_back(response.range_response());
    }
    for (size_t i = 0; i + 1 < responses.size(); ++i) {
      EXPECT_FALSE(responses[i].has_header());
      EXPECT_EQ(responses[i].count(), 0);
    }
    EXPECT_TRUE(!responses.empty() && responses.back().has_header());
    return responses;
  }
  static std::vector<int> Sizes(const std::vector<etcdserverpb::RangeResponse>& responses) {
    std::vector<int> sizes;
    for (const auto& response : responses) sizes.push_back(response.kvs_size());
    return sizes;
  }
};

TEST_F(StreamTest, ChunksBeginWithTenKeysAndDouble) {
  Fill(1000, 100);
  const auto all = Stream(Everything());
  EXPECT_EQ(Sizes(all), (std::vector<int>{10, 20, 40, 80, 160, 320, 370}));
  EXPECT_EQ(all.back().count(), 1000);
  EXPECT_FALSE(all.back().more());
  int next = 0;
  for (const auto& response : all) {
    for (const mvccpb::KeyValue& kv : response.kvs()) ASSERT_EQ(kv.key(), Key(next++));
  }
  EXPECT_EQ(next, 1000);
}

TEST_F(StreamTest, ALimitCutsTheLastChunk) {
  Fill(1000, 100);
  etcdserverpb::RangeRequest range = Everything();
  for (const auto& [limit, sizes] :
       std::vector<std::pair<int, std::vector<int>>>{{3, {3}}, {10, {10}}, {45, {10, 20, 15}}}) {
    range.set_limit(limit);
    const auto some = Stream(range);
    EXPECT_EQ(Sizes(some), sizes);
    EXPECT_EQ(some.back().count(), 1000);
    EXPECT_TRUE(some.back().more());
  }
  range.set_limit(1000);
  EXPECT_FALSE(Stream(range).back().more());
  range.set_limit(0);
  range.set_count_only(true);
  const auto counted = Stream(range);
  EXPECT_EQ(Sizes(counted), std::vector<int>{0});
  EXPECT_EQ(counted.back().count(), 1000);
}

TEST_F(StreamTest, ChunksShrinkWhereValuesAreLarge) {
  Fill(200, 400'000 / 100);
  etcdserverpb::RangeRequest range = Everything();
  // 4 kB each: below half of 1.5 MiB up to 160 keys.
  EXPECT_EQ(Sizes(Stream(range)), (std::vector<int>{10, 20, 40, 80, 50}));
  for (int i = 0; i < 40; ++i) {
    etcdserverpb::PutRequest put;
    put.set_key(Key(i));
    put.set_value(std::string(1'000'000, 'v'));
    Apply(state::Operation::kPut, put.SerializeAsString());
  }
  // 10 MB would be in the first: it ends early, and so does the next, of half as many keys.
  const std::vector<int> sizes = Sizes(Stream(range));
  EXPECT_EQ(std::vector<int>(sizes.begin(), sizes.begin() + 4), (std::vector<int>{7, 5, 2, 2}));
  EXPECT_EQ(std::accumulate(sizes.begin(), sizes.end(), 0), 200);
}

TEST_F(StreamTest, ARangeWithoutKeysIsOneMessage) {
  EXPECT_EQ(Sizes(Stream(Everything())), std::vector<int>{0});
}

}  // namespace
}  // namespace quoin::api

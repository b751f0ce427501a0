// Reads with a whole member behind them, on virtual time: answers too big for one turn, clients
// that take them slowly or not at all, and what goes on meanwhile.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "api/kv_service.h"
#include "api/maintenance_service.h"
#include "api/testing/reads_fixture.h"
#include "base/errors.h"
#include "base/limits.h"
#include "proto/rpc.pb.h"
#include "state/txn.h"

namespace quoin::api {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

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

// --- requests that wait ---

// What is kept of a request is counted while a round of reading is under way, and beyond it as far
// as the answer needs it.
TEST_F(ReadsTest, RequestsThatWaitAreCounted) {
  constexpr size_t kBytes = 100'000;
  Fill(5000, 1000);
  etcdserverpb::RangeRequest large = Everything();
  large.set_range_end(std::string(kBytes, 'z'));
  etcdserverpb::TxnRequest txn;
  *txn.add_success()->mutable_request_range() = large;
  NotAlone();
  const Call& range = Ask(&NewRangeCall, large);
  const Call& stream = Ask(&NewRangeStreamCall, large);
  const Call& both = Ask(&NewTxnCall, txn);
  for (const Call* call : {&range, &stream, &both}) EXPECT_GE(call->call.waiting_bytes(), kBytes);
  world_.RunFor(seconds(1));
  for (const Call* call : {&range, &stream, &both}) {
    ASSERT_FALSE(call->ended());
    EXPECT_GT(call->call.unsent_bytes(), 0);
    EXPECT_GE(call->call.waiting_bytes(), kBytes);
  }
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

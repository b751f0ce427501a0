// Ranges in other orders than the keys': equal to a sort of everything, however little they may
// hold; one at a time holds anything, and a client that takes nothing is in nobody's way.

#include "api/sorted_range.h"

#include <random>

#include "api/kv_service.h"
#include "api/testing/reads_fixture.h"
#include "base/errors.h"

namespace quoin::api {
namespace {

using etcdserverpb::RangeRequest;
using std::chrono::seconds;

class SortedRangeTest : public ReadsTest {
 protected:
  SortLine& line() { return context_->SlicesOf(*io_).sorts(); }
  RangeRequest Sorted(RangeRequest::SortTarget target, RangeRequest::SortOrder order,
                      int64_t limit = 0) {
    RangeRequest range = Everything();
    range.set_sort_target(target);
    range.set_sort_order(order);
    range.set_limit(limit);
    return range;
  }
  RangeRequest ByValue() { return Sorted(RangeRequest::VALUE, RangeRequest::ASCEND); }
  // Keys of different ages and versions, and values of which many are equal.
  void FillMixed(int keys, std::mt19937& random) {
    for (int first = 0; first < 2 * keys; first += 100) {
      etcdserverpb::TxnRequest txn;
      for (int i = 0; i < 100; ++i) {
        auto* put = txn.add_success()->mutable_request_put();
        // Each key once within a transaction.
        put->set_key(Key((first + i * 7 + static_cast<int>(random() % 7)) % keys));
        put->set_value(std::string(random() % 5 * 100, static_cast<char>('a' + random() % 20)));
      }
      Apply(state::Operation::kTxn, txn.SerializeAsString());
    }
  }
  std::vector<mvccpb::KeyValue> Model(const RangeRequest& range) {
    RangeRequest all = Everything();
    Call& call = Ask(&NewRangeCall, all);
    TakeAll(call);
    const etcdserverpb::RangeResponse answer = Answer(call);
    std::vector<mvccpb::KeyValue> kvs(answer.kvs().begin(), answer.kvs().end());
    auto before = [&](const mvccpb::KeyValue& x, const mvccpb::KeyValue& y) {
      const bool descend = range.sort_order() == RangeRequest::DESCEND;
      const auto& [a, b] = descend ? std::tie(y, x) : std::tie(x, y);
      switch (range.sort_target()) {
        case RangeRequest::VERSION:
          return a.version() < b.version();
        case RangeRequest::CREATE:
          return a.create_revision() < b.create_revision();
        case RangeRequest::MOD:
          return a.mod_revision() < b.mod_revision();
        case RangeRequest::VALUE:
          return a.value() < b.value();
        default:
          return a.key() < b.key();
      }
    };
    std::stable_sort(kvs.begin(), kvs.end(), before);
    if (range.limit() > 0 && static_cast<size_t>(range.limit()) < kvs.size())
      kvs.resize(static_cast<size_t>(range.limit()));
    return kvs;
  }
};

TEST_F(SortedRangeTest, EqualToASortOfEverythingHoweverLittleItMayHold) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  constexpr int kKeys = 3000;
  FillMixed(kKeys, random);
  for (size_t bytes_max : {2000, 50'000, 16 << 20}) {
    line().set_bytes_max(bytes_max);
    for (auto target : {RangeRequest::KEY, RangeRequest::VERSION, RangeRequest::CREATE,
                        RangeRequest::MOD, RangeRequest::VALUE}) {
      const auto order = random() % 2 == 0 ? RangeRequest::DESCEND : RangeRequest::ASCEND;
      if (bytes_max < 50'000 && random() % 3 != 0) continue;  // each takes a thousand passes
      const int64_t limit = std::vector<int64_t>{0, 1, 40, 900, kKeys}[random() % 5];
      const RangeRequest range = Sorted(target, order, limit);
      SCOPED_TRACE(range.ShortDebugString() + " within " + std::to_string(bytes_max));
      const std::vector<mvccpb::KeyValue> model = Model(range);
      Call& call = Ask(&NewRangeCall, range);
      TakeAll(call);
      const etcdserverpb::RangeResponse answer = Answer(call);
      ASSERT_EQ(static_cast<size_t>(answer.kvs_size()), model.size());
      for (int i = 0; i < answer.kvs_size(); ++i)
        ASSERT_EQ(answer.kvs(i).SerializeAsString(),
                  model[static_cast<size_t>(i)].SerializeAsString())
            << i;
    }
  }
}

// One at a time holds anything, and no more than it may.
TEST_F(SortedRangeTest, WhatTheyHoldIsBoundedInSum) {
  constexpr size_t kBytesMax = 500'000, kRanges = 5;
  Fill(5000, 1000);
  line().set_bytes_max(kBytesMax);
  mvcc::RangeQuery query{.key = kFromKey, .range_end = kFromKey};
  query.target = mvcc::SortTarget::kValue;
  std::vector<std::shared_ptr<SortedRange>> ranges;
  size_t measured = 0, most = 0;
  OnLoop([&] {
    for (size_t i = 0; i < kRanges; ++i) {
      ranges.push_back(std::make_shared<SortedRange>(
          context_->SlicesOf(*io_), query,
          std::make_shared<Moment>(*node_, Moment::Hold::kCompactions, 0)));
      ranges.back()->Measure([&](const StatusOr<LargeRange::Size>& size) {
        EXPECT_EQ(size->keys, 5000u);
        ++measured;
        size_t held = 0;
        for (const auto& range : ranges) held += range->held_bytes();
        most = std::max(most, held);
      });
    }
  });
  world_.RunFor(seconds(10));
  EXPECT_EQ(measured, kRanges);
  EXPECT_LE(most, kBytesMax);
  EXPECT_GE(most, kBytesMax * 9 / 10);
  OnLoop([&] {
    for (const auto& range : ranges) range->Cancel();
  });
}

// Whoever waits for its client is in nobody's way.
TEST_F(SortedRangeTest, ManyThatTakeTheirAnswersInTurn) {
  Fill(5000, 1000);
  line().set_bytes_max(1 << 20);
  std::vector<Call*> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(&Ask(&NewRangeCall, ByValue()));
  world_.RunFor(seconds(1));
  for (Call* call : calls) {
    EXPECT_GT(call->call.unsent_bytes(), 0) << "it waits for others that wait for their clients";
    EXPECT_FALSE(call->ended());
  }
  for (Call* call : calls) {
    TakeAll(*call);
    EXPECT_EQ(Answer(*call).kvs_size(), 5000);
  }
}

// Time in line is nobody's idleness: a compaction that waits for readers waits for this one, too.
TEST_F(SortedRangeTest, OneThatStandsInLineLosesNothingToACompaction) {
  class Holder final : public SortLine::Keeper {
    void LetGo() override {}
    void OnStillInLine() override {}
  };
  Fill(5000, 1000);
  line().set_bytes_max(1 << 20);
  Call& call = Ask(&NewRangeCall, ByValue());
  world_.RunFor(seconds(1));
  const auto holder = std::make_shared<Holder>();
  bool held = false;
  OnLoop([&] { line().Take(holder, [&] { held = true; }); });
  world_.RunFor(seconds(1));
  ASSERT_TRUE(held) << "the range rests: its client takes nothing";
  Take(call, SIZE_MAX);  // it wants to go on, and stands in line
  Compact(Fill(5000, 10));
  world_.RunFor(seconds(90));
  EXPECT_TRUE(CompactionPending());
  OnLoop([&] { line().Leave(*holder); });
  TakeAll(call);
  EXPECT_EQ(Answer(call).kvs_size(), 5000);
  EXPECT_EQ(Answer(call).kvs(0).value(), std::string(1000, 'v'));
}

TEST_F(SortedRangeTest, OneThatIsGivenUpLeavesTheLine) {
  Fill(5000, 1000);
  std::vector<Call*> given_up;
  for (int i = 0; i < 3; ++i) given_up.push_back(&Ask(&NewRangeCall, ByValue()));
  Call& wanted = Ask(&NewRangeCall, ByValue());
  for (Call* call : given_up) {
    OnLoop([&] {
      call->handler->OnCancel(absl::CancelledError());
      call->handler.reset();
    });
  }
  TakeAll(wanted);
  EXPECT_EQ(Answer(wanted).kvs_size(), 5000);
}

// A transaction measures each of its ranges, and each once more when it is sent.
TEST_F(SortedRangeTest, RangesOfOneTransactionComeOneAfterAnother) {
  Fill(3000, 1000);
  etcdserverpb::TxnRequest txn;
  for (int i = 0; i < 3; ++i) *txn.add_success()->mutable_request_range() = ByValue();
  Call& first = Ask(&NewTxnCall, txn);
  Call& second = Ask(&NewTxnCall, txn);
  for (Call* call : {&first, &second}) {
    TakeAll(*call);
    etcdserverpb::TxnResponse response;
    ASSERT_EQ(call->status(), OkStatus());
    ASSERT_TRUE(response.ParseFromString(call->call.messages()[0]));
    for (const auto& one : response.responses()) EXPECT_EQ(one.response_range().kvs_size(), 3000);
  }
}

}  // namespace
}  // namespace quoin::api

#include "state/txn_check.h"

#include <gtest/gtest.h>

#include "base/errors.h"

namespace quoin::state {
namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

RequestOp Put(const std::string& key) {
  RequestOp op;
  op.mutable_request_put()->set_key(key);
  return op;
}
RequestOp Delete(const std::string& key, const std::string& range_end = "") {
  RequestOp op;
  op.mutable_request_delete_range()->set_key(key);
  op.mutable_request_delete_range()->set_range_end(range_end);
  return op;
}
RequestOp Range(const std::string& key, bool serializable = false) {
  RequestOp op;
  op.mutable_request_range()->set_key(key);
  op.mutable_request_range()->set_serializable(serializable);
  return op;
}
TxnRequest Txn(std::vector<RequestOp> success, std::vector<RequestOp> failure = {}) {
  TxnRequest txn;
  for (RequestOp& op : success) *txn.add_success() = std::move(op);
  for (RequestOp& op : failure) *txn.add_failure() = std::move(op);
  return txn;
}
RequestOp Nested(TxnRequest txn) {
  RequestOp op;
  *op.mutable_request_txn() = std::move(txn);
  return op;
}
Status Check(const TxnRequest& txn) { return CheckTxn(txn, 128); }

TEST(CheckTxn, PutsOfOneKeyClash) {
  EXPECT_EQ(Check(Txn({Put("a"), Put("a")})), errors::DuplicateKey());
  EXPECT_TRUE(Check(Txn({Put("a"), Put("b")}, {Put("a")})).ok());
}

TEST(CheckTxn, APutInsideADeleteClashes) {
  EXPECT_EQ(Check(Txn({Put("b"), Delete("a", "c")})), errors::DuplicateKey());
  EXPECT_EQ(Check(Txn({Delete("b"), Put("b")})), errors::DuplicateKey());
  EXPECT_TRUE(Check(Txn({Put("c"), Delete("a", "c")})).ok());
  EXPECT_TRUE(Check(Txn({Delete("a", "c"), Delete("b", "d"), Range("b")})).ok());
}

TEST(CheckTxn, ADeleteFromKeyOnNeverClashes) {
  EXPECT_TRUE(Check(Txn({Delete("a", std::string(1, '\0')), Put("b")})).ok());
  EXPECT_TRUE(Check(Txn({Delete("z", "a"), Put("b")})).ok());
}

TEST(CheckTxn, AnEmptyStartToHighEndCoversEverythingBetween) {
  EXPECT_EQ(Check(Txn({Delete("a", "c"), Delete("e", "g"), Delete("b", "f"), Put("d")})),
            errors::DuplicateKey());
  EXPECT_TRUE(Check(Txn({Delete("a", "c"), Delete("e", "g"), Put("d")})).ok());
}

TEST(CheckTxn, BothBranchesOfAChildMayPutTheSameKey) {
  EXPECT_TRUE(Check(Txn({Nested(Txn({Put("a")}, {Put("a")}))})).ok());
  EXPECT_EQ(Check(Txn({Nested(Txn({Put("a")}, {Put("a")})), Put("a")})), errors::DuplicateKey());
  EXPECT_EQ(Check(Txn({Nested(Txn({Put("a")})), Nested(Txn({}, {Put("a")}))})),
            errors::DuplicateKey());
}

TEST(CheckTxn, AnEarlierSiblingsDeleteIsSeenALaterOneIsNot) {
  EXPECT_EQ(Check(Txn({Nested(Txn({Delete("a", "c")})), Nested(Txn({Put("b")}))})),
            errors::DuplicateKey());
  EXPECT_TRUE(Check(Txn({Nested(Txn({Put("b")})), Nested(Txn({Delete("a", "c")}))})).ok());
}

TEST(CheckTxn, BudgetShrinksWithEachLevel) {
  TxnRequest wide;
  for (int i = 0; i < 129; ++i) *wide.add_success() = Range("k" + std::to_string(i));
  EXPECT_EQ(Check(wide), errors::TooManyOps());
  wide.mutable_success()->RemoveLast();
  EXPECT_TRUE(Check(wide).ok());
  // One operation on the outer level leaves 127 for the inner one.
  EXPECT_EQ(Check(Txn({Nested(wide)})), errors::TooManyOps());
  wide.mutable_success()->RemoveLast();
  EXPECT_TRUE(Check(Txn({Nested(wide)})).ok());
}

TEST(CheckTxn, EveryPartIsCheckedLikeItsOwnRequest) {
  EXPECT_EQ(Check(Txn({Put("")})), errors::KeyNotProvided());
  EXPECT_EQ(Check(Txn({RequestOp()})), errors::KeyNotFound());
  TxnRequest compare;
  compare.add_compare();
  EXPECT_EQ(Check(compare), errors::KeyNotProvided());
  RequestOp bad_sort = Range("a");
  bad_sort.mutable_request_range()->set_sort_target(
      static_cast<etcdserverpb::RangeRequest::SortTarget>(9));
  EXPECT_EQ(Check(Txn({bad_sort})), errors::InvalidSortOption());
  RequestOp ignore = Put("a");
  ignore.mutable_request_put()->set_ignore_value(true);
  ignore.mutable_request_put()->set_value("v");
  EXPECT_EQ(Check(Txn({}, {ignore})), errors::ValueProvided());
}

TEST(CheckTxn, ManyIntervalsStayCheap) {
  // 100 × 100 intervals of children merge into one union; a quadratic check would take minutes.
  TxnRequest outer;
  for (int i = 0; i < 27; ++i) {
    TxnRequest middle;
    for (int j = 0; j < 100; ++j) {
      std::string key = "k" + std::to_string(i * 100 + j);
      *middle.add_success() = Delete(key, key + "z");
    }
    *outer.add_success() = Nested(middle);
  }
  EXPECT_TRUE(Check(outer).ok());
}

TEST(ReadOnly, OnlyRangesOnTheTopLevel) {
  EXPECT_TRUE(IsReadOnly(Txn({Range("a")}, {Range("b")})));
  EXPECT_FALSE(IsReadOnly(Txn({Nested(Txn({Range("a")}))})));
  EXPECT_FALSE(IsReadOnly(Txn({Range("a")}, {Put("b")})));
  EXPECT_TRUE(IsReadOnly(Txn({})));
  EXPECT_TRUE(IsSerializable(Txn({})));
  EXPECT_FALSE(IsSerializable(Txn({Range("a", true)}, {Range("b", false)})));
  EXPECT_TRUE(IsSerializable(Txn({Range("a", true)}, {Range("b", true)})));
}

TEST(Cost, CountsTheDearerBranchAndNestedPuts) {
  EXPECT_EQ(TxnCost(Txn({Put("ab")}, {Put("a"), Put("b")})), 2 * 257);
  EXPECT_EQ(TxnCost(Txn({Nested(Txn({Put("abc")}))})), 259);
  EXPECT_EQ(TxnCost(Txn({Delete("a")})), 0);
}

}  // namespace
}  // namespace quoin::state

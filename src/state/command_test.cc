#include "state/command.h"

#include <gtest/gtest.h>

#include "base/wire.h"
#include "proto/raft_internal.pb.h"
#include "state/range_response.h"
#include "state/v2_request.h"

namespace quoin::state {
namespace {

TEST(Command, EncodesAsGeneratedClassesRead) {
  etcdserverpb::PutRequest put;
  put.set_key("k");
  put.set_value(std::string(300, 'v'));
  SharedBytes entry =
      EncodeCommand(0x1234'0000'0000'0001, Operation::kPut, put.SerializeAsString());
  EXPECT_EQ(entry.size(), EncodedCommandSize(0x1234'0000'0000'0001, Operation::kPut,
                                             put.SerializeAsString().size()));
  etcdserverpb::InternalRaftRequest request;
  ASSERT_TRUE(request.ParseFromArray(entry.data(), static_cast<int>(entry.size())));
  EXPECT_EQ(request.header().id(), 0x1234'0000'0000'0001u);
  EXPECT_EQ(request.put().value().size(), 300u);
  EXPECT_EQ(request.SerializeAsString(), entry.view());  // the bytes that etcd itself would log
}

TEST(Command, HighNumberedOperationsFollowTheHeader) {
  etcdserverpb::InternalRaftRequest request;
  request.mutable_header()->set_id(7);
  request.mutable_cluster_version_set()->set_ver("3.7.0");
  SharedBytes entry = EncodeCommand(7, Operation::kClusterVersionSet,
                                    request.cluster_version_set().SerializeAsString());
  EXPECT_EQ(request.SerializeAsString(), entry.view());
}

TEST(Command, ParsesWhatItEncodes) {
  const SharedBytes entry = EncodeCommand(9, Operation::kTxn, "abc");
  StatusOr<Command> command = ParseCommand(entry);
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->request_id, 9u);
  EXPECT_EQ(command->operation, Operation::kTxn);
  EXPECT_EQ(command->payload, "abc");
}

TEST(Command, AnEmptyEntryIsALeadersFirst) {
  StatusOr<Command> command = ParseCommand("");
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->operation, Operation::kNone);
}

TEST(Command, RefusesWhatIsNoRequest) {
  EXPECT_FALSE(ParseCommand("\xff\xff").ok());
  std::string unknown;
  wire::PutBytes(unknown, 77, "x");
  EXPECT_TRUE(absl::IsUnimplemented(ParseCommand(unknown).status()));
}

TEST(Command, MarksAGrantAsSettled) {
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_ttl(2);
  SharedBytes entry = EncodeCommand(300, Operation::kLeaseGrant, grant.SerializeAsString());
  EXPECT_EQ(entry.size(),
            EncodedCommandSize(300, Operation::kLeaseGrant, grant.SerializeAsString().size()));
  StatusOr<Command> command = ParseCommand(entry);
  ASSERT_TRUE(command.ok());
  EXPECT_TRUE(command->settled);
  EXPECT_EQ(command->request_id, 300u);
  // As other members read it.
  etcdserverpb::InternalRaftRequest request;
  ASSERT_TRUE(request.ParseFromArray(entry.data(), static_cast<int>(entry.size())));
  EXPECT_EQ(request.header().id(), 300u);
  EXPECT_EQ(request.lease_grant().ttl(), 2);
}

TEST(Command, KnowsBothFormsOfV2Requests) {
  std::string v2;
  wire::PutUint(v2, 1, 5);
  wire::PutBytes(v2, 2, "PUT");
  wire::PutBytes(v2, 3, "/0/version");
  wire::PutBytes(v2, 4, "3.5.0");
  StatusOr<Command> bare = ParseCommand(v2);
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare->operation, Operation::kLegacy);
  EXPECT_EQ(ParseV2Request(bare->payload)->value, "3.5.0");

  std::string envelope;
  wire::PutBytes(envelope, 2, v2);
  StatusOr<Command> wrapped = ParseCommand(envelope);
  ASSERT_TRUE(wrapped.ok());
  EXPECT_EQ(wrapped->operation, Operation::kLegacy);
  EXPECT_EQ(ParseV2Request(wrapped->payload)->path, "/0/version");
}

TEST(ParsePut, ReadsEveryField) {
  etcdserverpb::PutRequest put;
  put.set_key("key");
  put.set_value("value");
  put.set_lease(-5);
  put.set_prev_kv(true);
  put.set_ignore_value(true);
  put.set_ignore_lease(true);
  const std::string bytes = put.SerializeAsString();
  std::optional<PutCommand> parsed = ParsePut(bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->key, "key");
  EXPECT_EQ(parsed->value, "value");
  EXPECT_EQ(parsed->lease, -5);
  EXPECT_TRUE(parsed->prev_kv && parsed->ignore_value && parsed->ignore_lease);
}

// Vectors made with protobuf's own class: a known number with another type is an unknown field.
TEST(ParsePut, AKnownNumberWithAnotherTypeIsUnknown) {
  for (uint32_t number = 1; number <= 6; ++number) {
    std::string odd;
    wire::PutBytes(odd, 1, "key");
    if (number <= 2)
      wire::PutUint(odd, number, 7);
    else
      wire::PutBytes(odd, number, "\x07");
    wire::PutBytes(odd, 2, "value");
    etcdserverpb::PutRequest expected;
    ASSERT_TRUE(expected.ParseFromString(odd)) << number;
    std::optional<PutCommand> parsed = ParsePut(odd);
    ASSERT_TRUE(parsed) << number;
    EXPECT_EQ(parsed->key, expected.key());
    EXPECT_EQ(parsed->value, expected.value());
    EXPECT_EQ(parsed->lease, 0);
    EXPECT_FALSE(parsed->prev_kv || parsed->ignore_value || parsed->ignore_lease);
  }
  EXPECT_FALSE(ParsePut("\x0a\x05k"));
}

TEST(ParseRange, AKnownNumberWithAnotherTypeIsUnknown) {
  for (uint32_t number = 1; number <= 13; ++number) {
    std::string odd;
    wire::PutBytes(odd, 1, "key");
    if (number <= 2)
      wire::PutUint(odd, number, 7);
    else
      wire::PutBytes(odd, number, "\x07");
    wire::PutUint(odd, 3, 4);
    etcdserverpb::RangeRequest expected;
    ASSERT_TRUE(expected.ParseFromString(odd)) << number;
    std::optional<RangeCommand> parsed = ParseRange(odd);
    ASSERT_TRUE(parsed) << number;
    const mvcc::RangeQuery query = ToQuery(expected);
    EXPECT_EQ(parsed->query.key, query.key);
    EXPECT_EQ(parsed->query.range_end, query.range_end);
    EXPECT_EQ(parsed->query.limit, 4);
    EXPECT_EQ(parsed->query.revision, 0);
    EXPECT_FALSE(parsed->serializable || parsed->query.keys_only || parsed->query.count_only);
  }
}

TEST(ParseDeep, TakesEveryLegalDepthOfTransactions) {
  etcdserverpb::TxnRequest txn;
  txn.add_compare()->set_key("k");
  for (int depth = 0; depth < 127; ++depth) {
    etcdserverpb::TxnRequest outer;
    *outer.add_success()->mutable_request_txn() = txn;
    txn = outer;
  }
  etcdserverpb::TxnRequest parsed;
  EXPECT_TRUE(ParseDeep(txn.SerializeAsString(), parsed));
}

}  // namespace
}  // namespace quoin::state

// Entries applied to a state machine on a real file: what must end the process, and what must not
// depend on the member that applies it.

#include "state/state_machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/errors.h"
#include "base/wire.h"
#include "env/posix/posix_env.h"
#include "proto/raft_internal.pb.h"
#include "raft_types/codec.h"

namespace quoin::state {
namespace {

using etcdserverpb::InternalRaftRequest;

// One member's state, on a file of its own.
class Machine {
 public:
  explicit Machine(Options options = Serving()) : fs_(env::NewPosixFileSystem()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "quoin-state-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
    tree_ = *btree::Tree::Open(fs_->blocking(), dir_ + "/db", {});
    machine_ = *StateMachine::Open(*tree_, options, log_);
  }
  ~Machine() {
    machine_.reset();
    tree_.reset();
    std::filesystem::remove_all(dir_);
  }

  static Options Serving() {
    Options options;
    options.server_version = {3, 7, 1};
    return options;
  }

  ApplyResult Apply(std::string_view entry) {
    ApplyResult result = ApplyInBatch(entry, true);
    machine_->Publish();
    return result;
  }
  // Without the end of the batch.
  ApplyResult ApplyInBatch(std::string_view entry, bool want_result) {
    const Index index(machine_->applied_index().value() + 1);
    return machine_->Apply(index, Term(1), ParseLogged(index, entry), want_result);
  }
  void EndBatch() { machine_->Publish(); }
  ApplyResult Apply(const InternalRaftRequest& request) {
    return Apply(request.SerializeAsString());
  }
  // … as a member of quoin proposes it.
  ApplyResult Propose(Operation operation, const google::protobuf::MessageLite& request) {
    return Apply(EncodeCommand(1, operation, request.SerializeAsString()).view());
  }
  Status Change(raft::ConfChangeType type, uint64_t id, std::string context) {
    raft::Entry entry = Entry(type, id, std::move(context));
    entry.index = Index(machine_->applied_index().value() + 1);
    Status status =
        machine_->ApplyConfChange(entry.index, Term(1), ParseLoggedChange(entry)).status;
    machine_->Publish();
    return status;
  }
  static raft::Entry Entry(raft::ConfChangeType type, uint64_t id, std::string context) {
    std::string data;
    raft::EncodeConfChange({0, type, NodeId(id), std::move(context)}, data);
    return {Term(1), Index(1), raft::EntryType::kConfChange, SharedBytes(data)};
  }

  // All rows of all buckets, as text.
  std::string Rows() {
    EpochDomain::ReaderSlot slot(tree_->epochs());
    EpochDomain::Guard guard(slot);
    btree::Snapshot snapshot = tree_->Current();
    std::string out;
    for (const std::string& bucket : snapshot.Buckets()) {
      btree::Cursor cursor = snapshot.NewCursor(bucket, btree::OnMiss::kLoad);
      EXPECT_TRUE(cursor.SeekFirst().ok());
      while (cursor.Valid()) {
        out += bucket + "/" + std::string(cursor.key()) + "=" + std::string(cursor.value()) + "\n";
        EXPECT_TRUE(cursor.Next().ok());
      }
    }
    return out;
  }
  StateMachine* operator->() { return machine_.get(); }

 private:
  std::unique_ptr<env::FileSystem> fs_;
  std::string dir_;
  NullLogger log_;
  std::unique_ptr<btree::Tree> tree_;
  std::unique_ptr<StateMachine> machine_;
};

std::string V2(std::string_view method, std::string_view path, std::string_view value = "") {
  std::string out;
  wire::PutBytes(out, 2, method);
  wire::PutBytes(out, 3, path);
  wire::PutBytes(out, 4, value);
  return out;
}

InternalRaftRequest ClusterVersion(const std::string& version) {
  InternalRaftRequest request;
  request.mutable_cluster_version_set()->set_ver(version);
  return request;
}

// The user and role without which auth cannot be enabled.
void MakeRoot(Machine& machine) {
  InternalRaftRequest user, role, grant;
  user.mutable_auth_user_add()->set_name("root");
  user.mutable_auth_user_add()->mutable_options()->set_no_password(true);
  role.mutable_auth_role_add()->set_name("root");
  grant.mutable_auth_user_grant_role()->set_user("root");
  grant.mutable_auth_user_grant_role()->set_role("root");
  for (const InternalRaftRequest& request : {user, role, grant})
    ASSERT_TRUE(machine.Apply(request).status.ok());
}

InternalRaftRequest AuthEnable() {
  InternalRaftRequest request;
  request.mutable_auth_enable();
  return request;
}

#define EXPECT_ENDS(statement, what) \
  EXPECT_EXIT(statement, testing::ExitedWithCode(1), "this version cannot go on: log entry .*" what)

TEST(UnknownEntry, AFieldOfTheEnvelopeEndsTheMember) {
  Machine machine;
  std::string alone;
  wire::PutBytes(alone, 1303, "x");
  EXPECT_ENDS(machine.Apply(alone), "field 1303");
  InternalRaftRequest put;
  put.mutable_put()->set_key("k");
  EXPECT_ENDS(machine.Apply(put.SerializeAsString() + alone), "field 1303");
  std::string number;
  wire::PutUint(number, 12, 1);
  EXPECT_ENDS(machine.Apply(put.SerializeAsString() + number), "field 12");
}

TEST(UnknownEntry, TwoOperationsEndTheMember) {
  Machine machine;
  InternalRaftRequest request;
  request.mutable_put()->set_key("k");
  request.mutable_compaction();
  EXPECT_ENDS(machine.Apply(request), "more than one operation");
}

TEST(UnknownEntry, AFieldInsideAKnownRequestIsPassedOver) {
  // A client can send one through any member; to end for it would hand every client a switch.
  Machine machine;
  InternalRaftRequest request;
  request.mutable_put()->set_key("k");
  std::string put = request.put().SerializeAsString();
  wire::PutUint(put, 99, 1);
  std::string header;
  wire::PutUint(header, 1, 7);
  wire::PutUint(header, 99, 1);
  std::string entry;
  wire::PutBytes(entry, 4, put);
  wire::PutBytes(entry, 100, header);
  EXPECT_EQ(machine.Apply(entry).revision, 2);
}

TEST(UnknownEntry, AnUnknownAlarmEndsTheMember) {
  Machine machine;
  InternalRaftRequest request;
  request.mutable_alarm()->set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  request.mutable_alarm()->set_alarm(static_cast<etcdserverpb::AlarmType>(3));
  EXPECT_ENDS(machine.Apply(request), "alarm of the unknown type 3");
  // A number that a narrower type would take for NOSPACE.
  request.mutable_alarm()->set_alarm(static_cast<etcdserverpb::AlarmType>(257));
  EXPECT_ENDS(machine.Apply(request), "alarm of the unknown type 257");
  // What changes nothing is harmless.
  request.mutable_alarm()->set_action(etcdserverpb::AlarmRequest::DEACTIVATE);
  EXPECT_TRUE(machine.Apply(request).status.ok());
  EXPECT_TRUE(machine->alarms().empty());
}

TEST(UnknownEntry, AnUnknownOperationOfATransactionEndsTheMemberBeforeItsOthersRun) {
  Machine machine;
  InternalRaftRequest request;
  auto& put = *request.mutable_txn()->add_success()->mutable_request_put();
  put.set_key("k");
  std::string op;
  wire::PutBytes(op, 5, "x");
  ASSERT_TRUE(request.mutable_txn()->add_success()->ParseFromString(op));
  EXPECT_ENDS(machine.Apply(request), "an operation that this version does not know");
  // Not in the branch that is taken: nobody carries it out.
  request.mutable_txn()->mutable_success()->SwapElements(0, 1);
  *request.mutable_txn()->add_failure() = request.txn().success(0);
  request.mutable_txn()->mutable_success()->DeleteSubrange(0, 1);
  EXPECT_EQ(machine.Apply(request).revision, 2);
}

TEST(UnknownEntry, NumbersToWhichAllVersionsGiveAMeaningHaveIt) {
  Machine machine;
  InternalRaftRequest request;
  etcdserverpb::Compare& compare = *request.mutable_txn()->add_compare();
  compare.set_key("k");
  compare.set_target(static_cast<etcdserverpb::Compare::CompareTarget>(9));
  request.mutable_txn()->add_success()->mutable_request_put()->set_key("k");
  EXPECT_EQ(machine.Apply(request).revision, 2);
  compare.set_result(static_cast<etcdserverpb::Compare::CompareResult>(9));
  EXPECT_EQ(machine.Apply(request).revision, 3);
  InternalRaftRequest alarm;
  alarm.mutable_alarm()->set_action(static_cast<etcdserverpb::AlarmRequest::AlarmAction>(9));
  EXPECT_TRUE(machine.Apply(alarm).status.ok());
}

TEST(UnknownEntry, AV2RequestOfAClientEndsTheMember) {
  Machine machine;
  EXPECT_ENDS(machine.Apply(V2("DELETE", "/0/version")), "DELETE /0/version");
  EXPECT_ENDS(machine.Apply(V2("PUT", "/1/key", "v")), "PUT /1/key");
  std::string envelope;
  wire::PutBytes(envelope, 2, V2("QGET", "/1/key"));
  EXPECT_ENDS(machine.Apply(envelope), "QGET /1/key");
  EXPECT_TRUE(machine.Apply(V2("PUT", "/0/version", "3.5.0")).status.ok());
  EXPECT_EQ(machine->membership().cluster_version(), "3.5.0");
}

TEST(UnknownEntry, AClusterVersionAboveTheServersEndsTheMember) {
  Machine machine;
  EXPECT_ENDS(machine.Apply(ClusterVersion("3.8.0")), "above that of this server");
  EXPECT_ENDS(machine.Apply(ClusterVersion("3.10.0")), "above that of this server");
  EXPECT_ENDS(machine.Apply(ClusterVersion("new")), "\"new\", which is none");
  EXPECT_TRUE(machine.Apply(ClusterVersion("3.7.0")).status.ok());
}

TEST(UnknownEntry, AnUnknownConfigurationChangeEndsTheMember) {
  Machine machine;
  using raft::ConfChangeType;
  EXPECT_ENDS(machine.Change(static_cast<ConfChangeType>(4), 1, "{}"), "configuration change");
  EXPECT_ENDS(machine.Change(ConfChangeType::kAddNode, 1, "no JSON"), "context cannot be read");
  EXPECT_ENDS(machine.Change(ConfChangeType::kUpdateNode, 1, ""), "context cannot be read");
  raft::Entry second = Machine::Entry(ConfChangeType::kAddNode, 1, "{}");
  second.type = raft::EntryType::kConfChangeV2;
  EXPECT_ENDS(ParseLoggedChange(second), "its type is 2");
}

TEST(UnknownEntry, SwitchingAuthOnEndsTheMember) {
  Machine machine;
  // As long as it fails in etcd, too, it means nothing.
  EXPECT_EQ(machine.Apply(AuthEnable()).status, errors::RootUserNotExist());
  MakeRoot(machine);
  EXPECT_ENDS(machine.Apply(AuthEnable()), "switches auth on");
  EXPECT_FALSE(machine->auth().enabled());
}

TEST(UnknownEntry, AToolThatLooksGoesOnWithAuth) {
  Options options;
  options.purpose = Options::Purpose::kLook;
  Machine machine(options);
  MakeRoot(machine);
  EXPECT_TRUE(machine.Apply(AuthEnable()).status.ok());
  EXPECT_TRUE(machine->auth().enabled());
  EXPECT_TRUE(machine.Apply(ClusterVersion("3.9.0")).status.ok());
}

TEST(UnknownEntry, APasswordThatIsNotHashedEndsTheMember) {
  Machine machine;
  InternalRaftRequest request;
  request.mutable_auth_user_add()->set_name("u");
  request.mutable_auth_user_add()->set_password("secret");
  EXPECT_ENDS(machine.Apply(request), "not hashed");
}

// --- members with other flags ---

Options OtherFlags() {
  Options options = Machine::Serving();
  options.lease_ttl_seconds_min = 15;
  options.learners_max = 0;
  return options;
}

TEST(Flags, MembersWithOtherFlagsGrantTheSameLease) {
  Machine ours, other(OtherFlags());
  etcdserverpb::LeaseGrantRequest request;
  request.set_id(7);
  request.set_ttl(2);
  for (Machine* machine : {&ours, &other}) {
    EXPECT_TRUE(machine->Propose(Operation::kLeaseGrant, request).status.ok());
    EXPECT_EQ((*machine)->lessor().Find(LeaseId(7))->ttl_seconds, 2);
  }
  EXPECT_EQ(ours.Rows(), other.Rows());
}

TEST(Flags, ALeaseThatEtcdProposedGetsTheMinimumOfTheMember) {
  Machine other(OtherFlags());
  InternalRaftRequest request;
  request.mutable_lease_grant()->set_id(7);
  request.mutable_lease_grant()->set_ttl(2);
  EXPECT_TRUE(other.Apply(request).status.ok());
  EXPECT_EQ(other->lessor().Find(LeaseId(7))->ttl_seconds, 15);
}

TEST(Flags, MembersWithOtherFlagsAdmitTheSameLearners) {
  Machine ours, other(OtherFlags());
  for (Machine* machine : {&ours, &other}) {
    auto add = [&](uint64_t id, std::string context) {
      return machine->Change(raft::ConfChangeType::kAddLearnerNode, id, std::move(context));
    };
    auto learner = [](uint64_t id, const std::string& url) {
      cluster::Member member;
      member.id = id;
      member.peer_urls = {url};
      member.learner = true;
      return member;
    };
    EXPECT_TRUE(add(1, cluster::AddLearnerJson(learner(1, "http://a:1"), 1)).ok());
    EXPECT_EQ(add(2, cluster::AddLearnerJson(learner(2, "http://b:1"), 1)),
              errors::TooManyLearners());
    EXPECT_TRUE(add(3, cluster::AddLearnerJson(learner(3, "http://c:1"), 2)).ok());
    // etcd's members bring no limit.
    EXPECT_EQ(add(4, cluster::MemberJson(learner(4, "http://d:1"))), errors::TooManyLearners());
  }
  EXPECT_EQ(ours.Rows(), other.Rows());
  EXPECT_EQ(ours.Rows().find("quoinMaxLearners"), std::string::npos);
}

TEST(Versions, AreComparedAsNumbers) {
  Options options = Machine::Serving();
  options.server_version = {3, 10, 2};
  Machine machine(options);
  auto remaining_in_row = [&](int64_t remaining) {
    InternalRaftRequest request;
    auto& checkpoint = *request.mutable_lease_checkpoint()->add_checkpoints();
    checkpoint.set_id(7);
    checkpoint.set_remaining_ttl(remaining);
    const std::string before = machine.Rows();
    EXPECT_TRUE(machine.Apply(request).status.ok());
    // meta/consistent_index always moves; the lease's row only when the checkpoint is durable.
    auto row = [](const std::string& rows) {
      const size_t at = rows.find("\nlease/");
      return rows.substr(at, rows.find("\nmeta", at) - at);
    };
    return row(before) != row(machine.Rows());
  };
  InternalRaftRequest grant;
  grant.mutable_lease_grant()->set_id(7);
  grant.mutable_lease_grant()->set_ttl(600);
  EXPECT_TRUE(machine.Apply(grant).status.ok());
  machine.Apply(ClusterVersion("3.5.0"));
  EXPECT_FALSE(remaining_in_row(500));
  machine.Apply(ClusterVersion("3.10.0"));
  EXPECT_TRUE(remaining_in_row(400));
}

// --- transactions ---

InternalRaftRequest Put(const std::string& key, const std::string& value) {
  InternalRaftRequest request;
  request.mutable_put()->set_key(key);
  request.mutable_put()->set_value(value);
  return request;
}

TEST(Txn, ItsOperationsAreCheckedInTheirOrderDepthFirst) {
  Machine machine;
  auto range_of_the_future = [](etcdserverpb::RequestOp& op) {
    op.mutable_request_range()->set_key("k");
    op.mutable_request_range()->set_revision(99);
  };
  auto put_without_a_value = [](etcdserverpb::RequestOp& op) {
    op.mutable_request_put()->set_key("none");
    op.mutable_request_put()->set_ignore_value(true);
  };
  InternalRaftRequest range_first;
  range_of_the_future(*range_first.mutable_txn()->add_success());
  put_without_a_value(*range_first.mutable_txn()->add_success());
  EXPECT_EQ(machine.Apply(range_first).status, errors::FutureRevision());
  InternalRaftRequest nested_first;
  put_without_a_value(
      *nested_first.mutable_txn()->add_success()->mutable_request_txn()->add_success());
  range_of_the_future(*nested_first.mutable_txn()->add_success());
  EXPECT_EQ(machine.Apply(nested_first).status, errors::KeyNotFound());
}

TEST(Txn, APutThatKeepsWhatItsOwnDeleteTookIsEmpty) {
  // etcd 3.7.1 ends on this one, and again at each start.
  Machine machine;
  machine.Apply(Put("k", "v"));
  InternalRaftRequest request;
  auto& ops = *request.mutable_txn()->mutable_success();
  auto& everything = *ops.Add()->mutable_request_delete_range();
  everything.set_key("k");
  everything.set_range_end(std::string(1, '\0'));
  auto& put = *ops.Add()->mutable_request_put();
  put.set_key("k");
  put.set_ignore_value(true);
  put.set_ignore_lease(true);
  auto& range = *ops.Add()->mutable_request_range();
  range.set_key("k");
  ApplyResult result = machine.Apply(request);
  ASSERT_TRUE(result.status.ok());
  EXPECT_EQ(result.revision, 3);
  etcdserverpb::TxnResponse response;
  ASSERT_TRUE(response.ParseFromString(result.body));
  const auto& kv = response.responses(2).response_range().kvs(0);
  EXPECT_EQ(kv.value(), "");
  EXPECT_EQ(kv.lease(), 0);
  EXPECT_EQ(kv.version(), 1);
}

// A put, and then a range over everything.
InternalRaftRequest PutAndShow(const std::string& key) {
  InternalRaftRequest request;
  auto& put = *request.mutable_txn()->add_success()->mutable_request_put();
  put.set_key(key);
  put.set_value("v");
  auto& range = *request.mutable_txn()->add_success()->mutable_request_range();
  range.set_key(std::string(1, '\0'));
  range.set_range_end(std::string(1, '\0'));
  return request;
}

etcdserverpb::RangeRequest& RangeOf(InternalRaftRequest& request) {
  return *request.mutable_txn()->mutable_success(1)->mutable_request_range();
}

etcdserverpb::RangeResponse Showed(const ApplyResult& result) {
  EXPECT_TRUE(result.status.ok()) << result.status;
  etcdserverpb::TxnResponse response;
  EXPECT_TRUE(response.ParseFromString(result.body));
  return response.responses(1).response_range();
}

constexpr size_t kMiB = 1 << 20;

void PutMiB(Machine& machine, size_t from, size_t to) {
  for (size_t i = from; i < to; ++i)
    machine.Apply(Put("k" + std::to_string(100 + i), std::string(kMiB, static_cast<char>(i))));
}

TEST(Shown, AWriteThatWouldShowTooMuchIsCarriedOutAndShowsNothing) {
  Machine heard, unheard;
  const size_t number = kShownOfWrite.bytes / kMiB + 1;
  PutMiB(heard, 0, number);
  PutMiB(unheard, 0, number);

  const InternalRaftRequest write = PutAndShow("w");
  const ApplyResult refused = heard.Apply(write);
  EXPECT_EQ(refused.status, AnswerTooLarge());
  EXPECT_TRUE(refused.body.empty());
  EXPECT_EQ(refused.revision, static_cast<int64_t>(number) + 2);
  unheard.ApplyInBatch(write.SerializeAsString(), false);
  unheard.EndBatch();

  // What is not in the answer counts for nothing.
  InternalRaftRequest keys = PutAndShow("w");
  RangeOf(keys).set_keys_only(true);
  EXPECT_EQ(Showed(heard.Apply(keys)).kvs_size(), static_cast<int>(number) + 1);
  InternalRaftRequest count = PutAndShow("w");
  RangeOf(count).set_count_only(true);
  EXPECT_EQ(Showed(heard.Apply(count)).count(), static_cast<int64_t>(number) + 1);
  InternalRaftRequest newest = PutAndShow("w");
  RangeOf(newest).set_limit(1);
  RangeOf(newest).set_sort_target(etcdserverpb::RangeRequest::MOD);
  RangeOf(newest).set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  const etcdserverpb::RangeResponse last = Showed(heard.Apply(newest));
  ASSERT_EQ(last.kvs_size(), 1);
  EXPECT_EQ(last.kvs(0).key(), "w");
  EXPECT_TRUE(last.more());
  // An order by value has to read them all.
  RangeOf(newest).set_sort_target(etcdserverpb::RangeRequest::VALUE);
  EXPECT_EQ(heard.Apply(newest).status, AnswerTooLarge());
  for (const InternalRaftRequest& request : {keys, count, newest, newest})
    unheard.ApplyInBatch(request.SerializeAsString(), false);
  unheard.EndBatch();

  InternalRaftRequest all;
  all.mutable_delete_range()->set_key("k");
  all.mutable_delete_range()->set_range_end("l");
  all.mutable_delete_range()->set_prev_kv(true);
  EXPECT_EQ(heard.Apply(all).status, AnswerTooLarge());
  unheard.ApplyInBatch(all.SerializeAsString(), false);
  unheard.EndBatch();
  EXPECT_EQ(Showed(heard.Apply(PutAndShow("w"))).count(), 1);
  unheard.ApplyInBatch(PutAndShow("w").SerializeAsString(), false);
  unheard.EndBatch();
  EXPECT_TRUE(heard.Rows() == unheard.Rows());
}

TEST(Shown, TheWritesOfABatchShowNoMoreTogether) {
  Machine machine;
  const size_t number = kShownOfWrite.bytes / kMiB * 3 / 4;
  PutMiB(machine, 0, number);
  const std::string write = PutAndShow("w").SerializeAsString();
  size_t shown = 0, refused = 0;
  for (int i = 0; i < 6; ++i) {
    const ApplyResult result = machine.ApplyInBatch(write, true);
    shown += result.body.size();
    refused += result.status == AnswerTooLarge();
  }
  EXPECT_EQ(refused, 4u);
  EXPECT_LE(shown, kShownOfBatch.bytes + kMiB);
  // A little is always shown, and nobody pays for a batch that is over.
  InternalRaftRequest little = PutAndShow("w");
  RangeOf(little).set_key("w");
  RangeOf(little).set_range_end("");
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(machine.ApplyInBatch(little.SerializeAsString(), true).status.ok());
  machine.EndBatch();
  EXPECT_EQ(Showed(machine.Apply(write)).kvs_size(), static_cast<int>(number) + 1);
}

}  // namespace
}  // namespace quoin::state

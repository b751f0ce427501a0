// Every method of the services' table, ended by a reset, a lost connection, its deadline and a
// drain at every event of its life. What it began goes on on other loops; nothing of that may reach
// the call that is gone (ASan looks), and nothing may go on waiting for it.

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "api/services.h"
#include "proto/election.pb.h"
#include "proto/lock.pb.h"
#include "proto/rpc.pb.h"
#include "sim/testing/served.h"

namespace quoin::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Cluster;
using testing::Ending;
using testing::Served;
using testing::ServedCall;

constexpr int kKeys = 1500;  // more than an I/O loop looks up by itself
constexpr int64_t kLease = 77, kHolder = 78;
constexpr size_t kEventsMax = 600;
constexpr size_t kEventsOfOpenCall = 120;  // of one that does not end by itself

struct Case {
  std::string name;
  std::string_view path;
  // Made anew for each run: what it asks for may be there once only.
  std::function<std::vector<std::string>()> requests;
  bool half_close = true;
  std::function<void()> after;  // undoes what the call did
};

std::string KeyOf(int number) {
  std::string digits = std::to_string(number);
  return "k/" + std::string(6 - digits.size(), '0') + digits;
}

class Calls {
 public:
  Calls(uint64_t seed, int members, const std::function<void(server::NodeConfig&)>& configure)
      : cluster_(seed, members) {
    for (int i = 0; i < members; ++i) configure(cluster_[i].config());
    cluster_.StartAll();
    served_.emplace(cluster_, cluster_[0]);
  }

  Cluster& cluster() { return cluster_; }
  Machine& machine() { return cluster_[0]; }
  Served& served() { return *served_; }

  // Keys, a lease, and a holder of every lock and election.
  void Fill() {
    cluster_.PutMany(machine(), kKeys, "x/");
    for (int64_t lease : {kLease, kHolder}) Grant(lease);
    for (const char* held : {"held/4e", "race/4e"}) {
      etcdserverpb::PutRequest put;
      put.set_key(held);
      put.set_lease(kHolder);
      ASSERT_TRUE(Apply(state::Operation::kPut, put).ok());
    }
  }
  Status Apply(state::Operation operation, const google::protobuf::MessageLite& request) {
    return cluster_.Propose(machine(), operation, request.SerializeAsString()).status;
  }
  void Grant(int64_t id) {
    etcdserverpb::LeaseGrantRequest grant;
    grant.set_id(id);
    grant.set_ttl(100'000);
    ASSERT_TRUE(Apply(state::Operation::kLeaseGrant, grant).ok());
  }

  // Ends `one` in all ways, at each `stride`th event.
  void Sweep(const Case& one, size_t stride) {
    SCOPED_TRACE(one.name);
    Served::Outcome whole = RunOnce(one, Ending::kNone, kEventsMax, {});
    if (!whole.status) whole.events = kEventsOfOpenCall;
    for (Ending ending : {Ending::kReset, Ending::kLoss, Ending::kDrain, Ending::kDeadline}) {
      for (size_t at = 0; at <= whole.events; at += stride) {
        const auto deadline = env::Duration(1 + whole.took.count() * static_cast<int64_t>(at) /
                                                    static_cast<int64_t>(whole.events + 1));
        RunOnce(one, ending, at, deadline);
      }
    }
    ExpectNothingWaits();
  }

 private:
  Served::Outcome RunOnce(const Case& one, Ending ending, size_t at, env::Duration deadline) {
    const ServedCall call{one.path, one.requests(), one.half_close};
    Served::Outcome outcome = served_->Run(call, ending, at, deadline, kEventsMax);
    if (one.after) one.after();
    return outcome;
  }
  void ExpectNothingWaits() {
    // A change of the members that raft dropped is answered when its time is up.
    cluster_.world().RunFor(machine().config().RequestTimeout() + seconds(1));
    const server::NodeInfo& info = machine().node().info();
    EXPECT_EQ(info.proposals_pending.value(), 0);
    EXPECT_EQ(info.watchers.load(), 0);
    EXPECT_TRUE(served_->Ask("/etcdserverpb.Maintenance/Status", "").ok());
  }

  Cluster cluster_;
  std::optional<Served> served_;
};

std::function<std::vector<std::string>()> Always(std::vector<std::string> requests) {
  return [requests = std::move(requests)] { return requests; };
}
std::function<std::vector<std::string>()> Always(const google::protobuf::MessageLite& request) {
  return Always({request.SerializeAsString()});
}

// --- the table ---

using Cases = std::vector<Case>;

etcdserverpb::RangeRequest RangeOf(const std::string& key, const std::string& range_end) {
  etcdserverpb::RangeRequest range;
  range.set_key(key);
  range.set_range_end(range_end);
  return range;
}

etcdserverpb::PutRequest PutOf(const std::string& key, size_t bytes) {
  etcdserverpb::PutRequest put;
  put.set_key(key);
  put.set_value(std::string(bytes, 'v'));
  return put;
}

etcdserverpb::TxnRequest TxnOf(const etcdserverpb::PutRequest& put) {
  etcdserverpb::TxnRequest txn;
  *txn.add_success()->mutable_request_put() = put;
  return txn;
}

void AddReads(Cases& cases) {
  constexpr std::string_view kRange = "/etcdserverpb.KV/Range";
  etcdserverpb::RangeRequest one = RangeOf("x/7", "");
  cases.push_back({"range of one", kRange, Always(one)});
  one.set_serializable(true);
  cases.push_back({"serializable range", kRange, Always(one)});
  etcdserverpb::RangeRequest all = RangeOf("x/", "x0");
  cases.push_back({"range of all", kRange, Always(all)});
  cases.push_back({"stream of all", "/etcdserverpb.KV/RangeStream", Always(all)});
  cases.push_back({"stream of one", "/etcdserverpb.KV/RangeStream", Always(one)});
  etcdserverpb::RangeRequest sorted = all;
  sorted.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  sorted.set_sort_target(etcdserverpb::RangeRequest::VALUE);
  cases.push_back({"sorted range", kRange, Always(sorted)});
  all.set_count_only(true);
  cases.push_back({"count", kRange, Always(all)});
  etcdserverpb::TxnRequest txn;
  *txn.add_success()->mutable_request_range() = RangeOf("x/1", "x/2");
  cases.push_back({"reading txn", "/etcdserverpb.KV/Txn", Always(txn)});
}

void AddWrites(Cases& cases) {
  cases.push_back({"put", "/etcdserverpb.KV/Put", Always(PutOf("p", 100))});
  cases.push_back({"txn", "/etcdserverpb.KV/Txn", Always(TxnOf(PutOf("p", 100)))});
  etcdserverpb::DeleteRangeRequest erase;
  erase.set_key("p");
  cases.push_back({"delete", "/etcdserverpb.KV/DeleteRange", Always(erase)});
  etcdserverpb::AlarmRequest alarms;
  cases.push_back({"alarm", "/etcdserverpb.Maintenance/Alarm", Always(alarms)});
}

void AddCompaction(Calls& calls, Cases& cases) {
  cases.push_back({"compact", "/etcdserverpb.KV/Compact", [&calls] {
                     calls.cluster().Put(calls.machine(), "p", "v");
                     etcdserverpb::CompactionRequest request;
                     request.set_revision(
                         calls.machine().node().frontend(0).store().current_revision() - 1);
                     request.set_physical(true);
                     return std::vector{request.SerializeAsString()};
                   }});
}

void AddLeases(Calls& calls, Cases& cases) {
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_ttl(1000);
  cases.push_back({"grant", "/etcdserverpb.Lease/LeaseGrant", Always(grant)});
  etcdserverpb::LeaseRevokeRequest revoke;
  revoke.set_id(5);
  cases.push_back({"revoke", "/etcdserverpb.Lease/LeaseRevoke", [&calls, revoke] {
                     etcdserverpb::LeaseGrantRequest again;
                     again.set_id(5);
                     again.set_ttl(1000);
                     (void)calls.Apply(state::Operation::kLeaseGrant, again);
                     return std::vector{revoke.SerializeAsString()};
                   }});
  etcdserverpb::LeaseKeepAliveRequest keep;
  keep.set_id(kLease);
  etcdserverpb::LeaseKeepAliveRequest unknown;
  unknown.set_id(4711);
  cases.push_back(
      {"keepalive", "/etcdserverpb.Lease/LeaseKeepAlive",
       Always({keep.SerializeAsString(), unknown.SerializeAsString(), keep.SerializeAsString()})});
  cases.push_back({"open keepalive", "/etcdserverpb.Lease/LeaseKeepAlive", Always(keep), false});
  etcdserverpb::LeaseTimeToLiveRequest left;
  left.set_id(kHolder);
  left.set_keys(true);
  cases.push_back({"time to live", "/etcdserverpb.Lease/LeaseTimeToLive", Always(left)});
  cases.push_back({"leases", "/etcdserverpb.Lease/LeaseLeases", Always({""})});
}

void AddWatches(Cases& cases) {
  etcdserverpb::WatchRequest history, live;
  auto& create = *history.mutable_create_request();
  create.set_key("x/");
  create.set_range_end("x0");
  create.set_start_revision(1'000);
  create.set_prev_kv(true);
  live.mutable_create_request()->set_key("p");
  cases.push_back({"watch", "/etcdserverpb.Watch/Watch",
                   Always({live.SerializeAsString(), history.SerializeAsString()}), false});
}

void AddMaintenance(Calls& calls, Cases& cases) {
  const std::string service = "/etcdserverpb.Maintenance/";
  cases.push_back({"status", "/etcdserverpb.Maintenance/Status", Always({""})});
  cases.push_back({"hash", "/etcdserverpb.Maintenance/Hash", Always({""})});
  cases.push_back({"hashkv", "/etcdserverpb.Maintenance/HashKV", Always({""})});
  cases.push_back({"snapshot", "/etcdserverpb.Maintenance/Snapshot", Always({""})});
  cases.push_back({"defragment", "/etcdserverpb.Maintenance/Defragment", Always({""})});
  const auto cancel = [&calls] {
    EXPECT_TRUE(calls.cluster()
                    .Propose(calls.machine(), state::Operation::kDowngradeInfoSet, "")
                    .status.ok());
  };
  for (auto action :
       {etcdserverpb::DowngradeRequest::VALIDATE, etcdserverpb::DowngradeRequest::ENABLE,
        etcdserverpb::DowngradeRequest::CANCEL}) {
    cases.push_back(
        {"downgrade " + std::to_string(action), "/etcdserverpb.Maintenance/Downgrade",
         [&calls, action] {
           const std::string& now = calls.machine().node().frontend(0).cluster()->cluster_version;
           etcdserverpb::DowngradeRequest request;
           request.set_action(action);
           request.set_version("3." + std::to_string(std::stoi(now.substr(2)) - 1) + ".0");
           return std::vector{request.SerializeAsString()};
         },
         true, cancel});
  }
}

void AddMembers(Calls& calls, Cases& cases) {
  etcdserverpb::MemberListRequest list;
  list.set_linearizable(true);
  cases.push_back({"member list", "/etcdserverpb.Cluster/MemberList", Always(list)});
  // Until there is no learner.
  const auto remove_learner = [&calls] {
    calls.cluster().LetFrontendsHear();
    for (const cluster::Member& member : calls.machine().node().frontend(0).cluster()->members) {
      if (!member.learner) continue;
      const raft::ConfChange remove{0, raft::ConfChangeType::kRemoveNode, NodeId(member.id), ""};
      EXPECT_EQ(calls.cluster().ChangeMembers(calls.machine(), remove), OkStatus());
      return;
    }
  };
  auto add = [&calls, next = 0]() mutable {
    etcdserverpb::MemberAddRequest request;
    request.add_peerurls("http://10.1." + std::to_string(next / 250) + "." +
                         std::to_string(1 + next % 250) + ":2380");
    ++next;
    request.set_islearner(true);
    return std::vector{request.SerializeAsString()};
  };
  cases.push_back({"member add", "/etcdserverpb.Cluster/MemberAdd", add, true,
                   [remove_learner] { remove_learner(); }});
  etcdserverpb::MemberRemoveRequest remove;
  remove.set_id(4711);
  cases.push_back({"member remove", "/etcdserverpb.Cluster/MemberRemove", Always(remove)});
  etcdserverpb::MemberPromoteRequest promote;
  promote.set_id(4711);
  cases.push_back({"member promote", "/etcdserverpb.Cluster/MemberPromote", Always(promote)});
  etcdserverpb::MemberUpdateRequest update;
  update.set_id(calls.machine().id());
  update.add_peerurls(calls.machine().peer_url());
  cases.push_back({"member update", "/etcdserverpb.Cluster/MemberUpdate", Always(update)});
  etcdserverpb::MoveLeaderRequest move;
  move.set_targetid(calls.cluster()[calls.cluster().size() - 1].id());
  cases.push_back({"move leader", "/etcdserverpb.Maintenance/MoveLeader", Always(move)});
}

void AddLocks(Cases& cases) {
  for (const char* name : {"free", "held"}) {
    v3lockpb::LockRequest lock;
    lock.set_name(name);
    lock.set_lease(kLease);
    cases.push_back({std::string("lock ") + name, "/v3lockpb.Lock/Lock", Always(lock)});
    lock.set_lease(0);
    cases.push_back({std::string("sessionless lock ") + name, "/v3lockpb.Lock/Lock", Always(lock)});
  }
  v3lockpb::UnlockRequest unlock;
  unlock.set_key("free/4d");
  cases.push_back({"unlock", "/v3lockpb.Lock/Unlock", Always(unlock)});
}

void AddElections(Cases& cases) {
  int value = 0;
  for (const char* name : {"poll", "race"}) {
    cases.push_back({std::string("campaign ") + name, "/v3electionpb.Election/Campaign",
                     [name, value]() mutable {
                       v3electionpb::CampaignRequest campaign;
                       campaign.set_name(name);
                       campaign.set_lease(kLease);
                       campaign.set_value(std::to_string(++value));  // other words than before
                       return std::vector{campaign.SerializeAsString()};
                     }});
    v3electionpb::LeaderRequest leader;
    leader.set_name(name);
    cases.push_back(
        {std::string("leader ") + name, "/v3electionpb.Election/Leader", Always(leader)});
    cases.push_back(
        {std::string("observe ") + name, "/v3electionpb.Election/Observe", Always(leader)});
  }
  v3electionpb::ProclaimRequest proclaim;
  proclaim.mutable_leader()->set_key("race/4e");
  proclaim.mutable_leader()->set_lease(kHolder);
  cases.push_back({"proclaim", "/v3electionpb.Election/Proclaim", Always(proclaim)});
  v3electionpb::ResignRequest resign;
  resign.mutable_leader()->set_key("poll/4d");
  cases.push_back({"resign", "/v3electionpb.Election/Resign", Always(resign)});
}

void AddHealth(Cases& cases) {
  cases.push_back({"health", "/grpc.health.v1.Health/Check", Always({""})});
  cases.push_back({"health list", "/grpc.health.v1.Health/List", Always({""})});
  cases.push_back({"health watch", "/grpc.health.v1.Health/Watch", Always({""})});
}

Cases AllCases(Calls& calls) {
  Cases cases;
  AddReads(cases);
  AddWrites(cases);
  AddCompaction(calls, cases);
  AddLeases(calls, cases);
  AddWatches(cases);
  AddMaintenance(calls, cases);
  AddMembers(calls, cases);
  AddLocks(cases);
  AddElections(cases);
  AddHealth(cases);
  return cases;
}

TEST(Calls, EndAtEveryEventAtALoneMember) {
  Calls calls(1, 1, [](server::NodeConfig&) {});
  calls.Fill();
  std::set<std::string_view> paths;
  for (const Case& one : AllCases(calls)) {
    paths.insert(one.path);
    calls.Sweep(one, 1);
  }
  const std::vector<std::string_view> all = api::MethodPaths();
  EXPECT_EQ(paths, std::set(all.begin(), all.end())) << "a method that this test does not know";
}

TEST(Calls, EndAtAnyEventAmongThree) {
  Calls calls(2, 3, [](server::NodeConfig&) {});
  calls.Fill();
  for (const Case& one : AllCases(calls)) calls.Sweep(one, 7);
}

// The answer waits for the alarm that the refused call raises.
TEST(Calls, EndAtEveryEventInAFullStore) {
  Calls calls(3, 1, [](server::NodeConfig& config) { config.quota_bytes = 1; });
  Cases cases;
  cases.push_back({"put", "/etcdserverpb.KV/Put", Always(PutOf("p", 100))});
  cases.push_back({"txn", "/etcdserverpb.KV/Txn", Always(TxnOf(PutOf("p", 100)))});
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_ttl(1000);
  cases.push_back({"grant", "/etcdserverpb.Lease/LeaseGrant", Always(grant)});
  AddLocks(cases);
  AddElections(cases);
  for (const Case& one : cases) calls.Sweep(one, 1);
}

// Pages have to be read on the storage loop.
TEST(Calls, EndAtEveryEventOfAReadFromDisk) {
  Calls calls(4, 1, [](server::NodeConfig& config) { config.cache_bytes = 256 << 10; });
  calls.Fill();
  for (int i = 0; i < 1500; i += 100) calls.cluster().PutMany(calls.machine(), 100, KeyOf(i));
  Cases cases;
  int next = 0;
  auto key = [&next] {
    next = (next + 7919) % kKeys;
    return "x/" + std::to_string(next);
  };
  cases.push_back({"range", "/etcdserverpb.KV/Range",
                   [key] { return std::vector{RangeOf(key(), "").SerializeAsString()}; }});
  cases.push_back({"txn", "/etcdserverpb.KV/Txn", [key] {
                     etcdserverpb::TxnRequest txn;
                     *txn.add_success()->mutable_request_range() = RangeOf(key(), "");
                     return std::vector{txn.SerializeAsString()};
                   }});
  AddReads(cases);
  AddWatches(cases);
  for (const Case& one : cases) calls.Sweep(one, 1);
}

}  // namespace
}  // namespace quoin::sim

#include "api/services.h"

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "api/cluster_service.h"
#include "api/downgrade_call.h"
#include "api/election_service.h"
#include "api/health_service.h"
#include "api/kv_service.h"
#include "api/lease_service.h"
#include "api/lock_service.h"
#include "api/maintenance_service.h"
#include "api/watch_service.h"
#include "base/string_hash.h"

namespace quoin::api {
namespace {

using rpc::CallKind;
using NewCall = std::unique_ptr<rpc::CallHandler> (*)(const Context&, rpc::ServerCall&);

struct Row {
  const char* path;
  CallKind kind;
  NewCall start;
};

constexpr Row kMethods[] = {
    {"/etcdserverpb.KV/Range", CallKind::kUnary, NewRangeCall},
    {"/etcdserverpb.KV/RangeStream", CallKind::kServerStream, NewRangeStreamCall},
    {"/etcdserverpb.KV/Put", CallKind::kUnary, NewPutCall},
    {"/etcdserverpb.KV/DeleteRange", CallKind::kUnary, NewDeleteRangeCall},
    {"/etcdserverpb.KV/Txn", CallKind::kUnary, NewTxnCall},
    {"/etcdserverpb.KV/Compact", CallKind::kUnary, NewCompactCall},
    {"/etcdserverpb.Lease/LeaseGrant", CallKind::kUnary, NewLeaseGrantCall},
    {"/etcdserverpb.Lease/LeaseRevoke", CallKind::kUnary, NewLeaseRevokeCall},
    {"/etcdserverpb.Lease/LeaseKeepAlive", CallKind::kBidi, NewLeaseKeepAliveCall},
    {"/etcdserverpb.Lease/LeaseTimeToLive", CallKind::kUnary, NewLeaseTimeToLiveCall},
    {"/etcdserverpb.Lease/LeaseLeases", CallKind::kUnary, NewLeaseLeasesCall},
    {"/etcdserverpb.Watch/Watch", CallKind::kBidi, NewWatchCall},
    {"/etcdserverpb.Maintenance/Alarm", CallKind::kUnary, NewAlarmCall},
    {"/etcdserverpb.Maintenance/Status", CallKind::kUnary, NewStatusCall},
    {"/etcdserverpb.Maintenance/Defragment", CallKind::kUnary, NewDefragmentCall},
    {"/etcdserverpb.Maintenance/Hash", CallKind::kUnary, NewHashCall},
    {"/etcdserverpb.Maintenance/HashKV", CallKind::kUnary, NewHashKvCall},
    {"/etcdserverpb.Maintenance/Snapshot", CallKind::kServerStream, NewSnapshotCall},
    {"/etcdserverpb.Maintenance/MoveLeader", CallKind::kUnary, NewMoveLeaderCall},
    {"/etcdserverpb.Maintenance/Downgrade", CallKind::kUnary, NewDowngradeCall},
    {"/etcdserverpb.Cluster/MemberList", CallKind::kUnary, NewMemberListCall},
    {"/etcdserverpb.Cluster/MemberAdd", CallKind::kUnary, NewMemberAddCall},
    {"/etcdserverpb.Cluster/MemberRemove", CallKind::kUnary, NewMemberRemoveCall},
    {"/etcdserverpb.Cluster/MemberUpdate", CallKind::kUnary, NewMemberUpdateCall},
    {"/etcdserverpb.Cluster/MemberPromote", CallKind::kUnary, NewMemberPromoteCall},
    {"/v3lockpb.Lock/Lock", CallKind::kUnary, NewLockCall},
    {"/v3lockpb.Lock/Unlock", CallKind::kUnary, NewUnlockCall},
    {"/v3electionpb.Election/Campaign", CallKind::kUnary, NewCampaignCall},
    {"/v3electionpb.Election/Proclaim", CallKind::kUnary, NewProclaimCall},
    {"/v3electionpb.Election/Leader", CallKind::kUnary, NewLeaderCall},
    {"/v3electionpb.Election/Observe", CallKind::kServerStream, NewObserveCall},
    {"/v3electionpb.Election/Resign", CallKind::kUnary, NewResignCall},
    {"/grpc.health.v1.Health/Check", CallKind::kUnary, NewHealthCheckCall},
    {"/grpc.health.v1.Health/List", CallKind::kUnary, NewHealthListCall},
    {"/grpc.health.v1.Health/Watch", CallKind::kServerStream, NewHealthWatchCall},
};

class Dispatcher final : public rpc::GrpcDispatcher {
 public:
  explicit Dispatcher(const Context& context) {
    for (const Row& row : kMethods) {
      methods_.emplace(row.path,
                       rpc::Method{row.kind, [&context, start = row.start](rpc::ServerCall& call) {
                                     return start(context, call);
                                   }});
      std::string_view path(row.path);
      services_.emplace(path.substr(1, path.rfind('/') - 1));
    }
  }
  rpc::Method* Find(std::string_view path) override {
    auto method = methods_.find(path);
    return method == methods_.end() ? nullptr : &method->second;
  }
  bool HasService(std::string_view service) const override { return services_.contains(service); }
  // What AdmitCall and LeaderWatch ask for.
  bool ReadsMetadata(std::string_view name) const override {
    return name == "hasleader" || name == "client-api-version";
  }

 private:
  absl::flat_hash_map<std::string, rpc::Method, StringHash, StringEqual>
      methods_;  // looked up only
  absl::flat_hash_set<std::string, StringHash, StringEqual> services_;
};

}  // namespace

std::unique_ptr<rpc::GrpcDispatcher> NewDispatcher(const Context& context) {
  return std::make_unique<Dispatcher>(context);
}

std::vector<std::string_view> MethodPaths() {
  std::vector<std::string_view> paths;
  for (const Row& row : kMethods) paths.emplace_back(row.path);
  return paths;
}

}  // namespace quoin::api

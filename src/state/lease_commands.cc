// Leases as the log orders them.

#include "base/errors.h"
#include "base/wire.h"
#include "proto/rpc.pb.h"
#include "state/state_machine.h"

namespace quoin::state {
namespace {

constexpr Version kFirstVersionWithDurableCheckpoints{3, 6, 0};

}  // namespace

ApplyResult StateMachine::LeaseGrant(const Command& command) {
  etcdserverpb::LeaseGrantRequest request;
  if (!ParseDeep(command.payload, request)) DieOnDiskError("malformed lease grant in the log");
  ApplyResult result;
  // etcd's members log what the client asked for, and each applies its own minimum.
  const int64_t ttl_seconds_min = command.settled ? 0 : options_.lease_ttl_seconds_min;
  StatusOr<int64_t> ttl =
      lessor_.Grant(LeaseId(request.id()), request.ttl(), ttl_seconds_min, writer_);
  result.status = ttl.status();
  if (!ttl.ok()) return result;
  wire::PutUintNonZero(result.body, 2, static_cast<uint64_t>(request.id()));
  wire::PutUintNonZero(result.body, 3, static_cast<uint64_t>(*ttl));
  return result;
}

ApplyResult StateMachine::LeaseRevoke(std::string_view payload) {
  etcdserverpb::LeaseRevokeRequest request;
  if (!ParseDeep(payload, request)) DieOnDiskError("malformed lease revocation in the log");
  ApplyResult result;
  const lease::Lease* lease = lessor_.Find(LeaseId(request.id()));
  if (lease == nullptr) {
    result.status = errors::LeaseNotFound();
    return result;
  }
  // All keys go in one revision, in bytewise order, on every member alike.
  mvcc::WriteTxn txn = store_->Begin();
  for (const std::string& key : lease->keys) MustSucceed(txn.DeleteRange(key, "").status());
  result.revision = txn.End();
  MustSucceed(lessor_.Revoke(LeaseId(request.id()), writer_));
  return result;
}

ApplyResult StateMachine::LeaseCheckpoint(std::string_view payload) {
  etcdserverpb::LeaseCheckpointRequest request;
  if (!ParseDeep(payload, request)) DieOnDiskError("malformed lease checkpoint in the log");
  // Durable from cluster version 3.6 on: older members would not carry it over.
  const bool persist =
      ParseVersion(membership_.cluster_version()) >= kFirstVersionWithDurableCheckpoints;
  for (const auto& checkpoint : request.checkpoints()) {
    MustSucceed(
        lessor_.Checkpoint(LeaseId(checkpoint.id()), checkpoint.remaining_ttl(), persist, writer_));
  }
  return {};
}

}  // namespace quoin::state

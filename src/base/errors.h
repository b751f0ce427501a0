// Every error that clients of etcd know, with its code and exact text: client libraries compare the
// text.
//
// A new one is added only if some caller can react to it. Where the code on the wire differs from
// etcd's declared one (too many requests, not enough started members), the one on the wire stands
// here.
#pragma once

#include "base/status.h"

namespace quoin::errors {

inline Status KeyNotProvided() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: key is not provided");
}
inline Status KeyNotFound() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: key not found");
}
inline Status ValueProvided() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: value is provided");
}
inline Status LeaseProvided() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: lease is provided");
}
inline Status TooManyOps() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: too many operations in txn request");
}
inline Status DuplicateKey() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: duplicate key given in txn request");
}
inline Status InvalidClientApiVersion() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: invalid client api version");
}
inline Status InvalidSortOption() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: invalid sort option");
}
inline Status Compacted() {
  return Status(StatusCode::kOutOfRange, "etcdserver: mvcc: required revision has been compacted");
}
// Ours: etcd holds whole answers in memory.
inline Status TakenTooSlowly() {
  return Status(StatusCode::kResourceExhausted,
                "quoin: the answer was taken too slowly, and a compaction waited for it");
}
inline Status FutureRevision() {
  return Status(StatusCode::kOutOfRange,
                "etcdserver: mvcc: required revision is a future revision");
}
inline Status NoSpace() {
  return Status(StatusCode::kResourceExhausted, "etcdserver: mvcc: database space exceeded");
}
inline Status LeaseNotFound() {
  return Status(StatusCode::kNotFound, "etcdserver: requested lease not found");
}
inline Status LeaseExists() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: lease already exists");
}
inline Status LeaseTtlTooLarge() {
  return Status(StatusCode::kOutOfRange, "etcdserver: too large lease TTL");
}
inline Status WatchCanceled() {
  return Status(StatusCode::kCancelled, "etcdserver: watch canceled");
}
inline Status MemberExists() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: member ID already exist");
}
inline Status PeerUrlExists() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: Peer URLs already exists");
}
inline Status MemberNotEnoughStarted() {
  return Status(StatusCode::kUnknown,
                "etcdserver: re-configuration failed due to not enough started members");
}
inline Status MemberBadUrls() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: given member URLs are invalid");
}
inline Status MemberNotFound() {
  return Status(StatusCode::kNotFound, "etcdserver: member not found");
}
inline Status MemberNotLearner() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: can only promote a learner member");
}
inline Status LearnerNotReady() {
  return Status(StatusCode::kFailedPrecondition,
                "etcdserver: can only promote a learner member which is in sync with leader");
}
inline Status TooManyLearners() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: too many learner members in cluster");
}
inline Status ClusterIdMismatch() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: cluster ID mismatch");
}
inline Status RequestTooLarge() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: request is too large");
}
inline Status TooManyRequests() {
  return Status(StatusCode::kUnknown, "etcdserver: too many requests");
}
inline Status RootUserNotExist() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: root user does not exist");
}
inline Status RootRoleNotGranted() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: root user does not have root role");
}
inline Status UserAlreadyExists() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: user name already exists");
}
inline Status UserEmpty() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: user name is empty");
}
inline Status UserNotFound() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: user name not found");
}
inline Status RoleAlreadyExists() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: role name already exists");
}
inline Status RoleNotFound() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: role name not found");
}
inline Status RoleEmpty() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: role name is empty");
}
inline Status AuthFailed() {
  return Status(StatusCode::kInvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password");
}
inline Status PermissionNotGiven() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: permission not given");
}
inline Status PermissionDenied() {
  return Status(StatusCode::kPermissionDenied, "etcdserver: permission denied");
}
inline Status RoleNotGranted() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: role is not granted to the user");
}
inline Status PermissionNotGranted() {
  return Status(StatusCode::kFailedPrecondition,
                "etcdserver: permission is not granted to the role");
}
inline Status AuthNotEnabled() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: authentication is not enabled");
}
inline Status InvalidAuthToken() {
  return Status(StatusCode::kUnauthenticated, "etcdserver: invalid auth token");
}
inline Status InvalidAuthManagement() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: invalid auth management");
}
inline Status AuthOldRevision() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: revision of auth store is old");
}
inline Status NoLeader() { return Status(StatusCode::kUnavailable, "etcdserver: no leader"); }
inline Status NotLeader() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: not leader");
}
inline Status LeaderChanged() {
  return Status(StatusCode::kUnavailable, "etcdserver: leader changed");
}
inline Status NotCapable() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: not capable");
}
inline Status Stopped() { return Status(StatusCode::kUnavailable, "etcdserver: server stopped"); }
inline Status TimedOut() {
  return Status(StatusCode::kUnavailable, "etcdserver: request timed out");
}
inline Status TimedOutLeaderFailure() {
  return Status(StatusCode::kUnavailable,
                "etcdserver: request timed out, possibly due to previous leader failure");
}
inline Status TimedOutConnectionLost() {
  return Status(StatusCode::kUnavailable,
                "etcdserver: request timed out, possibly due to connection lost");
}
inline Status TimedOutWaitingApplied() {
  return Status(StatusCode::kUnavailable,
                "etcdserver: request timed out, waiting for the applied index took too long");
}
inline Status UnhealthyCluster() {
  return Status(StatusCode::kUnavailable, "etcdserver: unhealthy cluster");
}
inline Status CorruptCluster() {
  return Status(StatusCode::kDataLoss, "etcdserver: corrupt cluster");
}
inline Status NotSupportedForLearner() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: rpc not supported for learner");
}
inline Status BadLeaderTransferee() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: bad leader transferee");
}
inline Status TimedOutLeaderTransfer() {
  return Status(StatusCode::kUnknown,
                "etcdserver: request timed out, leader transfer took too long");
}
inline Status WrongDowngradeFormat() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: wrong downgrade target version format");
}
inline Status InvalidDowngradeTarget() {
  return Status(StatusCode::kInvalidArgument, "etcdserver: invalid downgrade target version");
}
inline Status ClusterVersionNotFound() {
  return Status(StatusCode::kFailedPrecondition,
                "etcdserver: cluster version not found during downgrade");
}
inline Status DowngradeInProgress() {
  return Status(StatusCode::kFailedPrecondition,
                "etcdserver: cluster has a downgrade job in progress");
}
inline Status NoInflightDowngrade() {
  return Status(StatusCode::kFailedPrecondition, "etcdserver: no inflight downgrade job");
}
inline Status RequestCanceled() {
  return Status(StatusCode::kCancelled, "etcdserver: request canceled");
}
inline Status DeadlineExceeded() {
  return Status(StatusCode::kDeadlineExceeded, "etcdserver: context deadline exceeded");
}

// Not in etcd's table, but on its wire.
inline Status ProposalDropped() { return Status(StatusCode::kUnknown, "raft proposal dropped"); }
inline Status NotPrimaryLessor() { return Status(StatusCode::kUnknown, "not a primary lessor"); }
inline Status NoPasswordUser() {
  return Status(StatusCode::kUnknown,
                "auth: authentication failed, password was given for no password user");
}
inline Status StreamCustomSort() {
  return Status(StatusCode::kUnimplemented, "RangeStream does not support custom sort orders");
}
inline Status StreamRevisionFilters() {
  return Status(StatusCode::kUnimplemented, "RangeStream does not support revision filters");
}

}  // namespace quoin::errors

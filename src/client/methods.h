// The remote methods by name, with their message types and whether repeating one is harmless.
#pragma once

#include <cstdint>
#include <string_view>

#include "proto/rpc.pb.h"

namespace quoin::client {

enum class Repeat : uint8_t {
  kSafe,          // changes nothing: may be sent again whatever became of it
  kOnlyIfUnsent,  // changes state: again only when it certainly never reached a server
};

struct MethodInfo {
  std::string_view path;
  Repeat repeat = Repeat::kOnlyIfUnsent;
  bool requires_leader = false;  // a member without one refuses it, and ends it
};

template <typename RequestType, typename ResponseType>
struct Method : MethodInfo {
  using Request = RequestType;
  using Response = ResponseType;
};

namespace pb = etcdserverpb;

inline constexpr Method<pb::RangeRequest, pb::RangeResponse> kRange{
    {"/etcdserverpb.KV/Range", Repeat::kSafe}};
inline constexpr Method<pb::RangeRequest, pb::RangeStreamResponse> kRangeStream{
    {"/etcdserverpb.KV/RangeStream", Repeat::kSafe}};
inline constexpr Method<pb::PutRequest, pb::PutResponse> kPut{{"/etcdserverpb.KV/Put"}};
inline constexpr Method<pb::DeleteRangeRequest, pb::DeleteRangeResponse> kDeleteRange{
    {"/etcdserverpb.KV/DeleteRange"}};
inline constexpr Method<pb::TxnRequest, pb::TxnResponse> kTxn{{"/etcdserverpb.KV/Txn"}};
inline constexpr Method<pb::CompactionRequest, pb::CompactionResponse> kCompact{
    {"/etcdserverpb.KV/Compact"}};

inline constexpr Method<pb::WatchRequest, pb::WatchResponse> kWatch{
    {"/etcdserverpb.Watch/Watch", Repeat::kSafe, /*requires_leader=*/true}};

inline constexpr Method<pb::LeaseGrantRequest, pb::LeaseGrantResponse> kLeaseGrant{
    {"/etcdserverpb.Lease/LeaseGrant"}};
inline constexpr Method<pb::LeaseRevokeRequest, pb::LeaseRevokeResponse> kLeaseRevoke{
    {"/etcdserverpb.Lease/LeaseRevoke"}};
inline constexpr Method<pb::LeaseKeepAliveRequest, pb::LeaseKeepAliveResponse> kLeaseKeepAlive{
    {"/etcdserverpb.Lease/LeaseKeepAlive", Repeat::kSafe}};
inline constexpr Method<pb::LeaseTimeToLiveRequest, pb::LeaseTimeToLiveResponse> kLeaseTimeToLive{
    {"/etcdserverpb.Lease/LeaseTimeToLive", Repeat::kSafe}};
inline constexpr Method<pb::LeaseLeasesRequest, pb::LeaseLeasesResponse> kLeaseLeases{
    {"/etcdserverpb.Lease/LeaseLeases", Repeat::kSafe}};

inline constexpr Method<pb::AlarmRequest, pb::AlarmResponse> kAlarmList{
    {"/etcdserverpb.Maintenance/Alarm", Repeat::kSafe}};
inline constexpr Method<pb::AlarmRequest, pb::AlarmResponse> kAlarm{
    {"/etcdserverpb.Maintenance/Alarm"}};
inline constexpr Method<pb::StatusRequest, pb::StatusResponse> kStatus{
    {"/etcdserverpb.Maintenance/Status", Repeat::kSafe}};
inline constexpr Method<pb::HashKVRequest, pb::HashKVResponse> kHashKv{
    {"/etcdserverpb.Maintenance/HashKV", Repeat::kSafe}};
inline constexpr Method<pb::DowngradeRequest, pb::DowngradeResponse> kDowngrade{
    {"/etcdserverpb.Maintenance/Downgrade"}};
inline constexpr Method<pb::DefragmentRequest, pb::DefragmentResponse> kDefragment{
    {"/etcdserverpb.Maintenance/Defragment"}};
inline constexpr Method<pb::SnapshotRequest, pb::SnapshotResponse> kSnapshot{
    {"/etcdserverpb.Maintenance/Snapshot", Repeat::kSafe}};

inline constexpr Method<pb::MemberListRequest, pb::MemberListResponse> kMemberList{
    {"/etcdserverpb.Cluster/MemberList", Repeat::kSafe}};

inline constexpr Method<pb::MemberAddRequest, pb::MemberAddResponse> kMemberAdd{
    {"/etcdserverpb.Cluster/MemberAdd"}};
inline constexpr Method<pb::MemberRemoveRequest, pb::MemberRemoveResponse> kMemberRemove{
    {"/etcdserverpb.Cluster/MemberRemove"}};
inline constexpr Method<pb::MemberUpdateRequest, pb::MemberUpdateResponse> kMemberUpdate{
    {"/etcdserverpb.Cluster/MemberUpdate"}};
inline constexpr Method<pb::MemberPromoteRequest, pb::MemberPromoteResponse> kMemberPromote{
    {"/etcdserverpb.Cluster/MemberPromote"}};
inline constexpr Method<pb::MoveLeaderRequest, pb::MoveLeaderResponse> kMoveLeader{
    {"/etcdserverpb.Maintenance/MoveLeader"}};

inline constexpr Method<pb::AuthenticateRequest, pb::AuthenticateResponse> kAuthenticate{
    {"/etcdserverpb.Auth/Authenticate", Repeat::kSafe}};

}  // namespace quoin::client

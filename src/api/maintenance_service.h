// etcdserverpb.Maintenance: Alarm, Status, Defragment, Hash, HashKV, Snapshot, MoveLeader.
#pragma once

#include <memory>

#include "api/context.h"

namespace quoin::api {

std::unique_ptr<rpc::CallHandler> NewAlarmCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewStatusCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewDefragmentCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewHashCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewHashKvCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewMoveLeaderCall(const Context& context, rpc::ServerCall& call);
std::unique_ptr<rpc::CallHandler> NewSnapshotCall(const Context& context, rpc::ServerCall& call);

}  // namespace quoin::api

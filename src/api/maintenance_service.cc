#include "api/maintenance_service.h"

#include <atomic>
#include <memory>

#include "mvcc/store.h"
#include "proto/rpc.pb.h"
#include "server/member_changes.h"
#include "server/server_version.h"
#include "server/wanted.h"

namespace quoin::api {
namespace {

class AlarmCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  void Handle(std::string_view message) override {
    etcdserverpb::AlarmRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    if (!etcdserverpb::AlarmRequest::AlarmAction_IsValid(request.action())) {
      // etcd ends its process here.
      return Fail(absl::InvalidArgumentError("etcdserver: unknown alarm action"));
    }
    if (request.action() == etcdserverpb::AlarmRequest::ACTIVATE &&
        !etcdserverpb::AlarmType_IsValid(request.alarm())) {
      // All of etcd's members end when they apply it, and again at each start.
      return Fail(absl::InvalidArgumentError("etcdserver: unknown alarm type"));
    }
    ProposeAndReply(state::Operation::kAlarm, message);
  }
};

std::string AlarmText(const state::StateMachine::Alarm& alarm) {
  return "memberID:" + std::to_string(alarm.first) + " alarm:" +
         etcdserverpb::AlarmType_Name(static_cast<etcdserverpb::AlarmType>(alarm.second));
}

class StatusCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  bool LearnerMay(std::string_view) const override { return true; }
  void Handle(std::string_view) override {
    const server::NodeInfo& info = frontend_.info();
    const server::ClusterInfo& cluster = *frontend_.cluster();
    btree::Stats stats = frontend_.tree().stats();
    etcdserverpb::StatusResponse response;
    response.set_version(server::kServerVersion);
    response.set_dbsize(static_cast<int64_t>(stats.file_bytes));
    response.set_dbsizeinuse(static_cast<int64_t>(stats.in_use_bytes));
    response.set_leader(info.leader.load());
    response.set_raftindex(info.commit_index.load());
    response.set_raftterm(info.term.load());
    response.set_raftappliedindex(info.applied_index.load());
    if (info.leader.load() == 0) response.add_errors("etcdserver: no leader");
    for (const auto& alarm : cluster.alarms) response.add_errors(AlarmText(alarm));
    response.set_islearner(info.is_learner.load());
    response.set_storageversion(cluster.storage_version.empty() ? "3.5.0"
                                                                : cluster.storage_version);
    response.set_dbsizequota(frontend_.config().quota_bytes);
    response.mutable_downgradeinfo()->set_enabled(cluster.downgrade.enabled);
    response.mutable_downgradeinfo()->set_targetversion(cluster.downgrade.target_version);
    std::string out;
    AppendHeader(info, frontend_.store().current_revision(), out);
    out += response.SerializeAsString();
    Reply(std::move(out));
  }
};

// Work that takes long, and ends when its caller has gone.
class LongCall : public RemoteCall {
 public:
  using RemoteCall::RemoteCall;
  void OnCancel(const Status& why) override {
    want_.Withdraw();
    RemoteCall::OnCancel(why);
  }

 protected:
  server::Want want_;
};

class DefragmentCall final : public LongCall {
 public:
  using LongCall::LongCall;

 protected:
  void Handle(std::string_view) override {
    auto done = BackHere<Status>([this](Status status) { status.ok() ? Reply("") : Fail(status); });
    server::Node& node = context_.node();
    node.apply_executor().Post([&node, wanted = want_.wanted(), done = std::move(done)]() mutable {
      node.apply_loop().Defragment(std::move(wanted), std::move(done));
    });
  }
};

class MoveLeaderCall final : public RemoteCall {
 public:
  using RemoteCall::RemoteCall;

 protected:
  void Handle(std::string_view message) override {
    etcdserverpb::MoveLeaderRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    auto done = BackHere<Status>([this](Status status) { status.ok() ? Reply("") : Fail(status); });
    // etcd goes on as long as the client waits; without a deadline we end as other requests do.
    const env::Duration until = call_.deadline().value_or(frontend_.loop().clock().Now() +
                                                          frontend_.config().RequestTimeout());
    server::MoveLeader(context_.node(), frontend_, request.targetid(), until, std::move(done));
  }
};

class HashCall final : public LongCall {
 public:
  using LongCall::LongCall;

 protected:
  void Handle(std::string_view) override {
    auto done = BackHere<StatusOr<uint32_t>>([this](StatusOr<uint32_t> hash) {
      if (!hash.ok()) return Fail(hash.status());
      etcdserverpb::HashResponse response;
      response.set_hash(*hash);
      std::string out;
      AppendHeader(frontend_.info(), frontend_.store().current_revision(), out);
      out += response.SerializeAsString();
      Reply(std::move(out));
    });
    context_.node().hashes().HashTree(want_.wanted(), std::move(done));
  }
};

class HashKvCall final : public LongCall {
 public:
  using LongCall::LongCall;

 protected:
  void Handle(std::string_view message) override {
    etcdserverpb::HashKVRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    using Result = StatusOr<mvcc::HashResult>;
    auto done = BackHere<Result>([this](Result hash) {
      if (!hash.ok()) return Fail(hash.status());
      etcdserverpb::HashKVResponse response;
      response.set_hash(hash->hash);
      response.set_compact_revision(hash->compact_revision);
      response.set_hash_revision(hash->hash_revision);
      std::string out;
      AppendHeader(frontend_.info(), hash->current_revision, out);
      out += response.SerializeAsString();
      Reply(std::move(out));
    });
    context_.node().hashes().HashKeys(request.revision(), want_.wanted(), std::move(done));
  }
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewAlarmCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<AlarmCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewStatusCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<StatusCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewMoveLeaderCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<MoveLeaderCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewDefragmentCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<DefragmentCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewHashCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<HashCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewHashKvCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<HashKvCall>(context, call);
}

}  // namespace quoin::api

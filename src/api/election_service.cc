#include "api/election_service.h"

#include <utility>

#include "api/queue_call.h"
#include "proto/election.pb.h"

namespace quoin::api {
namespace {

Status NoLeaderField() { return absl::UnknownError("\"leader\" field must be provided"); }
Status NotTheLeader() { return absl::UnknownError("election: not leader"); }

// If the leadership still holds: `then`.
etcdserverpb::TxnRequest Guarded(const v3electionpb::LeaderKey& leader) {
  etcdserverpb::TxnRequest txn;
  etcdserverpb::Compare& held = *txn.add_compare();
  held.set_key(leader.key());
  held.set_target(etcdserverpb::Compare::CREATE);
  held.set_create_revision(leader.rev());
  return txn;
}

etcdserverpb::TxnRequest ProclaimTxn(const v3electionpb::LeaderKey& leader,
                                     const std::string& value) {
  etcdserverpb::TxnRequest txn = Guarded(leader);
  etcdserverpb::PutRequest& put = *txn.add_success()->mutable_request_put();
  put.set_key(leader.key());
  put.set_value(value);
  put.set_lease(leader.lease());
  return txn;
}

class CampaignCall final : public QueueCall {
 public:
  using QueueCall::QueueCall;

 protected:
  void Handle(std::string_view message) override {
    v3electionpb::CampaignRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    if (!AdmitWait(message)) return;
    leader_.set_name(request.name());
    queue_.Join(request.name(), request.lease(), request.value(),
                [this, value = request.value()](StatusOr<QueueWait::Place> place) {
                  if (!place.ok()) return FailUnknown(place.status());
                  Joined(*std::move(place), value);
                });
  }

 private:
  void Joined(QueueWait::Place place, const std::string& value) {
    leader_.set_key(place.key);
    leader_.set_rev(place.create_revision);
    leader_.set_lease(place.lease);
    if (place.joined || place.present.value() == value) return WaitTurn(leader_.name(), place);
    // This session is in the queue with another word.
    store_.Txn(ProclaimTxn(leader_, value),
               [this, place = std::move(place)](StatusOr<etcdserverpb::TxnResponse> said) {
                 if (!said.ok()) return FailUnknown(said.status());
                 if (!said->succeeded()) return Fail(NotTheLeader());
                 WaitTurn(leader_.name(), place);
               });
  }
  void Won() override {
    v3electionpb::CampaignResponse response;
    *response.mutable_header() = place_.header;
    *response.mutable_leader() = leader_;
    Reply(response.SerializeAsString());
  }

  v3electionpb::LeaderKey leader_;
};

class ProclaimCall final : public StoreCall {
 public:
  using StoreCall::StoreCall;

 protected:
  void Handle(std::string_view message) override {
    v3electionpb::ProclaimRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    if (!request.has_leader()) return Fail(NoLeaderField());
    store_.Txn(ProclaimTxn(request.leader(), request.value()),
               [this](StatusOr<etcdserverpb::TxnResponse> said) {
                 if (!said.ok()) return FailUnknown(said.status());
                 if (!said->succeeded()) return Fail(NotTheLeader());
                 v3electionpb::ProclaimResponse response;
                 *response.mutable_header() = said->header();
                 Reply(response.SerializeAsString());
               });
  }
};

class ResignCall final : public StoreCall {
 public:
  using StoreCall::StoreCall;

 protected:
  void Handle(std::string_view message) override {
    v3electionpb::ResignRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    if (!request.has_leader()) return Fail(NoLeaderField());
    etcdserverpb::TxnRequest txn = Guarded(request.leader());
    txn.add_success()->mutable_request_delete_range()->set_key(request.leader().key());
    store_.Txn(txn, [this](StatusOr<etcdserverpb::TxnResponse> left) {
      if (!left.ok()) return FailUnknown(left.status());
      v3electionpb::ResignResponse response;
      *response.mutable_header() = left->header();
      Reply(response.SerializeAsString());
    });
  }
};

class LeaderCall final : public StoreCall {
 public:
  using StoreCall::StoreCall;

 protected:
  void Handle(std::string_view message) override {
    v3electionpb::LeaderRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    call_.SetWaitingBytes(4 * message.size());
    store_.Range(FirstCreated(request.name() + "/"),
                 [this](StatusOr<etcdserverpb::RangeResponse> found) {
                   if (!found.ok()) return FailUnknown(found.status());
                   if (found->kvs_size() == 0)
                     return Fail(absl::UnknownError("election: no leader"));
                   v3electionpb::LeaderResponse response;
                   *response.mutable_header() = found->header();
                   *response.mutable_kv() = found->kvs(0);
                   Reply(response.SerializeAsString());
                 });
  }
};

// The leader's words, one after another; when it is gone, the next one's.
class ObserveCall final : public StoreCall {
 public:
  using StoreCall::StoreCall;

 protected:
  void Handle(std::string_view message) override {
    v3electionpb::LeaderRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    if (!AdmitWait(message)) return;
    prefix_ = request.name() + "/";
    FindLeader();
  }

 private:
  void FindLeader() {
    store_.Range(FirstCreated(prefix_), [this](StatusOr<etcdserverpb::RangeResponse> found) {
      if (!found.ok()) return call_.Finish(OkStatus());  // ends without a word, as in etcd
      if (found->kvs_size() == 0) return WaitForSomebody(found->header());
      Say(found->header(), found->kvs(0));
      Follow(found->kvs(0).key(), found->header().revision() + 1);
    });
  }

  void WaitForSomebody(const etcdserverpb::ResponseHeader& header) {
    store_.Watch(prefix_, EndOfPrefix(prefix_), header.revision(),
                 [this, header](StatusOr<LocalStore::Change> change) {
                   if (!change.ok()) return FindLeader();
                   if (change->deleted) return;
                   etcdserverpb::ResponseHeader then = header;
                   then.set_revision(change->kv.mod_revision());
                   Say(then, change->kv);
                   Follow(change->kv.key(), change->kv.mod_revision() + 1);
                 });
  }

  void Follow(const std::string& key, int64_t from) {
    store_.Watch(key, "", from, [this](StatusOr<LocalStore::Change> change) {
      if (change.ok() && !change->deleted) {
        etcdserverpb::ResponseHeader header;
        header.set_cluster_id(frontend_.info().cluster_id);
        header.set_member_id(frontend_.info().member_id);
        header.set_raft_term(frontend_.info().term.load(std::memory_order_relaxed));
        header.set_revision(change->kv.mod_revision());
        return Say(header, change->kv);
      }
      store_.StopWatching();
      FindLeader();
    });
  }

  void Say(const etcdserverpb::ResponseHeader& header, const mvccpb::KeyValue& kv) {
    v3electionpb::LeaderResponse response;
    *response.mutable_header() = header;
    *response.mutable_kv() = kv;
    call_.Send(response.SerializeAsString());
  }

  std::string prefix_;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewCampaignCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<CampaignCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewProclaimCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<ProclaimCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewLeaderCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<LeaderCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewObserveCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<ObserveCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewResignCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<ResignCall>(context, call);
}

}  // namespace quoin::api

// The writing half of KV, and transactions: space first, then the checks, then the log. Reading
// stands in range_call.cc.

#include "api/kv_service.h"

#include "base/errors.h"
#include "base/limits.h"
#include "proto/rpc.pb.h"
#include "state/txn.h"
#include "state/txn_check.h"

namespace quoin::api {
namespace {

class PutCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  void Handle(std::string_view message) override {
    std::optional<state::PutCommand> put = state::ParsePut(message);
    if (!put) return Fail(UnmarshalError());
    if (!AdmitSpace(state::PutCost(put->key.size(), put->value.size()))) return;
    Status status =
        state::CheckPut(put->key, put->value, put->lease, put->ignore_value, put->ignore_lease);
    if (!status.ok()) return Fail(status);
    ProposeAndReply(state::Operation::kPut, message);
  }
};

class DeleteRangeCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  void Handle(std::string_view message) override {
    etcdserverpb::DeleteRangeRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    Status status = state::CheckDelete(request);
    if (!status.ok()) return Fail(status);
    ProposeAndReply(state::Operation::kDeleteRange, message);
  }
};

class CompactCall final : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
  void Handle(std::string_view message) override {
    etcdserverpb::CompactionRequest request;
    if (!state::ParseDeep(message, request)) return Fail(UnmarshalError());
    ProposeAndReply(state::Operation::kCompaction, message);
  }
};

class TxnCall final : public RemoteCall {
 public:
  using RemoteCall::RemoteCall;

 protected:
  void Handle(std::string_view message) override {
    if (!state::ParseDeep(message, request_)) return Fail(UnmarshalError());
    if (!AdmitSpace(state::TxnCost(request_))) return;
    Status status = state::CheckTxn(request_, frontend_.config().txn_ops_max);
    if (!status.ok()) return Fail(status);
    if (!state::IsReadOnly(request_)) return ProposeAndReply(state::Operation::kTxn, message);
    if (state::IsSerializable(request_)) return Read(btree::OnMiss::kReport);
    WhenReadable([this] { Read(btree::OnMiss::kReport); });
  }

 private:
  // Reads on this loop what is in memory; the rest goes to the loop that may wait for pages.
  void Read(btree::OnMiss on_miss) {
    EpochDomain::Guard guard(frontend_.slot());
    mvcc::View view = frontend_.store().Current(on_miss);
    StatusOr<std::string> body = state::RunReadOnlyTxn(view, request_);
    if (absl::IsUnavailable(body.status())) return ReadOnStorage();
    Answer(std::move(body), view.revision());
  }

  void ReadOnStorage() {
    struct Found {
      StatusOr<std::string> body;
      int64_t revision;
    };
    auto done =
        BackHere<Found>([this](Found found) { Answer(std::move(found.body), found.revision); });
    server::Node& node = context_.node();
    node.storage_loop().Post([&node, request = request_, done = std::move(done)]() mutable {
      EpochDomain::Guard guard(node.storage_slot());
      mvcc::View view = node.store().Current(btree::OnMiss::kLoad);
      done({state::RunReadOnlyTxn(view, request), view.revision()});
    });
  }

  void Answer(StatusOr<std::string> body, int64_t revision) {
    if (!body.ok()) return Fail(body.status());
    std::string response;
    AppendHeader(frontend_.info(), revision, response);
    response += *body;
    Reply(std::move(response));
  }

  etcdserverpb::TxnRequest request_;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewPutCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<PutCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewDeleteRangeCall(const Context& context,
                                                     rpc::ServerCall& call) {
  return std::make_unique<DeleteRangeCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewTxnCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<TxnCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewCompactCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<CompactCall>(context, call);
}

}  // namespace quoin::api

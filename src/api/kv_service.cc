// The writing half of KV, and transactions: space first, then the checks, then the log. Reading
// stands in range_call.cc.

#include "api/kv_service.h"

#include "api/large_txn.h"
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

class TxnCall final : public PartedCall {
 public:
  using PartedCall::PartedCall;

 protected:
  void Handle(std::string_view message) override {
    auto request = std::make_shared<etcdserverpb::TxnRequest>();
    if (!state::ParseDeep(message, *request)) return Fail(UnmarshalError());
    if (!AdmitSpace(state::TxnCost(*request))) return;
    Status status = state::CheckTxn(*request, frontend_.config().txn_ops_max);
    if (!status.ok()) return Fail(status);
    if (!state::IsReadOnly(*request)) return ProposeAndReply(state::Operation::kTxn, message);
    request_ = std::move(request);
    if (state::IsSerializable(*request_) || frontend_.ReadableNow()) return Read();
    call_.SetWaitingBytes(request_->SpaceUsedLong());
    WhenReadable([this] { Read(); });
  }

 private:
  // At once if it is small, and its pages are in memory.
  void Read() {
    EpochDomain::Guard guard(frontend_.slot());
    const mvcc::View view = frontend_.store().Current(btree::OnMiss::kReport);
    const StatusOr<std::optional<std::string>> body =
        state::RunReadOnlyTxn(view, *request_, kAtOnce);
    if (absl::IsUnavailable(body.status()) || (body.ok() && !*body)) return StartLarge();
    if (!body.ok()) return Fail(body.status());
    std::string response;
    AppendHeader(frontend_.info(), view.revision(), response);
    response += **body;
    Reply(std::move(response));
  }

  void StartLarge() {
    auto large =
        std::make_shared<LargeTxn>(context_.node(), context_.SlicesOf(frontend_.loop()), request_);
    Keep(large);
    call_.SetWaitingBytes(request_->SpaceUsedLong());
    large->Measure([this](StatusOr<LargeTxn::Size> size) {
      if (!size.ok()) return Fail(size.status());
      std::string header;
      AppendHeader(frontend_.info(), size->revision, header);
      SendParts(std::move(header), size->body_bytes, "");
    });
  }

  std::shared_ptr<const etcdserverpb::TxnRequest> request_;  // of one that only reads
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

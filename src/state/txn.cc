#include "state/txn.h"

#include "base/check.h"
#include "base/errors.h"
#include "base/wire.h"
#include "state/range_response.h"
#include "state/state_machine.h"

namespace quoin::state {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

// Fields of TxnResponse, and the numbers of ResponseOp's members.
constexpr uint32_t kSucceeded = 2;
constexpr uint32_t kResponses = 3;
constexpr uint32_t kResponseRange = 1;
constexpr uint32_t kResponsePut = 2;
constexpr uint32_t kResponseDelete = 3;
constexpr uint32_t kResponseTxn = 4;

// −1, 0, 1: the actual value against the given one. An unknown target compares as equal, and an
// unknown result always holds: all of etcd's versions say so, and clients may ask for it.
int CompareActual(const Compare& compare, const mvcc::KeyValue& kv) {
  auto three_way = [](int64_t actual, int64_t given) {
    return actual < given ? -1 : actual > given;
  };
  switch (compare.target()) {
    case Compare::VERSION:
      return three_way(kv.version, compare.version());
    case Compare::CREATE:
      return three_way(kv.create_revision, compare.create_revision());
    case Compare::MOD:
      return three_way(kv.mod_revision, compare.mod_revision());
    case Compare::VALUE: {
      int order = kv.value.compare(compare.value());
      return order < 0 ? -1 : order > 0;
    }
    case Compare::LEASE:
      return three_way(kv.lease, compare.lease());
    default:
      return 0;
  }
}

bool Holds(const Compare& compare, const mvcc::KeyValue& kv) {
  int order = CompareActual(compare, kv);
  switch (compare.result()) {
    case Compare::EQUAL:
      return order == 0;
    case Compare::GREATER:
      return order > 0;
    case Compare::LESS:
      return order < 0;
    case Compare::NOT_EQUAL:
      return order != 0;
    default:
      return true;
  }
}

void AppendOp(uint32_t member, const std::string& response, std::string& out) {
  std::string op;
  wire::PutBytes(op, member, response);
  wire::PutBytes(out, kResponses, op);
}

// ResponseOp{response_range} with its header.
void AppendRangeOp(int64_t revision, const mvcc::RangeResult& found, const RangeRequest& request,
                   std::string& out) {
  std::string response;
  AppendRevisionHeader(revision, response);
  AppendRangeBody(found, request.keys_only(), response);
  AppendOp(kResponseRange, response, out);
}

}  // namespace

StatusOr<std::optional<bool>> GuardsRun::Slice(const mvcc::View& view, int64_t at_revision,
                                               mvcc::ReadBudget& budget) {
  for (; at_ < request_.compare_size(); ++at_, next_key_.reset(), any_ = false) {
    ASSIGN_OR_RETURN(const std::optional<bool> holds,
                     CompareSlice(view, at_revision, request_.compare(at_), budget));
    if (!holds.value_or(false)) return holds;
  }
  return true;
}

StatusOr<std::optional<bool>> GuardsRun::CompareSlice(const mvcc::View& view, int64_t at_revision,
                                                      const Compare& compare,
                                                      mvcc::ReadBudget& budget) {
  const bool from_index = compare.target() != Compare::VALUE && compare.target() != Compare::LEASE;
  const std::string from = next_key_.value_or(compare.key());
  Status status;
  bool holds = true;
  next_key_ = view.VisitSlice(from, compare.range_end(), at_revision, budget,
                              [&](const mvcc::KeyValue& found) {
                                any_ = true;
                                mvcc::KeyValue kv = found;
                                if (!from_index) {
                                  budget.Take(kv.record_bytes);
                                  status = view.Fill(kv);
                                }
                                holds = status.ok() && Holds(compare, kv);
                                return holds;
                              });
  RETURN_IF_ERROR(status);
  if (!holds) return false;
  if (next_key_) return std::nullopt;
  // Nothing there: no value compares, not even with !=; everything else compares as zero.
  return any_ || (compare.target() != Compare::VALUE && Holds(compare, mvcc::KeyValue()));
}

StatusOr<TxnPath> EvaluateGuards(const mvcc::View& view, const TxnRequest& request) {
  TxnPath path;
  mvcc::ReadBudget all;
  ASSIGN_OR_RETURN(const std::optional<bool> succeeded,
                   GuardsRun(request).Slice(view, view.revision(), all));
  CHECK(succeeded.has_value());
  path.succeeded = *succeeded;
  for (const RequestOp& op : Chosen(request, path.succeeded)) {
    if (!op.has_request_txn()) continue;
    ASSIGN_OR_RETURN(TxnPath child, EvaluateGuards(view, op.request_txn()));
    path.children.push_back(std::move(child));
  }
  return path;
}

Status CheckRangeRevision(const mvcc::View& view, const RangeRequest& request) {
  return CheckRangeRevision(view.revision(), view.compact_revision(), request);
}

Status CheckRangeRevision(int64_t revision, int64_t compact_revision, const RangeRequest& request) {
  const int64_t asked = request.revision();  // negative ones are compared as they are
  if (asked == 0) return OkStatus();
  if (asked > revision) return errors::FutureRevision();
  if (asked < compact_revision) return errors::Compacted();
  return OkStatus();
}

StatusOr<std::optional<std::string>> RunReadOnlyTxn(const mvcc::View& view,
                                                    const TxnRequest& request,
                                                    mvcc::ReadBudget budget) {
  ASSIGN_OR_RETURN(const std::optional<bool> succeeded,
                   GuardsRun(request).Slice(view, view.revision(), budget));
  if (!succeeded) return std::nullopt;
  for (const RequestOp& op : Chosen(request, *succeeded)) {
    CHECK(op.has_request_range());
    RETURN_IF_ERROR(CheckRangeRevision(view, op.request_range()));
  }
  for (const RequestOp& op : Chosen(request, *succeeded)) {
    if (!view.Fits(ToQuery(op.request_range()), budget)) return std::nullopt;
  }
  std::string body;
  wire::PutUintNonZero(body, kSucceeded, *succeeded ? 1 : 0);
  for (const RequestOp& op : Chosen(request, *succeeded)) {
    ASSIGN_OR_RETURN(const mvcc::RangeResult found, view.Range(ToQuery(op.request_range())));
    AppendRangeOp(view.revision(), found, op.request_range(), body);
  }
  return body;
}

// Runs one logged transaction against the state machine.
class TxnExecutor {
 public:
  TxnExecutor(StateMachine& machine, Shown::For whom)
      : machine_(machine), txn_(machine.store_->Begin()), shown_(whom, machine.shown_left_) {}

  ApplyResult Run(const TxnRequest& request) {
    ApplyResult result;
    mvcc::View view = txn_.view();
    TxnPath path = MustSucceed(EvaluateGuards(view, request));
    result.status = Check(request, path);
    if (result.status.ok()) {
      result.body = Execute(request, path);
      result.status = shown_.status();
    }
    result.revision = txn_.End();
    if (!result.status.ok()) result.body = std::string();
    return result;
  }

 private:
  // Everything that can fail, against the state before: a failing transaction changes nothing.
  // Operation by operation, depth first, as etcd 3.7 does: which error a client gets depends on it.
  Status Check(const TxnRequest& request, const TxnPath& path) {
    size_t child = 0;
    for (const RequestOp& op : Chosen(request, path.succeeded)) {
      switch (op.request_case()) {
        case RequestOp::kRequestRange:
          RETURN_IF_ERROR(CheckRangeRevision(txn_.view(), op.request_range()));
          break;
        case RequestOp::kRequestPut:
          RETURN_IF_ERROR(CheckPutAgainstState(op.request_put()));
          break;
        case RequestOp::kRequestDeleteRange:
          break;
        case RequestOp::kRequestTxn:
          RETURN_IF_ERROR(Check(op.request_txn(), path.children[child++]));
          break;
        case RequestOp::REQUEST_NOT_SET:  // refused before it is proposed: a later version's
          machine_.EndOn("a transaction holds an operation that this version does not know");
      }
    }
    return OkStatus();
  }

  Status CheckPutAgainstState(const PutRequest& put) {
    if ((put.ignore_value() || put.ignore_lease()) && !Find(put.key()))
      return errors::KeyNotFound();
    if (put.lease() != 0 && machine_.lessor_.Find(LeaseId(put.lease())) == nullptr)
      return errors::LeaseNotFound();
    return OkStatus();
  }

  std::optional<mvcc::KeyValue> Find(std::string_view key) {
    mvcc::RangeQuery query;
    query.key = key;
    mvcc::RangeResult found = MustSucceed(txn_.view().Range(query));
    if (found.kvs.empty()) return std::nullopt;
    return found.kvs.front();
  }

  // Returns succeeded and responses, as TxnResponse carries them.
  std::string Execute(const TxnRequest& request, const TxnPath& path) {
    std::string out;
    wire::PutUintNonZero(out, kSucceeded, path.succeeded ? 1 : 0);
    size_t child = 0;
    for (const RequestOp& op : Chosen(request, path.succeeded)) {
      switch (op.request_case()) {
        case RequestOp::kRequestRange:
          ExecuteRange(op.request_range(), out);
          break;
        case RequestOp::kRequestPut:
          ExecutePut(op.request_put(), out);
          break;
        case RequestOp::kRequestDeleteRange:
          ExecuteDelete(op.request_delete_range(), out);
          break;
        case RequestOp::kRequestTxn: {
          std::string nested;
          wire::PutBytes(nested, 1, "");  // the inner header is there, and empty
          nested += Execute(op.request_txn(), path.children[child++]);
          AppendOp(kResponseTxn, nested, out);
          break;
        }
        case RequestOp::REQUEST_NOT_SET:
          break;  // Check has ended the process
      }
    }
    return out;
  }

  void ExecuteRange(const RangeRequest& request, std::string& out) {
    const mvcc::View view = txn_.view();
    const std::optional<mvcc::RangeResult> found =
        MustSucceed(shown_.Range(view, ToQuery(request)));
    if (found) AppendRangeOp(view.revision(), *found, request, out);
  }

  void ExecutePut(const PutRequest& put, std::string& out) {
    std::string value = put.value();
    int64_t lease = put.lease();
    std::string previous;
    if (put.ignore_value() || put.ignore_lease() || (put.prev_kv() && shown_.wanted())) {
      std::optional<mvcc::KeyValue> existing = Find(put.key());
      // Checked before the transaction ran, but a delete of the same transaction may have removed
      // it since.
      if (existing) {
        if (put.ignore_value()) value = std::string(existing->value);
        if (put.ignore_lease()) lease = existing->lease;
        if (put.prev_kv() && shown_.Record(existing->record.size()))
          wire::PutBytes(previous, 2, existing->record);
      }
    }
    machine_.PutKey(txn_, put.key(), value, lease);
    std::string response;
    AppendRevisionHeader(txn_.view().revision(), response);
    response += previous;
    AppendOp(kResponsePut, response, out);
  }

  void ExecuteDelete(const DeleteRangeRequest& request, std::string& out) {
    std::string previous;
    if (request.prev_kv()) AppendPrevious(request, txn_.view(), shown_, previous);
    int64_t deleted = machine_.DeleteKeys(txn_, request.key(), request.range_end());
    std::string response;
    AppendRevisionHeader(txn_.view().revision(), response);
    wire::PutUintNonZero(response, 2, static_cast<uint64_t>(deleted));
    response += previous;
    AppendOp(kResponseDelete, response, out);
  }

  StateMachine& machine_;
  mvcc::WriteTxn txn_;
  Shown shown_;
};

ApplyResult StateMachine::Txn(std::string_view payload, Shown::For whom) {
  TxnRequest request;
  if (!ParseDeep(payload, request)) DieOnDiskError("malformed transaction in the log");
  return TxnExecutor(*this, whom).Run(request);
}

void AppendPrevious(const etcdserverpb::DeleteRangeRequest& request, const mvcc::View& view,
                    Shown& shown, std::string& out) {
  mvcc::RangeQuery query;
  query.key = request.key();
  query.range_end = request.range_end();
  const std::optional<mvcc::RangeResult> found = MustSucceed(shown.Deleted(view, query));
  if (!found) return;
  for (const mvcc::KeyValue& kv : found->kvs) wire::PutBytes(out, 3, kv.record);
}

}  // namespace quoin::state

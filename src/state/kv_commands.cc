// Put, DeleteRange, Range and Compact as the log orders them.

#include "base/errors.h"
#include "base/wire.h"
#include "proto/rpc.pb.h"
#include "state/range_response.h"
#include "state/state_machine.h"
#include "state/txn.h"

namespace quoin::state {
namespace {

ApplyResult Failed(Status status) {
  ApplyResult result;
  result.status = std::move(status);
  return result;
}

// The key as it is now; nothing when absent.
std::optional<mvcc::KeyValue> Existing(const mvcc::View& view, std::string_view key) {
  mvcc::RangeQuery query;
  query.key = key;
  mvcc::RangeResult found = MustSucceed(view.Range(query));
  if (found.kvs.empty()) return std::nullopt;
  return found.kvs.front();
}

}  // namespace

void StateMachine::PutKey(mvcc::WriteTxn& txn, std::string_view key, std::string_view value,
                          int64_t lease) {
  MustSucceed(txn.Put(key, value, lease).status());
  lessor_.Attach(key, LeaseId(lease));
}

int64_t StateMachine::DeleteKeys(mvcc::WriteTxn& txn, std::string_view key,
                                 std::string_view range_end) {
  if (!lessor_.leases().empty()) {
    txn.view().VisitKeys(key, range_end, txn.view().revision(), [&](const mvcc::KeyValue& kv) {
      lessor_.Attach(kv.key, LeaseId());
      return true;
    });
  }
  return MustSucceed(txn.DeleteRange(key, range_end));
}

ApplyResult StateMachine::Put(const PutCommand& put) {
  if (put.lease != 0 && lessor_.Find(LeaseId(put.lease)) == nullptr)
    return Failed(errors::LeaseNotFound());
  mvcc::WriteTxn txn = store_->Begin();
  ApplyResult result;
  std::string kept_value;
  std::string_view value = put.value;
  int64_t lease = put.lease;
  if (put.ignore_value || put.ignore_lease || put.prev_kv) {
    std::optional<mvcc::KeyValue> existing = Existing(txn.view(), put.key);
    if (!existing && (put.ignore_value || put.ignore_lease)) {
      txn.End();
      return Failed(errors::KeyNotFound());
    }
    if (put.ignore_value) {
      kept_value = std::string(existing->value);
      value = kept_value;
    }
    if (put.ignore_lease) lease = existing->lease;
    if (put.prev_kv && existing) wire::PutBytes(result.body, 2, existing->record);
  }
  PutKey(txn, put.key, value, lease);
  result.revision = txn.End();
  return result;
}

ApplyResult StateMachine::DeleteRange(std::string_view payload, Shown::For whom) {
  etcdserverpb::DeleteRangeRequest request;
  if (!ParseDeep(payload, request)) DieOnDiskError("malformed delete in the log");
  ApplyResult result;
  mvcc::WriteTxn txn = store_->Begin();
  Shown shown(whom, shown_left_);
  std::string previous;
  if (request.prev_kv()) AppendPrevious(request, txn.view(), shown, previous);
  int64_t deleted = DeleteKeys(txn, request.key(), request.range_end());
  wire::PutUintNonZero(result.body, 2, static_cast<uint64_t>(deleted));
  result.body += previous;
  result.revision = txn.End();
  result.status = shown.status();
  return result;
}

ApplyResult StateMachine::Range(std::string_view payload) {
  etcdserverpb::RangeRequest request;
  if (!ParseDeep(payload, request)) DieOnDiskError("malformed range in the log");
  mvcc::WriteTxn txn = store_->Begin();
  ApplyResult result;
  Shown shown(Shown::For::kCaller, shown_left_);
  const StatusOr<std::optional<mvcc::RangeResult>> found =
      shown.Range(txn.view(), ToQuery(request));
  result.status = found.ok() ? shown.status() : found.status();
  if (result.status.ok()) AppendRangeBody(**found, request.keys_only(), result.body);
  txn.End();
  return result;
}

ApplyResult StateMachine::Compact(std::string_view payload) {
  etcdserverpb::CompactionRequest request;
  if (!ParseDeep(payload, request)) DieOnDiskError("malformed compaction in the log");
  ApplyResult result;
  result.status = store_->ScheduleCompaction(request.revision());
  result.revision = store_->current_revision();
  result.wait_for_compaction = request.physical() && store_->compaction_pending();
  return result;
}

}  // namespace quoin::state

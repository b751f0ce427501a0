#include "state/txn_check.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "base/errors.h"

namespace quoin::state {
namespace {

using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using Ops = google::protobuf::RepeatedPtrField<RequestOp>;

Status CheckOps(const TxnRequest& request, size_t budget);

Status CheckOp(const RequestOp& op, size_t budget) {
  switch (op.request_case()) {
    case RequestOp::kRequestRange:
      return CheckRange(op.request_range());
    case RequestOp::kRequestPut: {
      const PutRequest& put = op.request_put();
      return CheckPut(put.key(), put.value(), put.lease(), put.ignore_value(), put.ignore_lease());
    }
    case RequestOp::kRequestDeleteRange:
      return CheckDelete(op.request_delete_range());
    case RequestOp::kRequestTxn:
      return CheckOps(op.request_txn(), budget);
    case RequestOp::REQUEST_NOT_SET:
      return errors::KeyNotFound();
  }
  return errors::KeyNotFound();
}

Status CheckOps(const TxnRequest& request, size_t budget) {
  size_t n = static_cast<size_t>(
      std::max({request.compare_size(), request.success_size(), request.failure_size()}));
  if (n > budget) return errors::TooManyOps();
  for (const auto& compare : request.compare()) {
    if (compare.key().empty()) return errors::KeyNotProvided();
  }
  for (const RequestOp& op : request.success()) RETURN_IF_ERROR(CheckOp(op, budget - n));
  for (const RequestOp& op : request.failure()) RETURN_IF_ERROR(CheckOp(op, budget - n));
  return OkStatus();
}

// The union of deleted intervals: start → end, disjoint.
class IntervalUnion {
 public:
  void Add(std::string start, std::string end) {
    if (end <= start) return;  // from-key ("\0") counts as inverted and never collides, as in etcd
    auto at = intervals_.upper_bound(start);
    if (at != intervals_.begin() && std::prev(at)->second >= start) --at;
    while (at != intervals_.end() && at->first <= end) {
      start = std::min(start, at->first);
      end = std::max(end, at->second);
      at = intervals_.erase(at);
    }
    intervals_.emplace(std::move(start), std::move(end));
  }
  void Add(const IntervalUnion& other) {
    for (const auto& [start, end] : other.intervals_) Add(start, end);
  }
  bool Contains(const std::string& key) const {
    auto at = intervals_.upper_bound(key);
    return at != intervals_.begin() && key < std::prev(at)->second;
  }

 private:
  std::map<std::string, std::string> intervals_;
};

struct Touched {
  std::set<std::string> puts;
  IntervalUnion deletes;
};

Status AddBranchPuts(const std::set<std::string>& branch,
                     const std::set<std::string>* sibling_branch, Touched& all) {
  for (const std::string& key : branch) {
    if (all.puts.contains(key)) {
      // A key put in both branches of one child is fine: only one of them runs.
      if (sibling_branch != nullptr && sibling_branch->contains(key)) continue;
      return errors::DuplicateKey();
    }
    if (all.deletes.Contains(key)) return errors::DuplicateKey();
    all.puts.insert(key);
  }
  return OkStatus();
}

Status CollectTouched(const Ops& ops, Touched& all);

Status CollectChild(const TxnRequest& child, Touched& all) {
  Touched success, failure;
  RETURN_IF_ERROR(CollectTouched(child.success(), success));
  RETURN_IF_ERROR(CollectTouched(child.failure(), failure));
  RETURN_IF_ERROR(AddBranchPuts(success.puts, nullptr, all));
  RETURN_IF_ERROR(AddBranchPuts(failure.puts, &success.puts, all));
  all.deletes.Add(success.deletes);
  all.deletes.Add(failure.deletes);
  return OkStatus();
}

// One list of operations: this level's deletes, then children in order, then this level's puts.
Status CollectTouched(const Ops& ops, Touched& all) {
  for (const RequestOp& op : ops) {
    if (!op.has_request_delete_range()) continue;
    const DeleteRangeRequest& range = op.request_delete_range();
    all.deletes.Add(range.key(),
                    range.range_end().empty() ? range.key() + '\0' : range.range_end());
  }
  for (const RequestOp& op : ops) {
    if (op.has_request_txn()) RETURN_IF_ERROR(CollectChild(op.request_txn(), all));
  }
  for (const RequestOp& op : ops) {
    if (!op.has_request_put()) continue;
    const std::string& key = op.request_put().key();
    if (all.deletes.Contains(key) || !all.puts.insert(key).second) return errors::DuplicateKey();
  }
  return OkStatus();
}

int64_t OpsCost(const Ops& ops) {
  int64_t cost = 0;
  for (const RequestOp& op : ops) {
    if (op.has_request_put())
      cost += PutCost(op.request_put().key().size(), op.request_put().value().size());
    if (op.has_request_txn()) cost += TxnCost(op.request_txn());
  }
  return cost;
}

}  // namespace

Status CheckRange(const RangeRequest& request) {
  if (request.key().empty()) return errors::KeyNotProvided();
  if (!RangeRequest::SortOrder_IsValid(request.sort_order()) ||
      !RangeRequest::SortTarget_IsValid(request.sort_target())) {
    return errors::InvalidSortOption();
  }
  return OkStatus();
}

Status CheckPut(std::string_view key, std::string_view value, int64_t lease, bool ignore_value,
                bool ignore_lease) {
  if (key.empty()) return errors::KeyNotProvided();
  if (ignore_value && !value.empty()) return errors::ValueProvided();
  if (ignore_lease && lease != 0) return errors::LeaseProvided();
  return OkStatus();
}

Status CheckDelete(const DeleteRangeRequest& request) {
  return request.key().empty() ? errors::KeyNotProvided() : OkStatus();
}

Status CheckTxn(const TxnRequest& request, size_t ops_max) {
  RETURN_IF_ERROR(CheckOps(request, ops_max));
  Touched success, failure;
  RETURN_IF_ERROR(CollectTouched(request.success(), success));
  return CollectTouched(request.failure(), failure);
}

bool IsReadOnly(const TxnRequest& request) {
  auto is_range = [](const RequestOp& op) { return op.has_request_range(); };
  return std::all_of(request.success().begin(), request.success().end(), is_range) &&
         std::all_of(request.failure().begin(), request.failure().end(), is_range);
}

bool IsSerializable(const TxnRequest& request) {
  auto is_serializable = [](const RequestOp& op) {
    return op.has_request_range() && op.request_range().serializable();
  };
  return std::all_of(request.success().begin(), request.success().end(), is_serializable) &&
         std::all_of(request.failure().begin(), request.failure().end(), is_serializable);
}

int64_t PutCost(size_t key_bytes, size_t value_bytes) {
  return static_cast<int64_t>(256 + key_bytes + value_bytes);
}

int64_t TxnCost(const TxnRequest& request) {
  return std::max(OpsCost(request.success()), OpsCost(request.failure()));
}

}  // namespace quoin::state

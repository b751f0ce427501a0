#include "client/stm.h"

#include "client/requests.h"

namespace quoin::client {

StatusOr<std::optional<std::string>> Stm::Get(std::string_view key) {
  if (auto own = writes_.find(key); own != writes_.end()) return own->second.value;
  if (auto known = reads_.find(key); known != reads_.end()) return known->second.value;
  pb::RangeRequest request;
  request.set_key(std::string(key));
  request.set_revision(revision_);
  request.set_serializable(revision_ != 0);  // an old revision is the same everywhere
  ASSIGN_OR_RETURN(pb::RangeResponse answer, client_.Call(kRange, request, timeout_));
  if (revision_ == 0) revision_ = answer.header().revision();
  Read read;
  if (answer.kvs_size() > 0) {
    read.mod_revision = answer.kvs(0).mod_revision();
    read.value = answer.kvs(0).value();
  }
  return reads_.emplace(std::string(key), std::move(read)).first->second.value;
}

void Stm::Put(std::string_view key, std::string_view value, int64_t lease) {
  writes_.insert_or_assign(std::string(key), Write{std::string(value), lease});
}

void Stm::Delete(std::string_view key) { writes_.insert_or_assign(std::string(key), Write{}); }

pb::TxnRequest Stm::Commit() const {
  pb::TxnRequest txn;
  for (const auto& [key, read] : reads_) *txn.add_compare() = ModRevisionIs(key, read.mod_revision);
  for (const auto& [key, write] : writes_) {
    *txn.add_success() = write.value ? PutOp(key, *write.value, write.lease) : DeleteOp(key);
  }
  return txn;
}

StatusOr<int64_t> RunTransaction(Client& client, Client::Timeout timeout,
                                 absl::FunctionRef<Status(Stm&)> body) {
  for (;;) {
    Stm attempt(client, timeout);
    const Status status = body(attempt);
    // Reads were of a revision that is compacted by now, or not yet known to the member asked.
    if (status.code() == StatusCode::kOutOfRange) continue;
    RETURN_IF_ERROR(status);
    ASSIGN_OR_RETURN(pb::TxnResponse answer, client.Call(kTxn, attempt.Commit(), timeout));
    if (answer.succeeded()) return answer.header().revision();
  }
}

}  // namespace quoin::client

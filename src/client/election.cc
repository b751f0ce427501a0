#include "client/election.h"

#include "base/check.h"
#include "client/requests.h"

namespace quoin::client {
namespace {

constexpr env::Duration kLeaveTimeout = std::chrono::seconds(2);

}  // namespace

StatusOr<std::optional<Leader>> CurrentLeader(Client& client, std::string_view name,
                                              Client::Timeout timeout,
                                              const std::stop_token& stop) {
  const pb::RequestOp first = FirstCreatedOp(std::string(name) + "/");
  ASSIGN_OR_RETURN(pb::RangeResponse answer,
                   client.Call(kRange, first.request_range(), timeout, stop));
  if (answer.kvs_size() == 0) return std::nullopt;
  const mvccpb::KeyValue& kv = answer.kvs(0);
  return Leader{kv.key(), kv.value(), kv.create_revision(), kv.mod_revision()};
}

Status Election::Campaign(std::string_view value, Client::Timeout timeout,
                          const std::stop_token& stop) {
  CHECK(!leads());
  ASSIGN_OR_RETURN(QueueKey place, QueueKey::Join(session_, name_, value, timeout, stop));
  if (!place.was_first()) {
    if (Status status = place.WaitFirst(session_, timeout, stop); !status.ok()) {
      place.Leave(session_, kLeaveTimeout).IgnoreError();  // else the lease ends it
      return status;
    }
  }
  place_ = std::move(place);
  return OkStatus();
}

Status Election::Proclaim(std::string_view value, Client::Timeout timeout) {
  CHECK(leads());
  pb::TxnRequest txn;
  *txn.add_compare() = place_->IsHeld();
  *txn.add_success() = PutOp(place_->key(), value, session_.lease());
  ASSIGN_OR_RETURN(pb::TxnResponse answer, session_.client().Call(kTxn, txn, timeout));
  if (answer.succeeded()) return OkStatus();
  place_.reset();
  return absl::FailedPreconditionError("election: not leader");
}

Status Election::Resign(Client::Timeout timeout) {
  CHECK(leads());
  RETURN_IF_ERROR(place_->Leave(session_, timeout));
  place_.reset();
  return OkStatus();
}

StatusOr<std::optional<Leader>> ElectionObserver::Next(Client::Timeout timeout,
                                                       const std::stop_token& stop) {
  const std::string prefix = name_ + "/";
  if (!watch_) {
    WatchOptions options;
    options.key = prefix;
    options.range_end = PrefixEnd(prefix);
    watch_.emplace(client_, std::move(options));
    RETURN_IF_ERROR(watch_->WaitCreated(timeout, stop));
  }
  for (;;) {
    ASSIGN_OR_RETURN(std::optional<Leader> leader, CurrentLeader(client_, name_, timeout, stop));
    if (leader && leader->mod_revision != seen_) {
      seen_ = leader->mod_revision;
      return leader;
    }
    StatusOr<std::optional<pb::WatchResponse>> change = watch_->Next(timeout, stop);
    if (!change.ok()) {
      watch_.reset();
      return change.status();
    }
    if (!*change) return std::nullopt;
  }
}

}  // namespace quoin::client

#include "client/queue_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "client/requests.h"
#include "client/watcher.h"

namespace quoin::client {
namespace {

// What is left of a timeout that began with this object. Value type.
class Remaining {
 public:
  Remaining(Client& client, Client::Timeout timeout) : clock_(client.loop().clock()) {
    if (timeout) deadline_ = clock_.Now() + *timeout;
  }
  Client::Timeout operator()() const {
    if (!deadline_) return std::nullopt;
    return std::max(*deadline_ - clock_.Now(), env::Duration(0));
  }

 private:
  env::Clock& clock_;
  std::optional<env::Duration> deadline_;
};

// Waits until `key`, which was there at `revision`, is deleted.
Status WaitDeleted(Client& client, const std::string& key, int64_t revision,
                   const Remaining& remaining, const std::stop_token& stop) {
  WatchOptions options;
  options.key = key;
  options.start_revision = revision + 1;
  options.no_puts = true;
  Watch watch(client, std::move(options));
  for (;;) {
    ASSIGN_OR_RETURN(std::optional<pb::WatchResponse> response, watch.Next(remaining(), stop));
    if (!response) return absl::DeadlineExceededError("context deadline exceeded");
    if (response->events_size() > 0) return OkStatus();
  }
}

}  // namespace

StatusOr<QueueKey> QueueKey::Join(Session& session, std::string_view name, std::string_view value,
                                  Client::Timeout timeout, const std::stop_token& stop) {
  QueueKey place;
  place.prefix_ = fmt::format("{}/", name);
  place.key_ = fmt::format("{}{:x}", place.prefix_, static_cast<uint64_t>(session.lease()));
  pb::TxnRequest txn;
  *txn.add_compare() = CreateRevisionIs(place.key_, 0);
  *txn.add_success() = PutOp(place.key_, value, session.lease());
  *txn.add_success() = FirstCreatedOp(place.prefix_);
  *txn.add_failure() = GetOp(place.key_);
  *txn.add_failure() = FirstCreatedOp(place.prefix_);
  ASSIGN_OR_RETURN(pb::TxnResponse answer, session.client().Call(kTxn, txn, timeout, stop));
  place.create_revision_ = answer.succeeded()
                               ? answer.header().revision()
                               : answer.responses(0).response_range().kvs(0).create_revision();
  const pb::RangeResponse& first = answer.responses(1).response_range();
  place.was_first_ =
      first.kvs_size() > 0 && first.kvs(0).create_revision() == place.create_revision_;
  return place;
}

Status QueueKey::WaitFirst(Session& session, Client::Timeout timeout,
                           const std::stop_token& stop) const {
  // The end of the session ends the wait too.
  std::stop_source either;
  const auto request_stop = [&either] { either.request_stop(); };
  const std::stop_callback on_stop(stop, request_stop);
  const std::stop_callback on_lost(session.lost_token(), request_stop);
  Status status = WaitUntilFirst(session, timeout, either.get_token());
  if (status == StoppedWaiting() && !stop.stop_requested())
    return absl::FailedPreconditionError("the session has expired");
  return status;
}

Status QueueKey::WaitUntilFirst(Session& session, Client::Timeout timeout,
                                const std::stop_token& stop) const {
  Client& client = session.client();
  const Remaining remaining(client, timeout);
  // The last one in front of us, then the last one in front of that, until there is none.
  pb::RangeRequest in_front;
  in_front.set_key(prefix_);
  in_front.set_range_end(PrefixEnd(prefix_));
  in_front.set_sort_target(pb::RangeRequest::CREATE);
  in_front.set_sort_order(pb::RangeRequest::DESCEND);
  in_front.set_limit(1);
  in_front.set_max_create_revision(create_revision_ - 1);
  for (;;) {
    ASSIGN_OR_RETURN(pb::RangeResponse last, client.Call(kRange, in_front, remaining(), stop));
    if (last.kvs_size() == 0) break;
    Status gone = WaitDeleted(client, last.kvs(0).key(), last.header().revision(), remaining, stop);
    // What was compacted meanwhile is looked up again.
    if (!gone.ok() && gone.code() != StatusCode::kOutOfRange) return gone;
  }
  // The wait may have been longer than our lease.
  pb::RangeRequest own;
  own.set_key(key_);
  ASSIGN_OR_RETURN(pb::RangeResponse mine, client.Call(kRange, own, remaining(), stop));
  if (mine.kvs_size() == 0 || mine.kvs(0).create_revision() != create_revision_) {
    return absl::FailedPreconditionError("the session has expired");
  }
  return OkStatus();
}

Status QueueKey::Leave(Session& session, Client::Timeout timeout) const {
  pb::TxnRequest txn;
  *txn.add_compare() = IsHeld();
  *txn.add_success() = DeleteOp(key_);
  return session.client().Call(kTxn, txn, timeout).status();
}

pb::Compare QueueKey::IsHeld() const { return CreateRevisionIs(key_, create_revision_); }

}  // namespace quoin::client

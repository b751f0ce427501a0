#include "api/queue_wait.h"

#include <fmt/format.h>

#include <utility>

namespace quoin::api {
namespace {

constexpr int64_t kLeaseSeconds = 60;

}  // namespace

std::string EndOfPrefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');
  ++prefix.back();
  return prefix;
}

etcdserverpb::RangeRequest FirstCreated(const std::string& prefix) {
  etcdserverpb::RangeRequest request;
  request.set_key(prefix);
  request.set_range_end(EndOfPrefix(prefix));
  request.set_sort_target(etcdserverpb::RangeRequest::CREATE);
  request.set_sort_order(etcdserverpb::RangeRequest::ASCEND);
  request.set_limit(1);
  return request;
}

void QueueWait::Join(const std::string& name, int64_t lease, const std::string& value,
                     LocalStore::Done<Place> done) {
  if (lease != 0) return JoinWith(name, lease, value, std::move(done));
  store_.Grant(kLeaseSeconds, [this, name, value, done = std::move(done)](StatusOr<int64_t> id) {
    id.ok() ? JoinWith(name, *id, value, done) : done(id.status());
  });
}

void QueueWait::JoinWith(const std::string& name, int64_t lease, const std::string& value,
                         LocalStore::Done<Place> done) {
  Place place;
  place.lease = lease;
  place.key = fmt::format("{}/{:x}", name, static_cast<uint64_t>(lease));
  etcdserverpb::TxnRequest txn;
  etcdserverpb::Compare& absent = *txn.add_compare();
  absent.set_key(place.key);
  absent.set_target(etcdserverpb::Compare::CREATE);
  absent.set_create_revision(0);
  etcdserverpb::PutRequest& put = *txn.add_success()->mutable_request_put();
  put.set_key(place.key);
  put.set_value(value);
  put.set_lease(lease);
  txn.add_failure()->mutable_request_range()->set_key(place.key);
  *txn.add_success()->mutable_request_range() = FirstCreated(name + "/");
  *txn.add_failure()->mutable_request_range() = FirstCreated(name + "/");
  store_.Txn(txn, [place,
                   done = std::move(done)](StatusOr<etcdserverpb::TxnResponse> response) mutable {
    if (!response.ok()) return done(response.status());
    place.header = response->header();
    place.joined = response->succeeded();
    if (place.joined) {
      place.create_revision = response->header().revision();
    } else {
      place.present = response->responses(0).response_range().kvs(0);
      place.create_revision = place.present.create_revision();
    }
    const auto& first = response->responses(1).response_range();
    place.first = first.kvs_size() == 0 || first.kvs(0).create_revision() == place.create_revision;
    done(std::move(place));
  });
}

// The last one in front, until it is gone; then the last one in front of that.
void QueueWait::WaitFirst(const std::string& name, const Place& place,
                          std::function<void(Status)> done) {
  etcdserverpb::RangeRequest in_front = FirstCreated(name + "/");
  in_front.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
  in_front.set_max_create_revision(place.create_revision - 1);
  store_.Range(in_front, [this, name, place,
                          done = std::move(done)](StatusOr<etcdserverpb::RangeResponse> last) {
    if (!last.ok()) return done(last.status());
    if (last->kvs_size() == 0) return done(OkStatus());
    store_.Watch(last->kvs(0).key(), "", last->header().revision(),
                 [this, name, place, done](StatusOr<LocalStore::Change> change) {
                   if (change.ok() && !change->deleted) return;
                   store_.StopWatching();
                   // Compacted meanwhile: looked up again.
                   WaitFirst(name, place, done);
                 });
  });
}

}  // namespace quoin::api

// QueueKey: a place in the queue below a prefix: a key that names a lease, in the order of
// creation. Locks and elections are queues of this kind; the key's form is that of etcd's own
// clients, so that theirs and ours wait in one queue.
//
// Thread: any but the client's loop.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>

#include "client/client.h"
#include "client/session.h"

namespace quoin::client {

class QueueKey {
 public:
  // Joins the queue below "<name>/" with `value`, or finds the place that this session already has.
  // After `stop` (StoppedWaiting()) the place may still be taken: the end of the lease frees it.
  static StatusOr<QueueKey> Join(Session& session, std::string_view name, std::string_view value,
                                 Client::Timeout timeout, const std::stop_token& stop = {});

  // Waits until nobody is in front, and makes sure that the place is still ours. DeadlineExceeded
  // when that took too long; StoppedWaiting() after `stop`; FailedPrecondition when the session's
  // lease is gone, or can no longer be relied on.
  Status WaitFirst(Session& session, Client::Timeout timeout,
                   const std::stop_token& stop = {}) const;
  // Gives the place up.
  Status Leave(Session& session, Client::Timeout timeout) const;

  const std::string& key() const { return key_; }
  // When the place was taken. Grows from holder to holder: a fencing token.
  int64_t create_revision() const { return create_revision_; }
  // Whether nobody was in front when the place was taken.
  bool was_first() const { return was_first_; }
  // True in a transaction as long as the place is held: put it into every guarded write.
  pb::Compare IsHeld() const;

 private:
  Status WaitUntilFirst(Session& session, Client::Timeout timeout,
                        const std::stop_token& stop) const;

  std::string prefix_;
  std::string key_;
  int64_t create_revision_ = 0;
  bool was_first_ = false;
};

}  // namespace quoin::client

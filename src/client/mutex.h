// Mutex: a lock among all clients of the cluster. It protects what is in the store, through
// is_held() in the same transaction; what is elsewhere only if that refuses older fencing tokens:
// a holder may be paused past its lease at any moment.
//
// Thread: any but the client's loop; one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "client/queue_key.h"

namespace quoin::client {

class Mutex {
 public:
  // `session` outlives the mutex, and the lock ends with it.
  Mutex(Session& session, std::string name) : session_(session), name_(std::move(name)) {}

  // Waits for the lock, until `timeout` or `stop` (StoppedWaiting()). When it fails nothing is held
  // and nobody waits behind us; after `stop` that is sure once the session has been closed.
  Status Lock(Client::Timeout timeout, const std::stop_token& stop = {});
  // Takes the lock if nobody has it: false otherwise.
  StatusOr<bool> TryLock(Client::Timeout timeout);
  Status Unlock(Client::Timeout timeout);

  bool held() const { return place_.has_value(); }
  // REQUIRES: held().
  const std::string& key() const { return place_->key(); }
  int64_t fencing_token() const { return place_->create_revision(); }
  pb::Compare is_held() const { return place_->IsHeld(); }

 private:
  Session& session_;
  const std::string name_;
  std::optional<QueueKey> place_;
};

}  // namespace quoin::client

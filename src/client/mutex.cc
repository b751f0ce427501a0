#include "client/mutex.h"

#include "base/check.h"

namespace quoin::client {
namespace {

// How long leaving the queue after a failure may take.
constexpr env::Duration kLeaveTimeout = std::chrono::seconds(2);

}  // namespace

Status Mutex::Lock(Client::Timeout timeout, const std::stop_token& stop) {
  CHECK(!held());
  ASSIGN_OR_RETURN(QueueKey place, QueueKey::Join(session_, name_, "", timeout, stop));
  if (!place.was_first()) {
    if (Status status = place.WaitFirst(session_, timeout, stop); !status.ok()) {
      place.Leave(session_, kLeaveTimeout).IgnoreError();  // else the lease ends it
      return status;
    }
  }
  place_ = std::move(place);
  return OkStatus();
}

StatusOr<bool> Mutex::TryLock(Client::Timeout timeout) {
  CHECK(!held());
  ASSIGN_OR_RETURN(QueueKey place, QueueKey::Join(session_, name_, "", timeout));
  if (!place.was_first()) {
    RETURN_IF_ERROR(place.Leave(session_, timeout));
    return false;
  }
  place_ = std::move(place);
  return true;
}

Status Mutex::Unlock(Client::Timeout timeout) {
  CHECK(held());
  RETURN_IF_ERROR(place_->Leave(session_, timeout));
  place_.reset();
  return OkStatus();
}

}  // namespace quoin::client

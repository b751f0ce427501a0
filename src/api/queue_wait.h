// QueueWait: how a caller takes a place in the queue below a name and waits until nobody is in
// front: what locks and elections have in common.
//
// Thread: one I/O loop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "api/local_store.h"

namespace quoin::api {

// The first key below `prefix` in the order of creation.
etcdserverpb::RangeRequest FirstCreated(const std::string& prefix);
// All keys that begin with `prefix`.
std::string EndOfPrefix(std::string prefix);

class QueueWait {
 public:
  // Where the caller stands after joining.
  struct Place {
    std::string key;
    int64_t lease = 0;
    int64_t create_revision = 0;
    bool first = false;                   // nobody is in front
    bool joined = false;                  // now; false: the session was there already
    mvccpb::KeyValue present;             // when it was
    etcdserverpb::ResponseHeader header;  // of the joining
  };

  explicit QueueWait(LocalStore& store) : store_(store) {}

  // Grants a lease when `lease` is 0. Errors as the store's.
  void Join(const std::string& name, int64_t lease, const std::string& value,
            LocalStore::Done<Place> done);
  // Runs `done` once nobody is in front of `place`.
  void WaitFirst(const std::string& name, const Place& place, std::function<void(Status)> done);

 private:
  void JoinWith(const std::string& name, int64_t lease, const std::string& value,
                LocalStore::Done<Place> done);

  LocalStore& store_;
};

}  // namespace quoin::api

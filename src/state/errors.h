// The errors of applying and reading, with etcd's codes and exact texts (client libraries compare the text).
#pragma once

#include "base/status.h"

namespace quoin::state {

inline Status KeyNotProvided() { return absl::InvalidArgumentError("etcdserver: key is not provided"); }
inline Status KeyNotFound() { return absl::InvalidArgumentError("etcdserver: key not found"); }
inline Status ValueProvided() { return absl::InvalidArgumentError("etcdserver: value is provided"); }
inline Status LeaseProvided() { return absl::InvalidArgumentError("etcdserver: lease is provided"); }
inline Status TooManyOps() { return absl::InvalidArgumentError("etcdserver: too many operations in txn request"); }
inline Status DuplicateKey() { return absl::InvalidArgumentError("etcdserver: duplicate key given in txn request"); }
inline Status InvalidSortOption() { return absl::InvalidArgumentError("etcdserver: invalid sort option"); }
inline Status Compacted() { return absl::OutOfRangeError("etcdserver: mvcc: required revision has been compacted"); }
inline Status FutureRevision() {
  return absl::OutOfRangeError("etcdserver: mvcc: required revision is a future revision");
}
inline Status NoSpace() { return absl::ResourceExhaustedError("etcdserver: mvcc: database space exceeded"); }
inline Status LeaseNotFound() { return absl::NotFoundError("etcdserver: requested lease not found"); }
inline Status CorruptCluster() { return absl::DataLossError("etcdserver: corrupt cluster"); }

}  // namespace quoin::state

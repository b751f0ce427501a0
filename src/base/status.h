// Results of calls that can fail for a caller's reason. The codes are gRPC's, so that an error
// travels unchanged from where it is found to the client; etcd's exact texts stand in
// base/errors.h.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace quoin {

using absl::Status;
using absl::StatusCode;
using absl::StatusOr;

inline Status OkStatus() { return absl::OkStatus(); }

}  // namespace quoin

// Returns from the enclosing function when `expr` is not OK.
#define RETURN_IF_ERROR(expr)                                            \
  do {                                                                   \
    if (::quoin::Status status_ = (expr); !status_.ok()) return status_; \
  } while (0)

#define QUOIN_CONCAT2(a, b) a##b
#define QUOIN_CONCAT(a, b) QUOIN_CONCAT2(a, b)
// ASSIGN_OR_RETURN(auto x, F()): x is F()'s value, or the enclosing function returns F()'s error.
#define ASSIGN_OR_RETURN(lhs, expr) \
  QUOIN_ASSIGN_OR_RETURN(QUOIN_CONCAT(statusor_, __LINE__), lhs, expr)
#define QUOIN_ASSIGN_OR_RETURN(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) return tmp.status();          \
  lhs = *std::move(tmp)

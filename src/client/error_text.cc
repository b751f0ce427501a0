#include "client/error_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace quoin::client {
namespace {

constexpr std::array<std::string_view, 17> kCodeNames = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

// Messages with etcd's prefix that its clients do not know by heart: they are shown with the code.
constexpr std::string_view kNotInClientTable[] = {
    "etcdserver: invalid client api version",
    "etcdserver: watch canceled",
    "etcdserver: permission not given",
    "etcdserver: request timed out, waiting for the applied index took too long",
    "etcdserver: request timed out, leader transfer took too long",
    "etcdserver: request canceled",
    "etcdserver: context deadline exceeded",
    "etcdserver: unknown method",
};

bool IsKnownMessage(std::string_view message) {
  return message.starts_with("etcdserver: ") &&
         std::find(std::begin(kNotInClientTable), std::end(kNotInClientTable), message) ==
             std::end(kNotInClientTable);
}

}  // namespace

std::string_view CodeName(StatusCode code) {
  const auto index = static_cast<size_t>(code);
  return index < kCodeNames.size() ? kCodeNames[index] : kCodeNames[2];
}

std::string RpcErrorText(const Status& status) {
  return fmt::format("rpc error: code = {} desc = {}", CodeName(status.code()),
                     std::string(status.message()));
}

std::string ErrorText(const Status& status) {
  std::string message(status.message());
  if (IsKnownMessage(message)) return message;
  if (status.code() == StatusCode::kDeadlineExceeded) return "context deadline exceeded";
  if (status.code() == StatusCode::kCancelled) return "context canceled";
  return RpcErrorText(status);
}

}  // namespace quoin::client

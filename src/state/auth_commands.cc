// Users, roles and permissions as the log orders them.

#include "state/state_machine.h"

namespace quoin::state {
namespace {

// Until a server can check who asks, it must not serve behind this: it would answer everybody, and
// apply what etcd's members refuse.
constexpr std::string_view kAuthOn =
    "it switches auth on, and this version does not know how to check permissions";

}  // namespace

ApplyResult StateMachine::Auth(const Command& command) {
  if (options_.purpose == Options::Purpose::kServe && command.operation == Operation::kAuthEnable &&
      auth_.MayEnable().ok())
    EndOn(kAuthOn);
  StatusOr<std::string> body = auth_.Apply(static_cast<uint32_t>(command.operation),
                                           command.payload, applied_index_, writer_);
  if (absl::IsUnimplemented(body.status())) EndOn(std::string(body.status().message()));
  ApplyResult result;
  result.status = body.status();
  if (body.ok()) result.body = *std::move(body);
  return result;
}

}  // namespace quoin::state

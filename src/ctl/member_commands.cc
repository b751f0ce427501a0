// member list.
#include "ctl/families.h"
#include "ctl/kv_requests.h"

namespace quoin::ctl {

ExitCode RunMemberList(Invocation& invocation) {
  const StatusOr<bool> serializable = IsSerializable(invocation.flags());
  if (!serializable.ok()) return invocation.FailRequest(serializable.status());
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(!*serializable);
  const auto response = invocation.Call(client::kMemberList, request);
  if (!response.ok()) return invocation.FailCall(response.status());
  return invocation.Printed(invocation.printer().MemberList(*response));
}

}  // namespace quoin::ctl

// What a log entry says: the envelope of InternalRaftRequest, taken apart without copying, and put
// together again.
//
// Grammar:  entry := operation header     operation := field number of the request kind, its bytes
//           header := field 100 {1 ID, 2 username, 3 auth_revision, 1000 settled}
// Operations keep the client's bytes as they came. Members of 3.5 and older also log requests of
// the v2 API, either bare or in field 2; they are recognised here (see v2_request.h).
//
// What stands at the envelope's own level must be known: a field that is not could be an operation,
// and passing over it would fork this member from the others (docs/design/0017). Unknown fields
// inside the header and inside operations are passed over, as all etcd's versions do: clients can
// put them there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/shared_bytes.h"
#include "base/status.h"

namespace google::protobuf {
class MessageLite;
}

namespace quoin::state {

// Field numbers of InternalRaftRequest.
enum class Operation : uint32_t {
  kNone = 0,  // an empty entry: a leader's first
  kLegacy = 2,
  kRange = 3,
  kPut = 4,
  kDeleteRange = 5,
  kTxn = 6,
  kCompaction = 7,
  kLeaseGrant = 8,
  kLeaseRevoke = 9,
  kAlarm = 10,
  kLeaseCheckpoint = 11,
  kAuthEnable = 1000,
  kAuthDisable = 1011,
  kAuthenticate = 1012,
  kAuthStatus = 1013,
  kAuthUserAdd = 1100,
  kAuthUserDelete = 1101,
  kAuthUserGet = 1102,
  kAuthUserChangePassword = 1103,
  kAuthUserGrantRole = 1104,
  kAuthUserRevokeRole = 1105,
  kAuthUserList = 1106,
  kAuthRoleList = 1107,
  kAuthRoleAdd = 1200,
  kAuthRoleDelete = 1201,
  kAuthRoleGet = 1202,
  kAuthRoleGrantPermission = 1203,
  kAuthRoleRevokePermission = 1204,
  kClusterVersionSet = 1300,
  kClusterMemberAttributesSet = 1301,
  kDowngradeInfoSet = 1302,
  kDowngradeVersionTest = 9900,
};

// Value type; points into the entry's bytes.
struct Command {
  uint64_t request_id = 0;
  std::string_view username;
  uint64_t auth_revision = 0;
  // Ours: what the flags of a member decide has been decided by its proposer's, so that members
  // with other flags apply it alike. etcd's members pass over it. Leases: the TTL is not below the
  // proposer's minimum.
  bool settled = false;
  Operation operation = Operation::kNone;
  std::string_view payload;  // of the operation's own message
};

// DataLoss when the bytes are no InternalRaftRequest and no v2 request; Unimplemented when they
// hold a field that this version does not know, or more than one operation.
StatusOr<Command> ParseCommand(std::string_view entry_data);

// Whether an entry may grant, end or checkpoint a lease: true for all that do.
bool MayChangeLeases(std::string_view entry_data);

// The entry for an operation of which `payload` are the encoded bytes. A kLeaseGrant is marked as
// settled: its caller has applied its own minimum to the TTL.
SharedBytes EncodeCommand(uint64_t request_id, Operation operation, std::string_view payload);
size_t EncodedCommandSize(uint64_t request_id, Operation operation, size_t payload_bytes);

// PutRequest, read without generated classes: puts are the hot path.
struct PutCommand {
  std::string_view key;
  std::string_view value;
  int64_t lease = 0;
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;
};
std::optional<PutCommand> ParsePut(std::string_view payload);

// Parses a generated message with room for 128 nested transactions (protobuf stops at 100 levels by
// itself).
bool ParseDeep(std::string_view bytes, google::protobuf::MessageLite& message);

}  // namespace quoin::state

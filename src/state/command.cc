#include "state/command.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message_lite.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/wire.h"
#include "state/v2_request.h"

namespace quoin::state {
namespace {

constexpr uint32_t kIdField = 1;
constexpr uint32_t kHeaderField = 100;
constexpr uint32_t kSettledField = 1000;  // of the header

bool KnownOperation(uint32_t number) {
  switch (static_cast<Operation>(number)) {
    case Operation::kNone:
      return false;
    case Operation::kLegacy:
    case Operation::kRange:
    case Operation::kPut:
    case Operation::kDeleteRange:
    case Operation::kTxn:
    case Operation::kCompaction:
    case Operation::kLeaseGrant:
    case Operation::kLeaseRevoke:
    case Operation::kAlarm:
    case Operation::kLeaseCheckpoint:
    case Operation::kAuthEnable:
    case Operation::kAuthDisable:
    case Operation::kAuthenticate:
    case Operation::kAuthStatus:
    case Operation::kAuthUserAdd:
    case Operation::kAuthUserDelete:
    case Operation::kAuthUserGet:
    case Operation::kAuthUserChangePassword:
    case Operation::kAuthUserGrantRole:
    case Operation::kAuthUserRevokeRole:
    case Operation::kAuthUserList:
    case Operation::kAuthRoleList:
    case Operation::kAuthRoleAdd:
    case Operation::kAuthRoleDelete:
    case Operation::kAuthRoleGet:
    case Operation::kAuthRoleGrantPermission:
    case Operation::kAuthRoleRevokePermission:
    case Operation::kClusterVersionSet:
    case Operation::kClusterMemberAttributesSet:
    case Operation::kDowngradeInfoSet:
    case Operation::kDowngradeVersionTest:
      return true;
  }
  return false;
}

bool ParseHeader(std::string_view bytes, Command& command) {
  wire::Reader reader(bytes);
  for (wire::Field field; reader.Next(field);) {
    if (field.number == 1 && field.type == wire::Type::kVarint) command.request_id = field.varint;
    if (field.number == 2 && field.type == wire::Type::kBytes) command.username = field.bytes;
    if (field.number == 3 && field.type == wire::Type::kVarint)
      command.auth_revision = field.varint;
    if (field.number == kSettledField && field.type == wire::Type::kVarint)
      command.settled = field.varint != 0;
  }
  return reader.ok();
}

bool Settles(Operation operation) { return operation == Operation::kLeaseGrant; }

size_t HeaderSize(uint64_t request_id, Operation operation) {
  const size_t settled = Settles(operation) ? wire::VarintSize(kSettledField << 3) + 1 : 0;
  return 1 + wire::VarintSize(request_id) + settled;
}

}  // namespace

StatusOr<Command> ParseCommand(std::string_view entry_data) {
  Command command;
  if (entry_data.empty()) return command;
  if (IsBareV2Request(entry_data)) {
    command.operation = Operation::kLegacy;
    command.payload = entry_data;
    return command;
  }
  wire::Reader reader(entry_data);
  for (wire::Field field; reader.Next(field);) {
    if (field.number == kIdField && field.type == wire::Type::kVarint) {
      command.request_id = field.varint;
    } else if (field.number == kHeaderField && field.type == wire::Type::kBytes) {
      if (!ParseHeader(field.bytes, command))
        return absl::DataLossError("malformed request header");
    } else if (KnownOperation(field.number) && field.type == wire::Type::kBytes) {
      if (command.operation != Operation::kNone)
        return absl::UnimplementedError("the entry holds more than one operation");
      command.operation = static_cast<Operation>(field.number);
      command.payload = field.bytes;
    } else {
      return absl::UnimplementedError("the entry holds field " + std::to_string(field.number) +
                                      " of a request, which this version does not know");
    }
  }
  if (!reader.ok()) return absl::DataLossError("the entry is no request");
  if (command.operation == Operation::kNone)
    return absl::UnimplementedError("the entry holds no operation");
  return command;
}

bool MayChangeLeases(std::string_view entry_data) {
  wire::Reader reader(entry_data);
  for (wire::Field field; reader.Next(field);) {
    const auto operation = static_cast<Operation>(field.number);
    if (operation == Operation::kLeaseGrant || operation == Operation::kLeaseRevoke ||
        operation == Operation::kLeaseCheckpoint)
      return true;
  }
  return false;
}

size_t EncodedCommandSize(uint64_t request_id, Operation operation, size_t payload_bytes) {
  size_t header = HeaderSize(request_id, operation);
  return wire::VarintSize(static_cast<uint64_t>(operation) << 3) + wire::VarintSize(payload_bytes) +
         payload_bytes + wire::VarintSize(kHeaderField << 3) + wire::VarintSize(header) + header;
}

SharedBytes EncodeCommand(uint64_t request_id, Operation operation, std::string_view payload) {
  size_t size = EncodedCommandSize(request_id, operation, payload.size());
  return SharedBytes::Make(size, [&](char* at) {
    constexpr uint64_t kBytes = static_cast<uint64_t>(wire::Type::kBytes);
    const char* start = at;
    auto put_operation = [&] {
      at = wire::PutVarint(at, static_cast<uint64_t>(operation) << 3 | kBytes);
      at = wire::PutVarint(at, payload.size());
      payload.copy(at, payload.size());
      at += payload.size();
    };
    const bool operation_first =
        static_cast<uint32_t>(operation) < kHeaderField;  // ascending numbers, as Go writes
    if (operation_first) put_operation();
    at = wire::PutVarint(at, kHeaderField << 3 | kBytes);
    at = wire::PutVarint(at, HeaderSize(request_id, operation));
    at = wire::PutVarint(at, 1 << 3);
    at = wire::PutVarint(at, request_id);
    if (Settles(operation)) {
      at = wire::PutVarint(at, kSettledField << 3);
      at = wire::PutVarint(at, 1);
    }
    if (!operation_first) put_operation();
    CHECK_EQ(static_cast<size_t>(at - start), size);
  });
}

std::optional<PutCommand> ParsePut(std::string_view payload) {
  PutCommand put;
  wire::Reader reader(payload);
  for (wire::Field field; reader.Next(field);) {
    const bool bytes = field.type == wire::Type::kBytes;
    const bool varint = field.type == wire::Type::kVarint;
    if (field.number == 1 && bytes) put.key = field.bytes;
    if (field.number == 2 && bytes) put.value = field.bytes;
    if (field.number == 3 && varint) put.lease = field.int64();
    if (field.number == 4 && varint) put.prev_kv = field.varint != 0;
    if (field.number == 5 && varint) put.ignore_value = field.varint != 0;
    if (field.number == 6 && varint) put.ignore_lease = field.varint != 0;
  }
  if (!reader.ok()) return std::nullopt;
  return put;
}

bool ParseDeep(std::string_view bytes, google::protobuf::MessageLite& message) {
  google::protobuf::io::ArrayInputStream array(bytes.data(), static_cast<int>(bytes.size()));
  google::protobuf::io::CodedInputStream input(&array);
  input.SetRecursionLimit(limits::kProtobufDepthMax);
  return message.ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
}

}  // namespace quoin::state

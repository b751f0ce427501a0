// Alarms: what is wrong with which member, known to all; and what may still be done meanwhile.

#include "base/errors.h"
#include "proto/rpc.pb.h"
#include "state/state_machine.h"
#include "state/txn_check.h"

namespace quoin::state {
namespace {

using etcdserverpb::AlarmRequest;

std::string RowKey(const StateMachine::Alarm& alarm) {
  etcdserverpb::AlarmMember row;
  row.set_memberid(alarm.first);
  row.set_alarm(static_cast<etcdserverpb::AlarmType>(alarm.second));
  return row.SerializeAsString();
}

// Whether the command would add to the data file, by etcd's estimate.
bool Costs(const Command& command) {
  switch (command.operation) {
    case Operation::kPut:
    case Operation::kLeaseGrant:
      return true;
    case Operation::kTxn: {
      etcdserverpb::TxnRequest request;
      return ParseDeep(command.payload, request) && TxnCost(request) > 0;
    }
    default:
      return false;
  }
}

bool ForbiddenWhenCorrupt(Operation operation) {
  switch (operation) {
    case Operation::kPut:
    case Operation::kRange:
    case Operation::kDeleteRange:
    case Operation::kTxn:
    case Operation::kCompaction:
    case Operation::kLeaseGrant:
    case Operation::kLeaseRevoke:
      return true;
    default:
      return false;
  }
}

}  // namespace

Status StateMachine::AdmitUnderAlarms(const Command& command) const {
  if (alarms_.empty()) return OkStatus();
  if (HasAlarm(AlarmType::kCorrupt) && ForbiddenWhenCorrupt(command.operation))
    return errors::CorruptCluster();
  if (HasAlarm(AlarmType::kNoSpace) && Costs(command)) return errors::NoSpace();
  return OkStatus();
}

ApplyResult StateMachine::Alarms(std::string_view payload) {
  AlarmRequest request;
  if (!ParseDeep(payload, request)) DieOnDiskError("malformed alarm request in the log");
  const auto type = static_cast<AlarmType>(request.alarm());
  const Alarm alarm(request.memberid(), type);
  etcdserverpb::AlarmResponse response;
  auto answer = [&](const Alarm& row) {
    etcdserverpb::AlarmMember* member = response.add_alarms();
    member->set_memberid(row.first);
    member->set_alarm(static_cast<etcdserverpb::AlarmType>(row.second));
  };
  switch (request.action()) {
    case AlarmRequest::GET:
      for (const Alarm& row : alarms_) {
        if (type == AlarmType::kNone || row.second == type) answer(row);
      }
      break;
    case AlarmRequest::ACTIVATE:
      if (type == AlarmType::kNone) break;
      // etcd's members end here as well: a state with it is one that no version knows.
      if (!etcdserverpb::AlarmType_IsValid(request.alarm()))
        EndOn("it raises an alarm of the unknown type " + std::to_string(request.alarm()));
      if (alarms_.insert(alarm).second) MustSucceed(writer_.Put("alarm", RowKey(alarm), ""));
      answer(alarm);
      break;
    case AlarmRequest::DEACTIVATE:
      if (alarms_.erase(alarm) == 0) break;
      MustSucceed(writer_.Delete("alarm", RowKey(alarm)));
      answer(alarm);
      break;
    default:
      // Refused before it is proposed. A client can put one into the log through etcd's members,
      // for all of which it changes nothing (only the one that answers ends).
      break;
  }
  ApplyResult result;
  result.body = response.SerializeAsString();
  return result;
}

}  // namespace quoin::state

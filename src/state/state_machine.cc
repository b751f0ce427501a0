#include "state/state_machine.h"

#include "base/check.h"
#include "base/unknown.h"
#include "base/wire.h"
#include "proto/rpc.pb.h"
#include "raft_types/codec.h"
#include "state/conf_state_json.h"

namespace quoin::state {
namespace {

constexpr std::string_view kMeta = "meta";
constexpr std::string_view kAlarm = "alarm";
std::string BigEndian(uint64_t value) {
  std::string out;
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
  return out;
}

StatusOr<uint64_t> ReadBigEndian(std::string_view bytes, std::string_view what) {
  if (bytes.size() != 8)
    return absl::DataLossError("bucket meta: " + std::string(what) + " is not 8 bytes long");
  uint64_t value = 0;
  for (unsigned char byte : bytes) value = value << 8 | byte;
  return value;
}

}  // namespace

std::vector<std::string> BucketNames() {
  return {"alarm", "auth",  "authRoles", "authUsers",       "cluster",
          "key",   "lease", "members",   "members_removed", "meta"};
}

void MustSucceed(const Status& status) {
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
}

StateMachine::StateMachine(btree::Tree& tree, const Options& options, Logger& log)
    : tree_(tree), writer_(tree.writer()), options_(options), log_(log) {}

StatusOr<std::unique_ptr<StateMachine>> StateMachine::Open(btree::Tree& tree,
                                                           const Options& options, Logger& log) {
  std::unique_ptr<StateMachine> machine(new StateMachine(tree, options, log));
  RETURN_IF_ERROR(machine->Load());
  return machine;
}

Status StateMachine::Load() {
  for (const std::string& bucket : BucketNames()) RETURN_IF_ERROR(writer_.CreateBucket(bucket));
  writer_.Publish();
  {
    EpochDomain::ReaderSlot slot(tree_.epochs());
    EpochDomain::Guard guard(slot);
    btree::Snapshot snapshot = tree_.Current();
    RETURN_IF_ERROR(LoadMeta(snapshot));
    ASSIGN_OR_RETURN(membership_, cluster::Membership::Load(snapshot));
    ASSIGN_OR_RETURN(lessor_, lease::Lessor::Load(snapshot));
    ASSIGN_OR_RETURN(auth_, auth::AuthStore::Load(snapshot));
    RETURN_IF_ERROR(LoadAlarms(snapshot));
  }
  RETURN_IF_ERROR(auth_.Initialize(writer_));
  ASSIGN_OR_RETURN(store_, mvcc::Store::Open(tree_, [&](std::string_view key, int64_t lease) {
                     lessor_.Attach(key, LeaseId(lease));
                   }));
  return OkStatus();
}

Status StateMachine::LoadMeta(const btree::Snapshot& snapshot) {
  ASSIGN_OR_RETURN(auto index, snapshot.Get(kMeta, "consistent_index", btree::OnMiss::kLoad));
  if (index) {
    ASSIGN_OR_RETURN(uint64_t value, ReadBigEndian(*index, "consistent_index"));
    applied_index_ = Index(value);
  }
  ASSIGN_OR_RETURN(auto term, snapshot.Get(kMeta, "term", btree::OnMiss::kLoad));
  if (term) {
    ASSIGN_OR_RETURN(uint64_t value, ReadBigEndian(*term, "term"));
    applied_term_ = Term(value);
  }
  ASSIGN_OR_RETURN(auto conf_state, snapshot.Get(kMeta, "confState", btree::OnMiss::kLoad));
  if (conf_state) {
    ASSIGN_OR_RETURN(conf_state_, ParseConfStateJson(*conf_state));
  }
  ASSIGN_OR_RETURN(auto version, snapshot.Get(kMeta, "storageVersion", btree::OnMiss::kLoad));
  if (version) storage_version_ = std::string(*version);
  return OkStatus();
}

Status StateMachine::LoadAlarms(const btree::Snapshot& snapshot) {
  btree::Cursor cursor = snapshot.NewCursor(kAlarm, btree::OnMiss::kLoad);
  RETURN_IF_ERROR(cursor.SeekFirst());
  while (cursor.Valid()) {
    etcdserverpb::AlarmMember alarm;
    if (!alarm.ParseFromArray(cursor.key().data(), static_cast<int>(cursor.key().size()))) {
      return absl::DataLossError("bucket alarm: a row is malformed");
    }
    alarms_.emplace(alarm.memberid(), static_cast<AlarmType>(alarm.alarm()));
    RETURN_IF_ERROR(cursor.Next());
  }
  return OkStatus();
}

Command ParseLogged(Index index, std::string_view entry_data) {
  StatusOr<Command> command = ParseCommand(entry_data);
  if (command.ok()) return *command;
  const std::string what =
      "log entry " + std::to_string(index.value()) + ": " + std::string(command.status().message());
  if (absl::IsUnimplemented(command.status())) DieOnUnknown(what);
  DieOnDiskError(what);
}

raft::ConfChange ParseLoggedChange(const raft::Entry& entry) {
  const std::string where = "log entry " + std::to_string(entry.index.value()) + ": ";
  if (entry.type != raft::EntryType::kConfChange)
    DieOnUnknown(where + "its type is " + std::to_string(static_cast<int>(entry.type)) +
                 ", which is neither a request nor a configuration change");
  StatusOr<raft::ConfChange> change = raft::DecodeConfChange(entry.data);
  if (!change.ok()) DieOnUnknown(where + std::string(change.status().message()));
  return *std::move(change);
}

void StateMachine::EndOn(std::string_view what) const {
  DieOnUnknown("log entry " + std::to_string(applied_index_.value()) + ": " + std::string(what));
}

ApplyResult StateMachine::Apply(Index index, Term term, const Command& command, bool want_result) {
  if (index <= applied_index_) return {};
  applied_index_ = index;
  applied_term_ = term;
  if (command.operation == Operation::kNone) return {};
  ApplyResult result;
  result.status = AdmitUnderAlarms(command);
  if (result.status.ok()) result = Dispatch(command, want_result);
  if (result.revision == 0) result.revision = store_->current_revision();
  return result;
}

ApplyResult StateMachine::Dispatch(const Command& command, bool want_result) {
  const Shown::For whom = want_result ? Shown::For::kCaller : Shown::For::kNobody;
  switch (command.operation) {
    case Operation::kPut: {
      std::optional<PutCommand> put = ParsePut(command.payload);
      if (!put)
        DieOnDiskError("log entry " + std::to_string(applied_index_.value()) + ": malformed put");
      return Put(*put);
    }
    case Operation::kRange:
      return want_result ? Range(command.payload) : ApplyResult{};
    case Operation::kDeleteRange:
      return DeleteRange(command.payload, whom);
    case Operation::kTxn:
      return Txn(command.payload, whom);
    case Operation::kCompaction:
      return Compact(command.payload);
    case Operation::kLeaseGrant:
      return LeaseGrant(command);
    case Operation::kLeaseRevoke:
      return LeaseRevoke(command.payload);
    case Operation::kLeaseCheckpoint:
      return LeaseCheckpoint(command.payload);
    case Operation::kAlarm:
      return Alarms(command.payload);
    case Operation::kClusterVersionSet:
      return ClusterVersionSet(command.payload);
    case Operation::kClusterMemberAttributesSet:
      return ClusterMemberAttributesSet(command.payload);
    case Operation::kDowngradeInfoSet:
      return DowngradeInfoSet(command.payload);
    case Operation::kLegacy:
      return LegacyV2(command.payload);
    case Operation::kNone:
    case Operation::kDowngradeVersionTest:
      return {};
    default:
      return Auth(command);
  }
}

bool StateMachine::HasAlarm(AlarmType type) const {
  for (const Alarm& alarm : alarms_) {
    if (alarm.second == type) return true;
  }
  return false;
}

StateMachine::ConfChangeResult StateMachine::ApplyConfChange(Index index, Term term,
                                                             const raft::ConfChange& change) {
  ConfChangeResult result;
  if (index <= applied_index_) return result;
  applied_index_ = index;
  applied_term_ = term;
  if (Status readable = cluster::CheckChangeContext(change); !readable.ok())
    EndOn(std::string(readable.message()));
  result.status = membership_.Validate(change, options_.learners_max);
  if (!result.status.ok()) return result;
  MustSucceed(membership_.Apply(change, writer_));
  result.effective = true;
  return result;
}

void StateMachine::SetConfState(const raft::ConfState& state) {
  conf_state_ = state;
  MustSucceed(writer_.Put(kMeta, "confState", ConfStateJson(state)));
}

void StateMachine::Publish() {
  MustSucceed(writer_.Put(kMeta, "consistent_index", BigEndian(applied_index_.value())));
  MustSucceed(writer_.Put(kMeta, "term", BigEndian(applied_term_.value())));
  store_->Publish();
  shown_left_ = kShownOfBatch;
}

bool StateMachine::CompactionSlice(size_t revisions_max) {
  return MustSucceed(store_->CompactionSlice(revisions_max));
}

}  // namespace quoin::state

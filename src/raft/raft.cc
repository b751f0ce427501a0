#include "raft/raft.h"

#include <utility>

#include "raft/core.h"
#include "raft_types/codec.h"

namespace quoin::raft {

Raft::Raft(const Config& config, RecoveredState recovered, uint64_t seed)
    : core_(std::make_unique<Core>(config, std::move(recovered), seed)) {}
Raft::~Raft() = default;
Raft::Raft(Raft&&) noexcept = default;

void Raft::Tick() { core_->Tick(); }
void Raft::Campaign() { core_->Campaign(); }
StepResult Raft::Step(Message message) { return core_->Step(std::move(message)); }
ProposeResult Raft::Propose(std::vector<SharedBytes> requests) {
  return core_->Propose(std::move(requests));
}

ProposeResult Raft::ProposeConfChange(const ConfChange& change) {
  std::string data;
  EncodeConfChange(change, data);
  return core_->ProposeEntry({.type = EntryType::kConfChange, .data = SharedBytes(data)});
}

ProposeResult Raft::ProposeConfChangeV2(const ConfChangeV2& change) {
  std::string data;
  EncodeConfChangeV2(change, data);
  return core_->ProposeEntry({.type = EntryType::kConfChangeV2, .data = SharedBytes(data)});
}

ConfState Raft::ConfChangeApplied(Index index, const std::optional<ConfChangeV2>& change) {
  return core_->ConfChangeApplied(index, change);
}
ProposeResult Raft::ReadIndex(std::string context) { return core_->ReadIndex(std::move(context)); }
void Raft::TransferLeadership(NodeId to) { core_->TransferLeadership(to); }
void Raft::ForgetLeader() { core_->ForgetLeader(); }
void Raft::ReportUnreachable(NodeId id) { core_->ReportUnreachable(id); }
void Raft::ReportSnapshot(NodeId id, bool ok) { core_->ReportSnapshot(id, ok); }
void Raft::Persisted(PersistId id) { core_->Persisted(id); }
void Raft::Applied(Index index) { core_->Applied(index); }
void Raft::Compact(Index index, SnapshotMetadata snapshot, SharedBytes data) {
  core_->Compact(index, std::move(snapshot), std::move(data));
}
void Raft::TrimLog(const LogBounds& bounds) { core_->TrimLog(bounds); }
void Raft::BoundUnapplied(size_t bytes_max) { core_->BoundUnapplied(bytes_max); }
bool Raft::refuses_appends() const { return core_->refuses_appends(); }
size_t Raft::log_bytes() const { return core_->log_bytes(); }
size_t Raft::uncommitted_bytes() const { return core_->uncommitted_bytes(); }
Index Raft::last_index() const { return core_->last_index(); }
Index Raft::applied_index() const { return core_->applied_index(); }
bool Raft::HasReady() const { return core_->HasReady(); }
Ready Raft::TakeReady() { return core_->TakeReady(); }
RaftStatus Raft::Status() const { return core_->Status(); }
Role Raft::role() const { return core_->role(); }
Term Raft::term() const { return core_->term(); }
NodeId Raft::leader() const { return core_->leader(); }
Index Raft::commit_index() const { return core_->commit_index(); }
bool Raft::SoleMember() const { return core_->SoleMember(); }

}  // namespace quoin::raft

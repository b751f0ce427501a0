#include "server/apply_loop.h"

#include <utility>

#include "base/check.h"
#include "base/version.h"
#include "server/lease_loop.h"
#include "server/raft_loop.h"

namespace quoin::server {
namespace {

constexpr env::Duration kSlowApply = std::chrono::milliseconds(100);

// Whether an operation may change what ClusterInfo tells.
bool ChangesClusterInfo(state::Operation operation) {
  return operation == state::Operation::kAlarm || operation == state::Operation::kLegacy ||
         operation >= state::Operation::kAuthEnable;
}

}  // namespace

ApplyLoop::ApplyLoop(const NodeConfig& config, NodeInfo& info, ApplyLoops loops,
                     env::FileSystem& files, Paths paths, std::shared_ptr<Data> data,
                     ReceivedTrees& received, const RequestIds& ids, Logger& log)
    : context_{config, info, loops, files, std::move(paths), log, std::move(data)},
      ids_(ids),
      checkpointer_(context_, {[this] { Advance(); },
                               [this](raft::SnapshotMetadata metadata) {
                                 OnSnapshotSaved(std::move(metadata));
                               }}),
      compactor_(context_, checkpointer_,
                 [this](Compactor::Answers answers) { AnswerCompactions(std::move(answers)); }),
      images_(context_, [this] { Advance(); }),
      installer_(context_, received,
                 [this](std::shared_ptr<Data> received) { Replace(std::move(received)); }),
      defragmenter_(context_, checkpointer_) {}

ApplyLoop::~ApplyLoop() = default;

void ApplyLoop::Connect(RaftLoop& raft, LeaseLoop& leases, std::vector<Frontend*> frontends) {
  raft_ = &raft;
  leases_ = &leases;
  frontends_ = std::move(frontends);
  completions_.resize(frontends_.size());
}

void ApplyLoop::Start() {
  checkpointer_.Start();
  TellAllLeases();
  EndBatch();
}

void ApplyLoop::OnCommitted(std::vector<raft::Entry> entries) {
  if (ended_) return;
  for (raft::Entry& entry : entries) queue_.push_back(std::move(entry));
  Advance();
}

// What may begin now, in this order: the next batch, images, the installation of a snapshot, the
// end. Called whenever something has ended that one of them may have waited for.
void ApplyLoop::Advance() {
  using Stage = Installer::Stage;
  if (!ended_) Drain();
  // Between a configuration change and raft's answer, index and configuration do not agree.
  const bool agrees = !waits_for_conf_state_;
  if (agrees && installer_.stage() == Stage::kIdle && !context_.stopping) images_.Serve();
  if (agrees && installer_.stage() == Stage::kWaiting && queue_.empty() && checkpointer_.idle())
    installer_.Begin();
  if (stopped_ && installer_.stage() == Stage::kIdle && checkpointer_.idle() && images_.out() == 0)
    FinishStop();
}

void ApplyLoop::Drain() {
  const env::Duration start = context_.loops.apply.clock().Now();
  bool any = false;
  while (MayApply()) {
    any = true;
    machine().store().set_collect_events(context_.info.watchers.load(std::memory_order_acquire) >
                                         0);
    do {
      raft::Entry entry = std::move(queue_.front());
      queue_.pop_front();
      ApplyEntry(entry);
    } while (!queue_.empty() && !waits_for_conf_state_ && !checkpointer_.IsTooDirty());
    EndBatch();
  }
  if (any && context_.loops.apply.clock().Now() - start > kSlowApply)
    context_.info.slow_applies.Add();
}

// Clients hear of a disk that holds the batches up by limits::kApplyLagMax.
bool ApplyLoop::MayApply() const {
  return !queue_.empty() && !waits_for_conf_state_ && !checkpointer_.HoldsUp();
}

void ApplyLoop::ApplyEntry(const raft::Entry& entry) {
  context_.info.proposals_applied.Add();
  if (entry.type == raft::EntryType::kNormal) {
    const state::Command command = state::ParseLogged(entry.index, entry.data);
    std::optional<size_t> waiter;
    if (command.operation != state::Operation::kNone) {
      waiter = ids_.LoopOf(command.request_id);
    } else {
      first_entry_of_ = entry.term;
    }
    state::ApplyResult result =
        machine().Apply(entry.index, entry.term, command, waiter.has_value());
    cluster_changed_ |= ChangesClusterInfo(command.operation);
    if (!waiter) return;
    Completion completion{command.request_id, std::move(result)};
    if (completion.result.wait_for_compaction) {
      compactor_.Keep(*waiter, std::move(completion));
    } else {
      completions_[*waiter].push_back(std::move(completion));
    }
    return;
  }
  ApplyConfChange(entry);
}

void ApplyLoop::ApplyConfChange(const raft::Entry& entry) {
  const raft::ConfChange change = state::ParseLoggedChange(entry);
  std::optional<raft::ConfChange> effective;
  state::StateMachine::ConfChangeResult result =
      machine().ApplyConfChange(entry.index, entry.term, change);
  if (result.effective) effective = change;
  // Raft will say the same; a checkpoint may come before that, and holds this index.
  machine().SetConfState(machine().membership().ConfigurationState());
  if (std::optional<size_t> waiter = ids_.LoopOf(change.id)) {
    Completion completion;
    completion.request_id = change.id;
    completion.result.status = result.status;
    conf_change_done_.emplace(*waiter, std::move(completion));
  }
  cluster_changed_ = true;
  waits_for_conf_state_ = true;
  context_.loops.raft.Post(
      [raft = raft_, index = entry.index, effective] { raft->OnConfChange(index, effective); });
}

void ApplyLoop::OnConfState(raft::ConfState state) {
  if (ended_) return;
  machine().SetConfState(state);
  waits_for_conf_state_ = false;
  // Not before: whoever hears of it may ask for the next change at once, and raft makes nothing of
  // one that comes while it does not know that this one was applied.
  if (auto done = std::exchange(conf_change_done_, std::nullopt))
    completions_[done->first].push_back(std::move(done->second));
  EndBatch();
  Advance();
}

void ApplyLoop::EndBatch() {
  machine().Publish();
  const Index applied = machine().applied_index();
  if (!machine().membership().cluster_version().empty())
    context_.info.capable.store(true, std::memory_order_release);
  TellLeases();  // before anybody hears of what they granted, or may read up to here
  if (cluster_changed_) ShareClusterInfo();
  context_.info.applied_index.store(applied.value(), std::memory_order_seq_cst);
  ShareBatch(applied);
  context_.loops.raft.Post([raft = raft_, applied] { raft->OnApplied(applied); });
  compactor_.Schedule();
  checkpointer_.OnBatch();
  if (after_batch_) after_batch_();
}

void ApplyLoop::ShareBatch(Index applied) {
  std::shared_ptr<const watch::Batch> events = TakeEvents();
  const bool watched = context_.info.watchers.load() > 0;
  for (size_t i = 0; i < frontends_.size(); ++i) {
    // Loops without an answer learn of the batch only if reads or watchers wait for it there.
    if (completions_[i].empty() && !watched && !frontends_[i]->WantsBatches()) continue;
    Published published;
    published.applied = applied;
    published.completions = std::exchange(completions_[i], {});
    published.revision = published_revision_;
    published.events = events;
    Frontend* frontend = frontends_[i];
    frontend->loop().Post([frontend, published = std::move(published)]() mutable {
      frontend->OnPublished(std::move(published));
    });
  }
}

Index ApplyLoop::LeasesHeard() {
  const Index logged(context_.info.lease_logged.load(std::memory_order_acquire));
  if (machine().applied_index() >= logged) leases_heard_ = logged;
  return leases_heard_;
}

void ApplyLoop::TellAllLeases() {
  machine().TakeLeaseChanges();  // are among all
  context_.loops.lease.Post(
      [leases = leases_, all = machine().lessor().All(), heard = LeasesHeard()] {
        leases->OnReplaced(all);
        leases->OnHeard(heard);
      });
}

// What is in the log and changes nothing (a lease that is not there is revoked) is heard too.
void ApplyLoop::TellLeases() {
  std::vector<lease::Change> changes = machine().TakeLeaseChanges();
  const Term first = std::exchange(first_entry_of_, Term());
  const Index heard_before = leases_heard_;
  const Index heard = LeasesHeard();
  if (changes.empty() && first.value() == 0 && heard == heard_before) return;
  context_.loops.lease.Post([leases = leases_, changes = std::move(changes), first, heard] {
    leases->OnChanges(changes);
    leases->OnHeard(heard);
    if (first.value() != 0) leases->OnFirstEntry(first);
  });
}

// By this way, because a first entry that is applied before it must also be told before it.
void ApplyLoop::OnDeposed() {
  context_.loops.lease.Post([leases = leases_] { leases->OnDeposed(); });
}

std::shared_ptr<const watch::Batch> ApplyLoop::TakeEvents() {
  auto batch = std::make_shared<watch::Batch>();
  batch->after = std::exchange(published_revision_, machine().store().current_revision());
  batch->revision = published_revision_;
  batch->events = machine().store().TakeEvents();
  // Without events in a batch that changed something nobody was watching when it began.
  if (batch->events.empty() && batch->after != batch->revision) return nullptr;
  return batch;
}

void ApplyLoop::ShareClusterInfo() {
  cluster_changed_ = false;
  auto info = std::make_shared<ClusterInfo>();
  for (const auto& [id, member] : machine().membership().members()) info->members.push_back(member);
  info->removed = machine().membership().removed_ids();
  info->cluster_version = machine().membership().cluster_version();
  NoteClusterVersion(info->cluster_version);
  info->storage_version = machine().storage_version();
  info->downgrade = machine().membership().downgrade();
  info->alarms.assign(machine().alarms().begin(), machine().alarms().end());
  info->auth_enabled = machine().auth().enabled();
  auto self = machine().membership().members().find(context_.info.member_id);
  // A member that joins does not find itself at first: it is no voter yet, whatever it will be.
  const bool found = self != machine().membership().members().end();
  context_.info.is_learner.store(found ? self->second.learner
                                       : !info->removed.contains(context_.info.member_id));
  context_.info.views_shared.fetch_add(1, std::memory_order_release);
  for (Frontend* frontend : frontends_) {
    frontend->loop().Post([frontend, applied = machine().applied_index(), info] {
      Published published;
      published.applied = applied;
      published.cluster = info;
      frontend->OnPublished(std::move(published));
    });
  }
  if (on_cluster_) on_cluster_(info);
}

// A server of the lower version is to start from what it understands, not from a log that was
// written for a higher one.
void ApplyLoop::NoteClusterVersion(const std::string& version) {
  if (ParseVersion(version) < ParseVersion(version_seen_)) {
    checkpointer_.RequireSnapshot(machine().applied_index());
  }
  version_seen_ = version;
}

void ApplyLoop::AnswerCompactions(Compactor::Answers answers) {
  for (auto& [frontend, completion] : answers)
    completions_[frontend].push_back(std::move(completion));
  EndBatch();
}

void ApplyLoop::OnSnapshotSaved(raft::SnapshotMetadata metadata) {
  context_.loops.raft.Post([raft = raft_, metadata = std::move(metadata)]() mutable {
    raft->OnSnapshotSaved(std::move(metadata));
  });
}

void ApplyLoop::Freeze(OnImage ready, Wanted wanted) {
  images_.Await(std::move(ready), std::move(wanted));
  Advance();
}

void ApplyLoop::FreezeAt(Index at_least, OnImage ready) {
  images_.AwaitFor(at_least, std::move(ready));
  Advance();
}

// --- a snapshot from the leader ---

void ApplyLoop::Install(raft::SnapshotMetadata metadata, env::Task installed) {
  CHECK(!ended_) << "raft stops when nothing of it is under way";
  installer_.Await(std::move(metadata), std::move(installed));
  checkpointer_.Hold();
  Advance();
}

void ApplyLoop::Replace(std::shared_ptr<Data> received) {
  const raft::SnapshotMetadata metadata = installer_.metadata();
  context_.log.Info("applySnapshot: opened snapshot backend", {});  // tools wait for it
  CHECK_GE(received->machine->applied_index(), metadata.index)
      << "a received tree that was not checked";
  std::shared_ptr<Data> old = std::exchange(context_.data, std::move(received));
  context_.loops.bulk.Post([old = std::move(old)] {});
  images_.OnReplaced();
  checkpointer_.OnReplaced(metadata.index);
  cluster_changed_ = true;
  machine().SetConfState(metadata.conf_state);
  context_.log.Info("installed snapshot from leader", {{"snapshot-index", metadata.index.value()}});
  context_.log.Info("applied snapshot",  // etcd's name of the same, which tools wait for
                    {{"incoming-leader-snapshot-index", metadata.index.value()},
                     {"incoming-leader-snapshot-term", metadata.term.value()}});
  if (on_replaced_) on_replaced_(context_.data);
  TellAllLeases();
  ShareData(metadata.index);
  installer_.Finish()();  // before raft hears what is applied
  EndBatch();
  // Who waited for a checkpoint of the old generation gets one of this.
  checkpointer_.Begin(Checkpointer::Pace::kFast);
  Advance();
}

void ApplyLoop::ShareData(Index applied) {
  context_.info.views_shared.fetch_add(1, std::memory_order_release);
  for (Frontend* frontend : frontends_) {
    frontend->loop().Post([frontend, data = context_.data, applied]() mutable {
      Published published;
      published.applied = applied;
      published.data = std::move(data);
      frontend->OnPublished(std::move(published));
    });
  }
}

// --- stop ---

void ApplyLoop::Stop(env::Task stopped) {
  context_.stopping = true;
  stopped_ = std::move(stopped);
  checkpointer_.Stop();
  images_.Clear();
  Advance();
}

void ApplyLoop::FinishStop() {
  Status status = context_.tree().CheckpointNow();
  if (!status.ok()) DieOnDiskError(std::string(status.message()));
  ended_ = true;
  std::exchange(stopped_, nullptr)();
}

}  // namespace quoin::server

#include "server/recovery.h"

#include <algorithm>

#include "base/check.h"
#include "env/blocking.h"
#include "raft_types/codec.h"
#include "wal/whole_log.h"

namespace quoin::server {
namespace {

// What a new member starts from; with nothing but its ids when it joins a cluster that runs. The
// first entries of a new cluster: one configuration change per initial member, ascending by id,
// committed at once. Every member makes the same ones.
struct Bootstrap {
  wal::Metadata identity;
  raft::HardState hard_state;
  std::vector<raft::Entry> entries;
};

StatusOr<Bootstrap> MakeBootstrap(const NodeConfig& config) {
  RETURN_IF_ERROR(config.initial_cluster_problem);
  // The log of the cluster that it joins brings everything else.
  if (config.existing)
    return Bootstrap{{config.existing->self, config.existing->cluster_id}, {}, {}};
  if (config.joins_existing) {
    return absl::InvalidArgumentError(
        "this member has no data, and nothing is known of the cluster that it joins");
  }
  std::map<uint64_t, cluster::Member> members;
  std::vector<uint64_t> ids;
  uint64_t self = 0;
  for (const auto& [name, urls] : config.initial_cluster) {
    cluster::Member member;
    member.id = cluster::MemberId(urls, config.initial_cluster_token);
    member.name = name;
    member.peer_urls = urls;
    std::sort(member.peer_urls.begin(), member.peer_urls.end());
    if (name == config.name) self = member.id;
    ids.push_back(member.id);
    members[member.id] = std::move(member);
  }
  if (self == 0) {
    return absl::InvalidArgumentError("couldn't find local name \"" + config.name +
                                      "\" in the initial cluster configuration");
  }
  Bootstrap out;
  out.identity = {self, cluster::ClusterId(ids)};
  for (const auto& [id, member] : members) {
    raft::ConfChange change;
    change.type = raft::ConfChangeType::kAddNode;
    change.node_id = NodeId(id);
    change.context = cluster::MemberJson(member);
    std::string data;
    raft::EncodeConfChange(change, data);
    out.entries.push_back(
        {Term(1), Index(out.entries.size() + 1), raft::EntryType::kConfChange, SharedBytes(data)});
  }
  out.hard_state.term = Term(1);
  out.hard_state.commit = out.entries.back().index;
  return out;
}

// The changes that leave `self` as the only voter, given the members at the applied index and the
// committed changes since.
std::vector<raft::ConfChange> ChangesToBeAlone(const cluster::Membership& membership, uint64_t self,
                                               const raft::RecoveredState& recovered) {
  std::map<uint64_t, bool> learners;  // member → whether it learns only
  for (const auto& [id, member] : membership.members()) learners[id] = member.learner;
  for (const raft::Entry& entry : recovered.entries) {
    if (entry.index <= recovered.applied || entry.type != raft::EntryType::kConfChange) continue;
    StatusOr<raft::ConfChange> change = raft::DecodeConfChange(entry.data);
    if (!change.ok()) continue;  // applying it says what is wrong
    const uint64_t id = change->node_id.value();
    if (change->type == raft::ConfChangeType::kAddNode) learners[id] = false;
    if (change->type == raft::ConfChangeType::kAddLearnerNode) learners[id] = true;
    if (change->type == raft::ConfChangeType::kRemoveNode) learners.erase(id);
  }
  std::vector<raft::ConfChange> changes;
  for (const auto& [id, learner] : learners) {
    if (id == self) continue;
    changes.push_back({0, raft::ConfChangeType::kRemoveNode, NodeId(id), ""});
  }
  auto own = learners.find(self);
  if (own != learners.end() && !own->second) return changes;
  // A voter first, so that there is one at every moment.
  cluster::Member member;
  member.id = self;
  member.peer_urls = {"http://localhost:2380", "http://localhost:7001"};
  std::string context =
      own == learners.end() ? cluster::MemberJson(member) : cluster::PromoteJson(self);
  changes.insert(changes.begin(),
                 {0, raft::ConfChangeType::kAddNode, NodeId(self), std::move(context)});
  return changes;
}

// Leftovers of interrupted writes and transfers; nothing refers to them.
void RemoveLeftovers(env::BlockingFileSystem& files, const std::string& snap_dir) {
  StatusOr<std::vector<std::string>> names = files.List(snap_dir);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (name.starts_with("tmp") || name.starts_with("db.tmp.") || name.ends_with(".snap.db"))
      (void)files.Remove(snap_dir + "/" + name);
  }
}

class Recovery {
 public:
  Recovery(env::Env& env, const NodeConfig& config, env::Executor& wal_loop, Logger& log)
      : env_(env),
        files_(env.files().blocking()),
        config_(config),
        wal_loop_(wal_loop),
        log_(log),
        paths_(config) {}

  StatusOr<Recovered> Run() {
    const bool has_log = wal::Exists(files_, paths_.wal);
    if (!has_log) RETURN_IF_ERROR(PutLeftoverAside());
    StatusOr<env::FileInfo> db = files_.Stat(paths_.db);
    const bool has_db = db.ok() && db->size > 0;
    if (has_log && !has_db) RETURN_IF_ERROR(RefuseLogWithoutTree());
    RETURN_IF_ERROR(files_.MakeDurableDirectory(paths_.snap));
    if (has_db) RETURN_IF_ERROR(OpenTree());
    if (!has_log) {
      if (has_db && out_.data->machine->applied_index().value() != 0) {
        return absl::DataLossError(
            paths_.db + ": holds a state up to log index " +
            std::to_string(out_.data->machine->applied_index().value()) + ", but " + paths_.wal +
            " holds no log; this is not a new member. Restore the log, or start from a snapshot");
      }
      RETURN_IF_ERROR(CreateLog());
      if (!has_db) RETURN_IF_ERROR(OpenTree());
    } else {
      RETURN_IF_ERROR(ReadLog(has_db));
    }
    RemoveLeftovers(files_, paths_.snap);
    return std::move(out_);
  }

 private:
  // A new member's start was interrupted before its data file was whole: nothing can be read from
  // it, and it must not stop the next start.
  Status PutLeftoverAside() {
    StatusOr<env::FileInfo> db = files_.Stat(paths_.db);
    if (!db.ok() || db->size == 0) return OkStatus();
    ASSIGN_OR_RETURN(const bool valid, btree::Tree::IsDataFile(files_, paths_.db));
    if (valid) return OkStatus();
    const std::string aside = paths_.db + ".broken";
    log_.Warn("there is no log, and the data file has no valid meta page: it is put aside",
              {{"path", paths_.db}, {"aside", aside}});
    RETURN_IF_ERROR(files_.Rename(paths_.db, aside));
    return files_.SyncDirectory(paths_.snap);
  }

  // A log that still has its very first entry can rebuild the tree; any other cannot.
  Status RefuseLogWithoutTree() {
    ASSIGN_OR_RETURN(wal::Recovered log,
                     wal::Recover(files_, paths_.wal, wal::ReadMode::kReadOnly, Index(), log_));
    if (log.start.index.value() == 0) return OkStatus();
    if (files_.Exists(paths_.ReceivedTree(log.start.index))) return OkStatus();
    const StatusOr<wal::Recovered> whole =
        wal::RecoverWhole(files_, paths_.wal, wal::ReadMode::kReadOnly, log_);
    if (whole.ok()) return OkStatus();  // ReadLog replays it
    return absl::DataLossError(
        paths_.db + ": missing or empty, and the log in " + paths_.wal +
        " does not hold what came before its snapshot at index " +
        std::to_string(log.start.index.value()) + ": " + std::string(whole.status().message()) +
        ". failed to find database snapshot file (snap: snapshot file doesn't exist). Restore the "
        "file, or start from a snapshot");
  }

  Status OpenTree() {
    ASSIGN_OR_RETURN(out_.data, OpenData(files_, paths_.db, config_, log_));
    return OkStatus();
  }

  Status CreateLog() {
    RETURN_IF_ERROR(
        files_.SyncDirectory(config_.data_dir));  // member/; what is below, the log syncs
    ASSIGN_OR_RETURN(Bootstrap bootstrap, MakeBootstrap(config_));
    wal::Options options;
    options.fsync = config_.fsync;
    options.segment_bytes = config_.wal_segment_bytes;
    wal::Writer::Batch first{bootstrap.entries, std::nullopt, std::nullopt, true};
    if (!bootstrap.hard_state.empty()) first.hard_state = bootstrap.hard_state;
    ASSIGN_OR_RETURN(out_.wal, wal::Writer::Create(env_.files(), paths_.wal, bootstrap.identity,
                                                   first, options, wal_loop_, log_));
    out_.identity = bootstrap.identity;
    out_.raft.hard_state = bootstrap.hard_state;
    out_.raft.entries = std::move(bootstrap.entries);
    return OkStatus();
  }

  Status ReadLog(bool has_db) {
    const Index applied = has_db ? out_.data->machine->applied_index() : Index();
    ASSIGN_OR_RETURN(wal::Recovered log,
                     wal::Recover(files_, paths_.wal, wal::ReadMode::kRepair, applied, log_));
    if (applied < log.start.index) {
      ASSIGN_OR_RETURN(const bool rebuilds, ReadWholeLog(applied, log));
      if (!rebuilds) RETURN_IF_ERROR(TakeReceivedTree(log.start.index));
    }
    if (out_.data == nullptr) RETURN_IF_ERROR(OpenTree());
    wal::Options options;
    options.fsync = config_.fsync;
    options.segment_bytes = config_.wal_segment_bytes;
    ASSIGN_OR_RETURN(out_.wal,
                     wal::Writer::Open(env_.files(), paths_.wal, log, options, wal_loop_, log_));
    out_.identity = log.metadata;
    out_.raft.hard_state = log.hard_state;
    // The commit index in the log may lag: it moves without a sync of its own.
    out_.raft.hard_state.commit =
        std::max(log.hard_state.commit, out_.data->machine->applied_index());
    out_.raft.entries = std::move(log.entries);
    out_.raft.snapshot.index = log.start.index;
    out_.raft.snapshot.term = log.start.term;
    // The members table is the truth about the configuration at the applied index; meta/confState
    // of a restored directory still names the old cluster.
    out_.raft.snapshot.conf_state = out_.data->machine->membership().ConfigurationState();
    out_.raft.applied = out_.data->machine->applied_index();
    if (config_.force_new_cluster) GoOnAlone();
    return OkStatus();
  }

  // The tree ends before the log's newest snapshot, or is gone. A log that still has every entry
  // makes up for it, also when an earlier start was interrupted at that. Returns whether it does;
  // `log` then begins with the first entry.
  StatusOr<bool> ReadWholeLog(Index applied, wal::Recovered& log) {
    if (files_.Exists(paths_.ReceivedTree(log.start.index))) return false;
    StatusOr<wal::Recovered> whole =
        wal::RecoverWhole(files_, paths_.wal, wal::ReadMode::kRepair, log_);
    if (absl::IsNotFound(whole.status())) return false;
    RETURN_IF_ERROR(whole.status());
    log = *std::move(whole);
    log_.Warn(
        "the data file ends before the log's newest snapshot, or is gone: it is made again from "
        "the log, which has every entry",
        {{"path", paths_.db},
         {"from-index", applied.value() + 1},
         {"to-index", log.hard_state.commit.value()}});
    return true;
  }

  // --force-new-cluster: all that is in the log counts as committed (some of it may have been
  // acknowledged, although this member never heard so), and so do changes that remove all others.
  // The log gets them before anything else, and every answer to a client lies behind them there.
  void GoOnAlone() {
    raft::RecoveredState& raft = out_.raft;
    if (!raft.entries.empty()) raft.hard_state.commit = raft.entries.back().index;
    wal::Writer::Batch batch;
    for (const raft::ConfChange& change :
         ChangesToBeAlone(out_.data->machine->membership(), out_.identity.node_id, raft)) {
      std::string data;
      raft::EncodeConfChange(change, data);
      ++raft.hard_state.commit;
      batch.entries.push_back({raft.hard_state.term, raft.hard_state.commit,
                               raft::EntryType::kConfChange, SharedBytes(data)});
      raft.entries.push_back(batch.entries.back());
    }
    log_.Warn("forced restart as a cluster of one member",
              {{"local-member-id", cluster::HexId(out_.identity.node_id)},
               {"commit-index", raft.hard_state.commit.value()}});
    batch.hard_state = raft.hard_state;
    wal_loop_.Post([wal = out_.wal.get(), batch = std::move(batch)]() mutable {
      wal->Append(std::move(batch), [](Status status) {
        if (!status.ok()) DieOnDiskError(std::string(status.message()));
      });
    });
  }

  // The log begins after a snapshot that the tree does not hold: a leader's tree file must be
  // waiting beside it.
  Status TakeReceivedTree(Index start) {
    const std::string received = paths_.ReceivedTree(start);
    const Index held = out_.data == nullptr ? Index() : out_.data->machine->applied_index();
    if (!files_.Exists(received)) {
      return absl::DataLossError(
          paths_.db + ": database file (index " + std::to_string(held.value()) +
          ") does not match with snapshot (index " + std::to_string(start.value()) + ")");
    }
    out_.data.reset();
    RETURN_IF_ERROR(files_.Rename(received, paths_.db));
    RETURN_IF_ERROR(files_.SyncDirectory(paths_.snap));
    RETURN_IF_ERROR(OpenTree());
    if (out_.data->machine->applied_index() < start) {
      return absl::DataLossError(paths_.db + ": the received tree ends at index " +
                                 std::to_string(out_.data->machine->applied_index().value()) +
                                 ", before its snapshot (index " + std::to_string(start.value()) +
                                 ")");
    }
    return OkStatus();
  }

  env::Env& env_;
  env::BlockingFileSystem& files_;
  const NodeConfig& config_;
  env::Executor& wal_loop_;
  Logger& log_;
  const Paths paths_;
  Recovered out_;
};

}  // namespace

StatusOr<Recovered> RecoverOrCreate(env::Env& env, const NodeConfig& config,
                                    env::Executor& wal_loop, Logger& log) {
  return Recovery(env, config, wal_loop, log).Run();
}

}  // namespace quoin::server

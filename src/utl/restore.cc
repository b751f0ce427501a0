#include "utl/restore.h"

#include <algorithm>

#include "cluster/membership.h"
#include "mvcc/store.h"
#include "raft_types/codec.h"
#include "state/conf_state_json.h"
#include "state/state_machine.h"
#include "utl/directory.h"
#include "wal/wal.h"

namespace quoin::utl {
namespace {

std::string BigEndian(uint64_t value) {
  std::string out;
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
  return out;
}

Status CopyFile(env::BlockingFileSystem& files, const std::string& from, uint64_t bytes,
                const std::string& to) {
  ASSIGN_OR_RETURN(std::unique_ptr<env::File> source, files.Open(from, env::OpenMode::kRead));
  ASSIGN_OR_RETURN(std::unique_ptr<env::File> target, files.Open(to, env::OpenMode::kCreateTrunc));
  std::string buffer(1 << 20, '\0');
  for (uint64_t at = 0; at < bytes;) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), bytes - at));
    ASSIGN_OR_RETURN(size_t got,
                     source->blocking().Read(at, std::span<char>(buffer.data(), wanted)));
    if (got == 0) return absl::DataLossError(from + ": shorter than it said");
    RETURN_IF_ERROR(target->blocking().Write(at, std::string_view(buffer).substr(0, got)));
    at += got;
  }
  return target->blocking().Sync();
}

// Deletes all rows of a bucket.
Status Empty(btree::Writer& writer, std::string_view bucket) {
  std::vector<std::string> keys;
  btree::Cursor cursor = writer.NewCursor(bucket);
  RETURN_IF_ERROR(cursor.SeekFirst());
  while (cursor.Valid()) {
    keys.emplace_back(cursor.key());
    RETURN_IF_ERROR(cursor.Next());
  }
  for (const std::string& key : keys) RETURN_IF_ERROR(writer.Delete(bucket, key));
  return OkStatus();
}

// The membership for the .snap file: peer URLs only. A cluster version in it would stop members
// that are older than it from starting, and names are published anew.
StatusOr<std::string> LegacyMembership(env::BlockingFileSystem& files, const std::string& snap_dir,
                                       const std::map<uint64_t, cluster::Member>& members) {
  btree::Options options;
  options.read_only = true;  // there is no such file: the tree lives in memory
  ASSIGN_OR_RETURN(std::unique_ptr<btree::Tree> scratch,
                   btree::Tree::Open(files, snap_dir + "/membership.tmp", options));
  RETURN_IF_ERROR(scratch->writer().CreateBucket("members"));
  for (const auto& [id, member] : members) {
    cluster::Member bare = member;
    bare.name.clear();
    RETURN_IF_ERROR(
        scratch->writer().Put("members", cluster::HexId(id), cluster::MemberJson(bare)));
  }
  scratch->writer().Publish();
  EpochDomain::ReaderSlot slot(scratch->epochs());
  EpochDomain::Guard guard(slot);
  ASSIGN_OR_RETURN(cluster::Membership table, cluster::Membership::Load(scratch->Current()));
  return table.LegacyStoreJson();
}

// A revision far above all that the old cluster may have served since the snapshot.
Status BumpRevision(btree::Writer& writer, uint64_t amount) {
  btree::Cursor cursor = writer.NewCursor("key");
  RETURN_IF_ERROR(cursor.SeekLast());
  int64_t latest = 1;
  if (cursor.Valid()) {
    if (auto parsed = mvcc::ParseRevisionKey(cursor.key())) latest = parsed->at.main;
  }
  const std::string at = mvcc::RevisionKey({latest + static_cast<int64_t>(amount), 0}, false);
  RETURN_IF_ERROR(writer.Put("key", at, ""));
  return writer.Put("meta", "scheduledCompactRev", at);
}

// The members that the new cluster begins with.
struct NewCluster {
  std::map<uint64_t, cluster::Member> members;
  uint64_t self = 0;
  uint64_t id = 0;
};

NewCluster MakeCluster(const RestoreOptions& options) {
  NewCluster out;
  std::vector<uint64_t> ids;
  for (const auto& [name, urls] : options.initial_cluster) {
    cluster::Member member;
    member.id = cluster::MemberId(urls, options.cluster_token);
    member.name = name;
    member.peer_urls = urls;
    std::sort(member.peer_urls.begin(), member.peer_urls.end());
    if (name == options.name) out.self = member.id;
    ids.push_back(member.id);
    out.members[member.id] = std::move(member);
  }
  out.id = cluster::ClusterId(ids);
  return out;
}

Status WriteMembers(btree::Writer& writer, const NewCluster& cluster) {
  for (std::string_view bucket : {"members", "members_removed", "meta", "key", "cluster"}) {
    RETURN_IF_ERROR(writer.CreateBucket(bucket));
  }
  RETURN_IF_ERROR(Empty(writer, "members"));
  RETURN_IF_ERROR(Empty(writer, "members_removed"));
  for (const auto& [id, member] : cluster.members) {
    RETURN_IF_ERROR(writer.Put("members", cluster::HexId(id), cluster::MemberJson(member)));
  }
  return OkStatus();
}

// The log's beginning: one configuration change per member, committed at once, and a snapshot that
// covers them.
wal::Writer::Batch FirstBatch(const NewCluster& cluster) {
  wal::Writer::Batch first;
  raft::ConfState voters;
  for (const auto& [id, member] : cluster.members) {
    raft::ConfChange change;
    change.node_id = NodeId(id);
    change.context = cluster::MemberJson(member);
    std::string data;
    raft::EncodeConfChange(change, data);
    first.entries.push_back({Term(1), Index(first.entries.size() + 1), raft::EntryType::kConfChange,
                             SharedBytes(data)});
    voters.voters.emplace_back(id);
  }
  const Index last = first.entries.back().index;
  first.hard_state = raft::HardState{Term(1), voters.voters.front(), last};
  first.snapshot = wal::SnapshotRecord{last, Term(1), voters};
  return first;
}

// What was made is read as a server would read it: a snapshot file may hold anything.
Status OpenAgain(env::BlockingFileSystem& files, const std::string& db, const std::string& wal_dir,
                 Index last, Logger& log) {
  btree::Options options;
  options.read_only = true;
  ASSIGN_OR_RETURN(std::unique_ptr<btree::Tree> tree, btree::Tree::Open(files, db, options));
  if (const btree::CheckReport report = tree->Check(); !report.problems.empty())
    return absl::DataLossError(db + ": " + report.problems[0]);
  ASSIGN_OR_RETURN(std::unique_ptr<state::StateMachine> machine,
                   state::StateMachine::Open(*tree, state::Options(), log));
  ASSIGN_OR_RETURN(const wal::Recovered recovered,
                   wal::Recover(files, wal_dir, wal::ReadMode::kReadOnly, last, log));
  if (recovered.start.index != last || machine->applied_index() != last)
    return absl::DataLossError(wal_dir + ": does not begin where " + db + " ends");
  return OkStatus();
}

}  // namespace

Status Restore(env::Env& env, const RestoreOptions& options, Logger& log) {
  env::BlockingFileSystem& files = env.files().blocking();
  StatusOr<std::vector<std::string>> existing = files.List(options.data_dir);
  if (existing.ok() && !existing->empty()) {
    return absl::FailedPreconditionError("data-dir \"" + options.data_dir +
                                         "\" not empty or could not be read");
  }
  if (!options.initial_cluster.contains(options.name)) {
    return absl::InvalidArgumentError("couldn't find local name \"" + options.name +
                                      "\" in the initial cluster configuration");
  }
  uint64_t bytes = 0;
  if (options.skip_hash_check) {
    ASSIGN_OR_RETURN(env::FileInfo info, files.Stat(options.snapshot));
    bytes = info.size % 512 == 32 ? info.size - 32 : info.size;
  } else {
    ASSIGN_OR_RETURN(bytes, CheckDigest(files, options.snapshot, /*required=*/true));
  }

  const NewCluster cluster = MakeCluster(options);
  const std::string snap_dir = options.data_dir + "/member/snap";
  RETURN_IF_ERROR(files.MakeDurableDirectory(snap_dir));
  RETURN_IF_ERROR(CopyFile(files, options.snapshot, bytes, snap_dir + "/db"));
  ASSIGN_OR_RETURN(std::unique_ptr<btree::Tree> tree,
                   btree::Tree::Open(files, snap_dir + "/db", {}));
  btree::Writer& writer = tree->writer();
  RETURN_IF_ERROR(WriteMembers(writer, cluster));
  const wal::Writer::Batch first = FirstBatch(cluster);
  const Index last = first.entries.back().index;
  RETURN_IF_ERROR(writer.Put("meta", "consistent_index", BigEndian(last.value())));
  RETURN_IF_ERROR(writer.Put("meta", "term", BigEndian(1)));
  if (options.bump_revision > 0) RETURN_IF_ERROR(BumpRevision(writer, options.bump_revision));
  writer.Publish();
  RETURN_IF_ERROR(tree->CheckpointNow());

  ASSIGN_OR_RETURN(std::string membership, LegacyMembership(files, snap_dir, cluster.members));
  RETURN_IF_ERROR(wal::WriteSnapFile(
      files, snap_dir, {SharedBytes(membership), {*first.snapshot->conf_state, last, Term(1)}}));
  std::unique_ptr<env::Executor> loop = env.NewExecutor("wal");
  const std::string wal_dir =
      options.wal_dir.empty() ? options.data_dir + "/member/wal" : options.wal_dir;
  RETURN_IF_ERROR(
      wal::Writer::Create(env.files(), wal_dir, {cluster.self, cluster.id}, first, {}, *loop, log)
          .status());
  tree.reset();
  return OpenAgain(files, snap_dir + "/db", wal_dir, last, log);
}

}  // namespace quoin::utl

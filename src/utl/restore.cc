#include "utl/restore.h"

#include <algorithm>

#include "cluster/membership.h"
#include "mvcc/store.h"
#include "raft_types/codec.h"
#include "state/state_machine.h"
#include "utl/snapshot_file.h"
#include "wal/segment.h"
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

// What was made is read again as a whole. As a tool reads it: what this version cannot serve is for
// the server to refuse.
Status OpenAgain(env::BlockingFileSystem& files, const std::string& db, const std::string& wal_dir,
                 Index last, Logger& log) {
  btree::Options options;
  options.read_only = true;
  ASSIGN_OR_RETURN(std::unique_ptr<btree::Tree> tree, btree::Tree::Open(files, db, options));
  if (const btree::CheckReport report = tree->Check(); !report.problems.empty())
    return absl::DataLossError(db + ": " + report.problems[0]);
  state::Options look;
  look.purpose = state::Options::Purpose::kLook;
  ASSIGN_OR_RETURN(std::unique_ptr<state::StateMachine> machine,
                   state::StateMachine::Open(*tree, look, log));
  ASSIGN_OR_RETURN(const wal::Recovered recovered,
                   wal::Recover(files, wal_dir, wal::ReadMode::kReadOnly, last, log));
  if (recovered.start.index != last || machine->applied_index() != last)
    return absl::DataLossError(wal_dir + ": does not begin where " + db + " ends");
  return OkStatus();
}

// What a restore has made, taken away again unless Keep() was called: a failure leaves nothing.
class Made {
 public:
  explicit Made(env::BlockingFileSystem& files) : files_(files) {}
  ~Made() {
    for (auto path = paths_.rbegin(); path != paths_.rend(); ++path) (void)files_.RemoveAll(*path);
  }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;

  void Add(std::string path) { paths_.push_back(std::move(path)); }
  // Makes a directory with its parents; those that were there stay.
  Status MakeDirectory(const std::string& path) {
    std::string topmost;
    for (std::string at = path; at != "." && !at.empty() && !files_.Exists(at);) {
      topmost = at;
      at = wal::ParentOf(at);
    }
    if (!topmost.empty()) Add(topmost);
    return files_.MakeDurableDirectory(path);
  }
  void Keep() { paths_.clear(); }

 private:
  env::BlockingFileSystem& files_;
  std::vector<std::string> paths_;
};

// Where everything goes. The member's directory is built beside its place and renamed when it is
// whole, so that a restore that is killed leaves no half of one. Value type.
struct Places {
  explicit Places(const RestoreOptions& options)
      : data_dir(options.data_dir),
        member(data_dir + "/member"),
        building(data_dir + "/" + kBuilding),
        wal(options.wal_dir) {
    if (wal.empty()) wal = member + "/wal";
    if (wal.starts_with(member + "/")) wal = building + wal.substr(member.size());
  }

  static constexpr char kBuilding[] = "member.tmp";
  std::string data_dir, member, building;
  std::string wal;
};

Status CheckTargets(env::BlockingFileSystem& files, const RestoreOptions& options) {
  const StatusOr<env::FileInfo> info = files.Stat(options.data_dir);
  if (!absl::IsNotFound(info.status())) {
    const StatusOr<std::vector<std::string>> names = files.List(options.data_dir);
    const bool empty =
        names.ok() && (names->empty() || *names == std::vector<std::string>{Places::kBuilding});
    if (!empty) {
      return absl::FailedPreconditionError("data-dir \"" + options.data_dir +
                                           "\" not empty or could not be read");
    }
  }
  if (!options.wal_dir.empty() && !absl::IsNotFound(files.Stat(options.wal_dir).status()))
    return absl::FailedPreconditionError("wal-dir \"" + options.wal_dir + "\" exists");
  return OkStatus();
}

// The snapshot's content length, once it is known to be one.
StatusOr<uint64_t> CheckSnapshot(env::BlockingFileSystem& files, const RestoreOptions& options) {
  uint64_t bytes = 0;
  if (options.skip_hash_check) {
    ASSIGN_OR_RETURN(bytes, LengthWithoutDigest(files, options.snapshot));
  } else {
    ASSIGN_OR_RETURN(bytes, CheckDigest(files, options.snapshot, /*required=*/true));
  }
  ASSIGN_OR_RETURN(const uint64_t database, CheckDatabase(files, options.snapshot));
  return std::min(bytes, database);  // a member's own file may be longer than its content
}

Status WriteDatabase(env::BlockingFileSystem& files, const RestoreOptions& options,
                     const NewCluster& cluster, Index last, const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<btree::Tree> tree, btree::Tree::Open(files, path, {}));
  btree::Writer& writer = tree->writer();
  RETURN_IF_ERROR(WriteMembers(writer, cluster));
  RETURN_IF_ERROR(writer.Put("meta", "consistent_index", BigEndian(last.value())));
  RETURN_IF_ERROR(writer.Put("meta", "term", BigEndian(1)));
  if (options.bump_revision > 0) RETURN_IF_ERROR(BumpRevision(writer, options.bump_revision));
  writer.Publish();
  return tree->CheckpointNow();
}

Status Build(env::Env& env, const RestoreOptions& options, const Places& places, uint64_t bytes,
             Logger& log) {
  env::BlockingFileSystem& files = env.files().blocking();
  const NewCluster cluster = MakeCluster(options);
  const wal::Writer::Batch first = FirstBatch(cluster);
  const Index last = first.entries.back().index;
  const std::string snap = places.building + "/snap", db = snap + "/db";
  RETURN_IF_ERROR(files.MakeDurableDirectory(snap));
  RETURN_IF_ERROR(CopyFile(files, options.snapshot, bytes, db));
  RETURN_IF_ERROR(WriteDatabase(files, options, cluster, last, db));
  ASSIGN_OR_RETURN(std::string membership, LegacyMembership(files, snap, cluster.members));
  RETURN_IF_ERROR(wal::WriteSnapFile(
      files, snap, {SharedBytes(membership), {*first.snapshot->conf_state, last, Term(1)}}));
  std::unique_ptr<env::Executor> loop = env.NewExecutor("wal");
  RETURN_IF_ERROR(wal::Writer::Create(env.files(), places.wal, {cluster.self, cluster.id}, first,
                                      {}, *loop, log)
                      .status());
  return OpenAgain(files, db, places.wal, last, log);
}

}  // namespace

Status Restore(env::Env& env, const RestoreOptions& options, Logger& log) {
  env::BlockingFileSystem& files = env.files().blocking();
  if (!options.initial_cluster.contains(options.name)) {
    return absl::InvalidArgumentError("couldn't find local name \"" + options.name +
                                      "\" in the initial cluster configuration");
  }
  RETURN_IF_ERROR(CheckTargets(files, options));
  ASSIGN_OR_RETURN(const uint64_t bytes, CheckSnapshot(files, options));
  const Places places(options);
  Made made(files);
  RETURN_IF_ERROR(made.MakeDirectory(places.data_dir));
  RETURN_IF_ERROR(files.RemoveAll(places.building));  // of a restore that was killed
  made.Add(places.building);
  RETURN_IF_ERROR(made.MakeDirectory(wal::ParentOf(places.wal)));
  made.Add(places.wal);
  made.Add(places.wal + ".tmp");
  RETURN_IF_ERROR(Build(env, options, places, bytes, log));
  RETURN_IF_ERROR(files.Rename(places.building, places.member));
  made.Keep();
  return files.SyncDirectory(places.data_dir);
}

}  // namespace quoin::utl

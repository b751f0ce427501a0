#include "server/corruption_check.h"

#include <algorithm>
#include <utility>

#include "proto/rpc.pb.h"

namespace quoin::server {
namespace {

cluster::KvHash KvHashOf(const mvcc::HashResult& hash) {
  return {hash.hash, hash.compact_revision, hash.hash_revision, hash.current_revision};
}

std::vector<cluster::Member> Others(const std::vector<cluster::Member>& members, uint64_t self) {
  std::vector<cluster::Member> others = members;
  std::erase_if(others, [self](const cluster::Member& member) { return member.id == self; });
  return others;
}

void LogSilent(Logger& log, const std::vector<cluster::PeerHash>& peers) {
  for (const cluster::PeerHash& peer : peers) {
    if (peer.answer) continue;
    log.Warn("a member's hash could not be compared",
             {{"remote-peer-id", cluster::HexId(peer.id)}, {"error", peer.error}});
  }
}

}  // namespace

// --- before serving ---

InitialCheck::InitialCheck(Node& node, env::Executor& loop, Logger& log,
                           absl::AnyInvocable<void(Status)> done)
    : node_(node), loop_(loop), log_(log), done_(std::move(done)) {
  std::vector<cluster::Member> members;
  for (const auto& [id, member] : node.apply_loop().machine().membership().members())
    members.push_back(member);
  auto take = lifeline_.Tie(
      [this, others = Others(members, node.info().member_id)](
          StatusOr<mvcc::HashResult> own) mutable { TakeOwn(std::move(own), std::move(others)); });
  node.hashes().HashKeys(
      0, nullptr, [&loop, take = std::move(take)](StatusOr<mvcc::HashResult> own) mutable {
        loop.Post(
            [take = std::move(take), own = std::move(own)]() mutable { take(std::move(own)); });
      });
}

void InitialCheck::TakeOwn(StatusOr<mvcc::HashResult> own, std::vector<cluster::Member> others) {
  if (!own.ok()) return End(own.status());
  log_.Info("starting initial corruption check",
            {{"local-member-id", cluster::HexId(node_.info().member_id)},
             {"revision", own->hash_revision},
             {"hash", uint64_t{own->hash}}});
  peers_ = std::make_unique<PeerHashes>(
      node_.env(), loop_,
      PeerHashes::Question{node_.info().cluster_id, std::move(others), own->hash_revision,
                           node_.config().RequestTimeout()},
      [this, own = KvHashOf(*own)](const std::vector<cluster::PeerHash>& peers) {
        Compare(own, peers);
      });
}

void InitialCheck::Compare(const cluster::KvHash& own,
                           const std::vector<cluster::PeerHash>& peers) {
  LogSilent(log_, peers);
  if (cluster::CountDifferent(own, peers) > 0) {
    return End(absl::DataLossError(cluster::HexId(node_.info().member_id) +
                                   " found data inconsistency with peers"));
  }
  log_.Info("initial corruption checking passed; no corruption",
            {{"local-member-id", cluster::HexId(node_.info().member_id)}});
  End(OkStatus());
}

void InitialCheck::End(Status status) { std::exchange(done_, nullptr)(std::move(status)); }

// --- a leader's ---

CorruptionCheck::CorruptionCheck(Node& node, Frontend& own, Logger& log)
    : node_(node), own_(own), config_(node.config()), log_(log) {}

void CorruptionCheck::Start() {
  if (config_.corrupt_check_interval > env::Duration(0)) PeriodicTimer();
  if (config_.compact_hash_check) CompactionTimer();
}

void CorruptionCheck::Stop() {
  lifeline_.Cut();
  wait_.Cancel();
  own_.loop().Cancel(periodic_timer_);
  own_.loop().Cancel(compaction_timer_);
  peers_.reset();
}

void CorruptionCheck::PeriodicTimer() {
  periodic_timer_ = own_.loop().RunAfter(config_.corrupt_check_interval, [this] {
    if (MayBegin()) CheckNow();
    PeriodicTimer();
  });
}

void CorruptionCheck::CompactionTimer() {
  compaction_timer_ = own_.loop().RunAfter(config_.compact_hash_check_interval, [this] {
    if (MayBegin()) CheckCompactions();
    CompactionTimer();
  });
}

// One check at a time; the next tick comes.
bool CorruptionCheck::MayBegin() {
  if (busy_ || !node_.info().is_leader.load() || own_.cluster() == nullptr) return false;
  busy_ = true;
  return true;
}

void CorruptionCheck::HashHere(OnHash then) {
  auto take = lifeline_.Tie([this, then = std::move(then)](const StatusOr<mvcc::HashResult>& hash) {
    if (hash.ok()) return then(*hash);
    busy_ = false;
    log_.Warn("failed to hash the keys", {{"error", std::string(hash.status().message())}});
  });
  node_.hashes().HashKeys(
      0, nullptr,
      [&loop = own_.loop(), take = std::move(take)](StatusOr<mvcc::HashResult> hash) mutable {
        loop.Post([take = std::move(take), hash = std::move(hash)]() mutable { take(hash); });
      });
}

void CorruptionCheck::AskPeers(int64_t revision, OnPeers then) {
  peers_ = std::make_unique<PeerHashes>(
      node_.env(), own_.loop(),
      PeerHashes::Question{node_.info().cluster_id,
                           Others(own_.cluster()->members, node_.info().member_id), revision,
                           config_.RequestTimeout()},
      [this, then = std::move(then)](const std::vector<cluster::PeerHash>& peers) {
        LogSilent(log_, peers);
        then(peers);
      });
}

// Own hash, the others' at its revision, and the own one again after all that they can have
// applied has been applied here.
void CorruptionCheck::CheckNow() {
  HashHere([this](const mvcc::HashResult& before) {
    AskPeers(before.hash_revision, [this, before](const std::vector<cluster::PeerHash>& peers) {
      WhenUpToDate([this, before, peers] {
        HashHere([this, before, peers](const mvcc::HashResult& after) {
          busy_ = false;
          const std::optional<cluster::Suspect> suspect =
              cluster::CompareNow(node_.info().member_id, KvHashOf(before), KvHashOf(after), peers);
          if (suspect) Raise(*suspect);
          log_.Info("finished peer corruption check",
                    {{"number-of-peers-checked",
                      std::count_if(peers.begin(), peers.end(),
                                    [](const auto& peer) { return peer.answer.has_value(); })}});
        });
      });
    });
  });
}

void CorruptionCheck::WhenUpToDate(std::function<void()> then) {
  if (own_.ReadableNow()) return then();
  wait_ = own_.WaitReadable([this, then = std::move(then)](const Status& status) {
    wait_.Over();
    if (status.ok()) return then();
    busy_ = false;
    log_.Warn("failed to check for corruption", {{"error", std::string(status.message())}});
  });
}

void CorruptionCheck::CheckCompactions() {
  unchecked_ = own_.store().CompactionHashes();
  std::erase_if(unchecked_, [this](const mvcc::HashResult& hash) {
    return hash.hash_revision <= checked_revision_;
  });
  std::reverse(unchecked_.begin(), unchecked_.end());
  compactions_looked_at_ = 0;
  CheckNextCompaction();
}

// From the newest on, until there is one that says something of all members.
void CorruptionCheck::CheckNextCompaction() {
  if (unchecked_.empty()) {
    busy_ = false;
    log_.Info("finished compaction hash check",
              {{"number-of-hashes-checked", compactions_looked_at_}});
    return;
  }
  const cluster::KvHash own = KvHashOf(unchecked_.back());
  unchecked_.pop_back();
  ++compactions_looked_at_;
  AskPeers(own.hash_revision, [this, own](const std::vector<cluster::PeerHash>& peers) {
    const cluster::CompactionVerdict verdict =
        cluster::CompareCompaction(node_.info().member_id, own, peers);
    for (const cluster::Suspect& suspect : verdict.suspects) Raise(suspect);
    if (verdict.all_equal) checked_revision_ = std::max(checked_revision_, own.hash_revision);
    if (verdict.all_equal || !verdict.suspects.empty()) unchecked_.clear();
    CheckNextCompaction();
  });
}

void CorruptionCheck::Raise(const cluster::Suspect& suspect) {
  log_.Error("found data corruption",
             {{"member-id", cluster::HexId(suspect.id)}, {"reason", suspect.why}});
  etcdserverpb::AlarmRequest alarm;
  alarm.set_action(etcdserverpb::AlarmRequest::ACTIVATE);
  alarm.set_memberid(suspect.id);
  alarm.set_alarm(etcdserverpb::CORRUPT);
  StatusOr<Frontend::Wait> wait = own_.Propose(
      state::Operation::kAlarm, alarm.SerializeAsString(),
      [&log = log_](const state::ApplyResult& result) {
        if (result.status.ok()) return;
        log.Error("failed to raise the alarm", {{"error", std::string(result.status.message())}});
      });
  if (!wait.ok()) {
    log_.Error("failed to raise the alarm", {{"error", std::string(wait.status().message())}});
    return;
  }
  std::move(*wait).Detach();  // there may be several at once; the log outlives all loops
}

}  // namespace quoin::server

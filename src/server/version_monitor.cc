#include "server/version_monitor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/version.h"
#include "proto/membership.pb.h"
#include "server/server_version.h"

namespace quoin::server {
namespace {

constexpr env::Duration kInterval = std::chrono::seconds(4);
constexpr env::Duration kUndecidedInterval = std::chrono::milliseconds(500);
// An absent member delays nobody: the second look decides without it, and looks are frequent for a
// while, so that a member that was only late is not.
constexpr size_t kLooksBeforeUndecided = 1;
constexpr size_t kFrequentLooks = 20;

}  // namespace

VersionMonitor::VersionMonitor(env::Env& env, env::Executor& loop, const NodeConfig& config,
                               NodeInfo& info, ApplyLoop& apply, Frontend& own, Logger& log)
    : env_(env), loop_(loop), config_(config), info_(info), apply_(apply), own_(own), log_(log) {}

void VersionMonitor::Stop() {
  stopped_ = true;
  loop_.Cancel(timer_);
  poll_.reset();
}

// Its own first entry lies behind every change that was acknowledged before: without it a leader
// might decide for members that it does not know of yet.
bool VersionMonitor::LeadsAndKnowsAll() const {
  return info_.is_leader.load() && apply_.machine().applied_term().value() == info_.term.load();
}

void VersionMonitor::OnBatch() {
  if (stopped_ || busy_ || !LeadsAndKnowsAll()) return;
  const uint64_t term = info_.term.load();
  const cluster::Downgrade& downgrade = membership().downgrade();
  const std::string target = downgrade.enabled ? downgrade.target_version : "";
  if (term != looks_of_) {
    looks_of_ = term;
    looks_ = 0;
    target_seen_ = target;
    may_rise_ = false;
    return Look();
  }
  // An order that was only just given stands for a whole interval before it is carried out: time to
  // take it back.
  if (target == target_seen_) return;
  may_rise_ = target.empty();
  target_seen_ = target;
  LookLater();
}

std::vector<std::string> VersionMonitor::UrlsOfOthers() const {
  std::vector<std::string> urls;
  for (const auto& [id, member] : membership().members()) {
    if (id == info_.member_id || member.peer_urls.empty()) continue;
    urls.push_back(member.peer_urls[looks_ % member.peer_urls.size()]);
  }
  return urls;
}

void VersionMonitor::Look() {
  loop_.Cancel(timer_);
  busy_ = true;
  ++looks_;
  const Version own = *ParseVersion(kServerVersion);
  const std::vector<std::string> urls = UrlsOfOthers();
  if (urls.empty()) return Judge(cluster::VersionRange{own, own});
  poll_ = std::make_unique<VersionPoll>(env_, loop_, urls, own,
                                        [this](std::optional<cluster::VersionRange> members) {
                                          // After this callback, in which the poll still stands.
                                          loop_.Post([this, members] {
                                            if (!stopped_) Judge(members);
                                          });
                                        });
}

void VersionMonitor::Judge(const std::optional<cluster::VersionRange>& members) {
  poll_.reset();
  busy_ = false;
  if (!LeadsAndKnowsAll()) return;                       // whoever leads now looks
  if (info_.term.load() != looks_of_) return OnBatch();  // it was deposed, and leads again
  const cluster::Downgrade& downgrade = membership().downgrade();
  const bool may_end = config_.downgrade_check_interval > env::Duration(0);
  if (may_end && cluster::DowngradeFinished(members, downgrade)) {
    log_.Info("the cluster has been downgraded", {{"cluster-version", downgrade.target_version}});
    membershippb::DowngradeInfoSetRequest request;
    return Propose(state::Operation::kDowngradeInfoSet, request.SerializeAsString());
  }
  const std::optional<Version> present = ParseVersion(membership().cluster_version());
  std::optional<Version> next = cluster::NextClusterVersion(present, members, downgrade);
  if (next && config_.keep_cluster_version && !may_rise_ && present > cluster::kUndecidedVersion &&
      *next > *present) {
    TellOfKeeping(*present, *next);
    next.reset();
  }
  if (!next && !present && looks_ > kLooksBeforeUndecided) next = cluster::kUndecidedVersion;
  if (!next) return LookLater();
  log_.Info("updating cluster version",
            {{"from", present ? present->text() : "not_decided"}, {"to", next->text()}});
  membershippb::ClusterVersionSetRequest request;
  request.set_ver(next->text());
  Propose(state::Operation::kClusterVersionSet, request.SerializeAsString());
}

void VersionMonitor::TellOfKeeping(const Version& present, const Version& possible) {
  if (std::exchange(told_of_, looks_of_) == looks_of_) return;
  log_.Info("the cluster version is kept; servers of it can still take over these data",
            {{"cluster-version", present.text()},
             {"possible", possible.text()},
             {"to-raise-it", "start the members with --keep-cluster-version=false"}});
}

void VersionMonitor::LookLater() {
  env::Duration interval = kInterval;
  const std::optional<Version> present = ParseVersion(membership().cluster_version());
  const bool undecided = !present || *present == cluster::kUndecidedVersion;
  if (undecided && looks_ <= kFrequentLooks) interval = kUndecidedInterval;
  if (membership().downgrade().enabled && config_.downgrade_check_interval > env::Duration(0))
    interval = std::min(interval, config_.downgrade_check_interval);
  loop_.Cancel(timer_);
  timer_ = loop_.RunAfter(interval, [this] {
    if (LeadsAndKnowsAll()) Look();
  });
}

void VersionMonitor::Propose(state::Operation operation, const std::string& payload) {
  auto done = [this](const state::ApplyResult&) {
    wait_.Over();
    busy_ = false;
    if (!stopped_) LookLater();  // where it failed, that tries again
  };
  StatusOr<Frontend::Wait> wait = own_.Propose(operation, payload, std::move(done));
  busy_ = wait.ok();
  if (!busy_) return LookLater();
  wait_ = *std::move(wait);
}

}  // namespace quoin::server

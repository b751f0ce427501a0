// VersionMonitor: the leader's eye on the versions of the members. It decides the version of the
// cluster, raises it when all members know a higher one, lowers it for a downgrade, and ends the
// downgrade when all members run its target. One that was decided rises by consent only: there is
// no way back over it for servers of the lower version (docs/design/0014).
//
// Members of a lower version would not understand what a higher one may propose: so the version of
// the cluster, not that of the server, says what may go into the log.
//
// Thread: the apply loop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/version.h"
#include "cluster/versions.h"
#include "env/env.h"
#include "server/apply_loop.h"
#include "server/config.h"
#include "server/frontend.h"
#include "server/node_info.h"
#include "server/version_poll.h"

namespace quoin::server {

class VersionMonitor {
 public:
  // `own`: the frontend of `loop`. All of them outlive this.
  VersionMonitor(env::Env& env, env::Executor& loop, const NodeConfig& config, NodeInfo& info,
                 ApplyLoop& apply, Frontend& own, Logger& log);

  // After each batch. A leader looks at once when it has applied the first entry of its term, and
  // from then on every four seconds.
  void OnBatch();
  void Stop();
  // Instead of Stop, where the loop runs no more.
  void Abandon() { poll_.reset(); }

 private:
  const cluster::Membership& membership() const { return apply_.machine().membership(); }
  bool LeadsAndKnowsAll() const;
  std::vector<std::string> UrlsOfOthers() const;
  void Look();
  void Judge(const std::optional<cluster::VersionRange>& members);
  void TellOfKeeping(const Version& present, const Version& possible);
  void LookLater();
  void Propose(state::Operation operation, const std::string& payload);

  env::Env& env_;
  env::Executor& loop_;
  const NodeConfig& config_;
  NodeInfo& info_;
  ApplyLoop& apply_;
  Frontend& own_;
  Logger& log_;
  bool stopped_ = false;
  bool busy_ = false;        // a poll or a proposal is under way
  uint64_t looks_of_ = 0;    // the term in which it looks
  size_t looks_ = 0;         // in that term
  std::string target_seen_;  // of the downgrade, empty: none
  bool may_rise_ = false;    // a downgrade was called off: the version may go up again
  uint64_t told_of_ = 0;     // the term in which it said that the version is kept
  env::TimerId timer_;
  std::unique_ptr<VersionPoll> poll_;
  Frontend::Wait wait_;
};

}  // namespace quoin::server

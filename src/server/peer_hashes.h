// PeerHashes: asks the other members once for the hash of their keys at a revision.
//
// Thread: one executor; `done` runs there, once, unless the object is destroyed before.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/lifeline.h"
#include "cluster/hashes.h"
#include "cluster/membership.h"
#include "env/env.h"
#include "rpc/http_client.h"

namespace quoin::server {

class PeerHashes {
 public:
  // One for each of `others`, in their order.
  using Done = absl::AnyInvocable<void(std::vector<cluster::PeerHash>)>;
  struct Question {
    uint64_t cluster_id = 0;
    std::vector<cluster::Member> others;
    int64_t revision = 0;
    env::Duration timeout{0};  // for each peer URL; a member's are tried one after the other
  };
  PeerHashes(env::Env& env, env::Executor& loop, Question question, Done done);

 private:
  struct Asked {
    size_t next_url = 0;
    std::unique_ptr<rpc::Fetch> fetch;
  };
  void Ask(size_t i);
  void EndLater();
  void Take(size_t i, const StatusOr<rpc::HttpResponse>& answer);

  env::Env& env_;
  env::Executor& loop_;
  const Question question_;
  Done done_;
  size_t missing_;  // answers
  std::vector<Asked> asked_;
  std::vector<cluster::PeerHash> hashes_;
  Lifeline lifeline_;
};

}  // namespace quoin::server

// VersionPoll: asks the other members once which server version they run.
//
// Thread: one executor; `done` runs there, once, unless the object is destroyed before.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/version.h"
#include "cluster/versions.h"
#include "env/env.h"
#include "rpc/http_client.h"

namespace quoin::server {

class VersionPoll {
 public:
  // Of `own` and all answers; nullopt when somebody did not answer.
  using Done = absl::AnyInvocable<void(std::optional<cluster::VersionRange>)>;
  // `urls`: one peer URL of each of the others.
  VersionPoll(env::Env& env, env::Executor& loop, const std::vector<std::string>& urls, Version own,
              Done done);

 private:
  void Take(const StatusOr<rpc::HttpResponse>& answer);

  Done done_;
  size_t missing_;  // answers
  std::optional<cluster::VersionRange> range_;
  std::vector<std::unique_ptr<rpc::Fetch>> fetches_;
};

}  // namespace quoin::server

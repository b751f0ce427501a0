// What all parts of the program know of each other.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "client/async_client.h"
#include "client/endpoint.h"
#include "env/env.h"
#include "tests/watch_check/oracle.h"

namespace quoin::watch_check {

// Thread: the loop.
struct Shared {
  Shared(env::Env& the_env, env::Executor& the_loop, std::vector<client::Endpoint> the_endpoints,
         uint64_t seed, Violation the_violation)
      : env(the_env),
        loop(the_loop),
        endpoints(std::move(the_endpoints)),
        random(seed),
        violation(std::move(the_violation)) {}

  // A client of its own, which begins at endpoint `first`.
  std::unique_ptr<client::AsyncClient> NewClient(size_t first) const {
    client::ClientOptions options;
    for (size_t i = 0; i < endpoints.size(); ++i)
      options.endpoints.push_back(endpoints[(first + i) % endpoints.size()]);
    return std::make_unique<client::AsyncClient>(env, loop, std::move(options));
  }

  env::Env& env;
  env::Executor& loop;
  const std::vector<client::Endpoint> endpoints;
  Prng random;
  const Violation violation;
  std::unique_ptr<Oracle> oracle;
  int64_t compacted = 0;   // the newest revision at which compaction was asked for
  bool finishing = false;  // nothing new is begun
};

}  // namespace quoin::watch_check

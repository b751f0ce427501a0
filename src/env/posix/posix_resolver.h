// PosixResolver: looks names up on threads of its own, because getaddrinfo waits: for seconds, when
// the machine that knows the name is gone.
//
// Thread: any.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "env/dialer.h"
#include "env/posix/posix_executor.h"

namespace quoin::env {

// At most kThreadsMax look-ups at a time; others queue, kQueueMax of them. Destruction does not
// wait for a look-up that is under way: its thread ends with it.
class PosixResolver {
 public:
  // The addresses of a name, best first; waits. Runs on the resolver's threads, also after its end.
  using System = std::function<StatusOr<std::vector<std::string>>(const std::string& host)>;

  static constexpr size_t kThreadsMax = 8;
  static constexpr size_t kQueueMax = 1024;

  explicit PosixResolver(System system);
  ~PosixResolver();

  // `found` is posted to `on`, unless that ends before.
  void Lookup(std::string host, std::shared_ptr<PosixMailbox> on, Dialer::Found found);

 private:
  struct Shared;
  static void Work(std::shared_ptr<Shared> shared);
  const std::shared_ptr<Shared> shared_;
};

// getaddrinfo. Errors read "lookup HOST: no such host".
StatusOr<std::vector<std::string>> SystemLookup(const std::string& host);

}  // namespace quoin::env

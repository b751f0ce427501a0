// Served: a member of a simulated cluster with its services behind a port, and a client on another
// machine that ends its calls in every way at any event.
//
// Thread: the one of the world (the test's).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/context.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "sim/testing/cluster.h"

namespace quoin::sim::testing {

// How a call ends before its time.
enum class Ending : uint8_t {
  kNone,      // it does not
  kReset,     // RST_STREAM
  kLoss,      // the connection is lost
  kDeadline,  // grpc-timeout
  kDrain,     // GOAWAY, and the end of the server's patience
};

// One call as a client makes it. Value type.
struct ServedCall {
  std::string_view path;
  std::vector<std::string> requests;
  bool half_close = true;  // after the last request
};

// Thread: the test's. The cluster outlives it and is up. Its end stops the machine's I/O loop.
class Served {
 public:
  Served(Cluster& cluster, Machine& machine);
  ~Served();

  struct Outcome {
    std::optional<Status> status;  // as the client learnt it; none: the call is still open
    size_t events = 0;             // of the world, up to there
    env::Duration took{0};
    size_t answers = 0;
  };
  // Makes a call on a connection of its own and ends it after `at` events, or when `deadline` has
  // passed. What is open after `events_max` events is left, with its connection.
  Outcome Run(const ServedCall& call, Ending ending, size_t at, env::Duration deadline,
              size_t events_max);
  // A call that comes to its end; its last answer.
  StatusOr<std::string> Ask(std::string_view path, std::string request);

 private:
  class Answers;
  void Serve();
  void StopServing(env::Duration grace);
  void OnClient(const std::function<void()>& work);

  Cluster& cluster_;
  Machine& machine_;
  env::SimDisk client_disk_;
  env::SimEnv client_env_;
  std::unique_ptr<env::Executor> client_loop_;
  std::unique_ptr<api::Context> context_;
  std::unique_ptr<rpc::GrpcDispatcher> dispatcher_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace quoin::sim::testing

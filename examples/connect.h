// What every example begins with: a client over the endpoints of the command line.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "env/posix/posix_env.h"

namespace examples {

inline constexpr quoin::env::Duration kTimeout = std::chrono::seconds(10);

// Owns the loop that the client lives on.
struct Connection {
  explicit Connection(std::vector<quoin::client::Endpoint> endpoints)
      : env(quoin::env::NewPosixEnv()),
        loop(env->NewExecutor("client")),
        client(*env, *loop, {.endpoints = std::move(endpoints)}) {}

  std::unique_ptr<quoin::env::Env> env;
  std::unique_ptr<quoin::env::Executor> loop;
  quoin::client::Client client;
};

// Ends the program with a line when something fails: an example has nothing better to do.
inline void Require(const quoin::Status& status, const char* what) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s: %s\n", what, std::string(status.message()).c_str());
  std::exit(1);
}
template <typename T>
T Require(quoin::StatusOr<T> value, const char* what) {
  Require(value.status(), what);
  return *std::move(value);
}

// host:port arguments; without any, a member on this machine.
inline std::vector<quoin::client::Endpoint> Endpoints(int argc, char** argv) {
  std::vector<quoin::client::Endpoint> endpoints;
  for (int i = 1; i < argc; ++i)
    endpoints.push_back(Require(quoin::client::ParseEndpoint(argv[i]), argv[i]));
  if (endpoints.empty())
    endpoints.push_back(Require(quoin::client::ParseEndpoint("127.0.0.1:2379"), "endpoint"));
  return endpoints;
}

}  // namespace examples

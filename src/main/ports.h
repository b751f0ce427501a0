// Ports: what this member serves to clients and to probes, and where.
//
//   --listen-client-urls        gRPC and all pages; gRPC alone when the next one is given
//   --listen-client-http-urls   all pages, no gRPC
//   --listen-metrics-urls       /metrics and the health pages, from the member's start on
//
// The first two share one bound of connections; probes have one of their own, so that clients
// cannot make a member look dead.
//
// Thread: the main loop, but for TryListen.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/context.h"
#include "base/log.h"
#include "config/config.h"
#include "config/open_files.h"
#include "env/env.h"
#include "rpc/server.h"
#include "server/node.h"

namespace quoin::main {

class Ports {
 public:
  // References outlive it. `arguments` are the process's, for /debug/vars.
  Ports(env::Env& env, const config::Config& config, const config::ConnectionShares& shares,
        std::vector<std::string> arguments, std::vector<env::Executor*> io_loops,
        env::Executor& main_loop, Logger& log);

  // A taken port is told before anything is written. `loop`: any. May wait for a name.
  static Status TryListen(env::Env& env, const config::Config& config, env::Executor& loop);

  // The member runs: probes may ask. Once.
  Status OpenForProbes(server::Node& node);
  // The member is ready: clients may come. Once.
  Status OpenForClients(server::Node& node);

  // No new calls; `done` runs on the main loop when the last one has ended, or after `grace`.
  // Destroy this object when the loops have ended, before the node.
  void Drain(env::Duration grace, env::Task done);

 private:
  void MakePages(server::Node& node);
  std::unique_ptr<rpc::Server> NewServer(rpc::GrpcDispatcher* dispatcher, rpc::HttpHandler* http);
  Status Listen(rpc::Server& server, const config::Url& url,
                std::shared_ptr<env::ConnectionLimit> limit) const;

  env::Env& env_;
  const config::Config& config_;
  const std::shared_ptr<env::ConnectionLimit> clients_max_, probes_max_;
  const std::vector<std::string> arguments_;
  const std::vector<env::Executor*> io_loops_;
  env::Executor& main_loop_;
  Logger& log_;

  std::unique_ptr<api::Context> context_;
  std::unique_ptr<rpc::GrpcDispatcher> dispatcher_;
  std::unique_ptr<rpc::HttpHandler> pages_, access_, probes_;
  std::unique_ptr<rpc::Server> client_server_, http_server_, probe_server_;  // null: not open
  std::vector<std::unique_ptr<rpc::Server>> drained_;
};

}  // namespace quoin::main

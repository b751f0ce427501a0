#include "main/ports.h"

#include <utility>

#include "api/http_access.h"
#include "api/http_pages.h"
#include "api/services.h"
#include "main/process.h"

namespace quoin::main {
namespace {

// Answers that nobody has taken, of a server that shows pages alone: they are small.
constexpr uint64_t kPagesUnreadBytesMax = 5 * limits::kCallUnsentBytesMax;

env::ListenOptions SocketOptions(const config::Config& config,
                                 std::shared_ptr<env::ConnectionLimit> limit = nullptr) {
  return {config.socket_reuse_port, config.socket_reuse_address, std::move(limit)};
}

// Listens everywhere for a moment. All are held until the last one: two URLs of one port are told.
Status ListenOnAll(env::Env& env, const config::Config& config, env::Executor& loop) {
  std::vector<std::unique_ptr<env::Listener>> held;
  for (const auto* urls : {&config.listen_peer_urls, &config.listen_client_urls,
                           &config.listen_client_http_urls, &config.listen_metrics_urls}) {
    for (const config::Url& url : *urls) {
      ASSIGN_OR_RETURN(
          auto listener,
          env.network().Listen(url.address(), {&loop}, SocketOptions(config), [](auto, auto&) {}));
      held.push_back(std::move(listener));
    }
  }
  return OkStatus();
}

}  // namespace

Ports::Ports(env::Env& env, const config::Config& config, const config::ConnectionShares& shares,
             std::vector<std::string> arguments, std::vector<env::Executor*> io_loops,
             env::Executor& main_loop, Logger& log)
    : env_(env),
      config_(config),
      clients_max_(std::make_shared<env::ConnectionLimit>(*io_loops[0], shares.clients)),
      probes_max_(std::make_shared<env::ConnectionLimit>(*io_loops[0], shares.probes)),
      arguments_(std::move(arguments)),
      io_loops_(std::move(io_loops)),
      main_loop_(main_loop),
      log_(log) {}

Status Ports::TryListen(env::Env& env, const config::Config& config, env::Executor& loop) {
  Status status = ListenOnAll(env, config, loop);
  Latch closed;  // the sockets go on the loop
  loop.Post([&closed] { closed.Open(); });
  closed.Wait();
  return status;
}

void Ports::MakePages(server::Node& node) {
  if (context_ != nullptr) return;
  context_ = std::make_unique<api::Context>(node, io_loops_, [] { return ReadProcessStats(); });
  dispatcher_ = api::NewDispatcher(*context_);
  pages_ = api::NewHttpPages(*context_, api::PageSet::kAll, arguments_, log_);
  access_ = api::NewAccessControl({config_.cors, config_.host_whitelist}, *pages_, log_);
  probes_ = api::NewHttpPages(*context_, api::PageSet::kProbes, {}, log_);
}

std::unique_ptr<rpc::Server> Ports::NewServer(rpc::GrpcDispatcher* dispatcher,
                                              rpc::HttpHandler* http) {
  rpc::ServerOptions options;
  options.receive_message_bytes_max = config_.max_request_bytes + limits::kGrpcOverheadBytes;
  options.unread_bytes_max =
      dispatcher != nullptr ? limits::UnreadBytes(config_.memory_limit) : kPagesUnreadBytesMax;
  options.concurrent_streams_max = config_.max_concurrent_streams;
  options.keepalive_min_time = config_.grpc_keepalive_min_time;
  options.keepalive_interval = config_.grpc_keepalive_interval;
  options.keepalive_timeout = config_.grpc_keepalive_timeout;
  return rpc::Server::New(env_, io_loops_, options, dispatcher, http, log_);
}

Status Ports::Listen(rpc::Server& server, const config::Url& url,
                     std::shared_ptr<env::ConnectionLimit> limit) const {
  return server.Listen(url.address(), SocketOptions(config_, std::move(limit)));
}

Status Ports::OpenForProbes(server::Node& node) {
  if (config_.listen_metrics_urls.empty()) return OkStatus();
  MakePages(node);
  probe_server_ = NewServer(nullptr, probes_.get());
  for (const config::Url& url : config_.listen_metrics_urls) {
    RETURN_IF_ERROR(Listen(*probe_server_, url, probes_max_));
    log_.Info("serving metrics", {{"address", url.text()}});
  }
  return OkStatus();
}

Status Ports::OpenForClients(server::Node& node) {
  MakePages(node);
  const bool one_port = config_.listen_client_http_urls.empty();
  client_server_ = NewServer(dispatcher_.get(), one_port ? access_.get() : nullptr);
  if (!one_port) http_server_ = NewServer(nullptr, access_.get());
  auto open = [this](rpc::Server& server, const config::Url& url, std::string_view traffic) {
    Status status = Listen(server, url, clients_max_);
    if (status.ok()) {
      log_.Info("serving client traffic insecurely; this is strongly discouraged!",
                {{"traffic", traffic}, {"address", url.address()}});
    }
    return status;
  };
  for (const config::Url& url : config_.listen_client_urls)
    RETURN_IF_ERROR(open(*client_server_, url, one_port ? "grpc+http" : "grpc"));
  for (const config::Url& url : config_.listen_client_http_urls)
    RETURN_IF_ERROR(open(*http_server_, url, "http"));
  return OkStatus();
}

void Ports::Drain(env::Duration grace, env::Task done) {
  for (std::unique_ptr<rpc::Server>* server : {&client_server_, &http_server_, &probe_server_}) {
    if (*server == nullptr) continue;
    // One after another: each is kept until all loops have ended, and is asked once.
    rpc::Server& draining = **server;
    drained_.push_back(std::move(*server));
    return draining.Drain(grace, [this, grace, done = std::move(done)]() mutable {
      main_loop_.Post(
          [this, grace, done = std::move(done)]() mutable { Drain(grace, std::move(done)); });
    });
  }
  done();
}

}  // namespace quoin::main

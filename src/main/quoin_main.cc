// quoin: the server. Reads the configuration, wires the rooms together, waits for a signal, stops
// in order.

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "api/context.h"
#include "api/http_pages.h"
#include "api/services.h"
#include "config/config.h"
#include "config/initial_cluster.h"
#include "env/posix/posix_env.h"
#include "logging/json_logger.h"
#include "main/node_config.h"
#include "main/process.h"
#include "rpc/server.h"
#include "server/corruption_check.h"
#include "server/join.h"
#include "server/node.h"
#include "server/server_version.h"

namespace quoin::main {
namespace {

constexpr env::Duration kDrainGrace = std::chrono::seconds(2);

// One running server: everything between "configured" and "stopped". Owned by main(); its calls run
// on the main loop.
class Quoin {
 public:
  Quoin(env::Env& env, const config::Config& config, Logger& log)
      : env_(env), config_(config), log_(log), main_loop_(env.NewExecutor("main")) {}

  // False after a line in the log said why.
  bool Start() {
    StatusOr<server::NodeConfig> node_config = ToNodeConfig(config_);
    if (!node_config.ok()) return Fail(node_config.status());
    node_config_ = *std::move(node_config);
    if (Status status = TryListen(); !status.ok()) return Fail(status);
    for (uint64_t i = 0; i < config_.io_threads; ++i) {
      io_executors_.push_back(env_.NewExecutor("io" + std::to_string(i)));
      io_loops_.push_back(io_executors_.back().get());
    }
    const bool is_new = server::IsNewMember(env_.files().blocking(), node_config_);
    if (is_new) {
      if (Status status = FindCluster(); !status.ok()) return Fail(status);
    }
    StatusOr<std::unique_ptr<server::Node>> node =
        server::Node::Open(env_, node_config_, io_loops_, *main_loop_,
                           {[this] { Serve(); }, [this] { Removed(); }}, log_);
    if (!node.ok()) return Fail(node.status());
    node_ = *std::move(node);
    Status status = is_new || !node_config_.initial_corrupt_check ? OkStatus() : CheckData();
    if (status.ok()) status = node_->Run();
    if (status.ok()) return true;
    Destroy();
    return Fail(status);
  }

  // Whether the member ended because it was removed from the cluster. After Stop.
  bool removed() const { return removed_; }

  // Blocks until everything is down.
  void Stop() {
    Latch stopped;
    main_loop_->Post([this, &stopped] {
      stopping_ = true;
      if (server_ == nullptr) return StopNode(stopped);
      server_->Drain(kDrainGrace, [this, &stopped] {
        main_loop_->Post([this, &stopped] { StopNode(stopped); });
      });
    });
    stopped.Wait();
    Destroy();
  }

 private:
  // Loops end before what they work on, and exist until nobody can post to them.
  void Destroy() {
    main_loop_->Stop();
    for (auto& loop : io_executors_) loop->Stop();
    server_.reset();
    pages_.reset();
    dispatcher_.reset();
    context_.reset();
    node_.reset();
    io_executors_.clear();
  }

  bool Fail(const Status& status) {
    log_.Error("discovery failed", {{"error", std::string(status.message())}});
    return false;
  }

  // A taken port is told before anything is written.
  Status TryListen() {
    std::vector<config::Url> urls = config_.listen_client_urls;
    urls.insert(urls.end(), config_.listen_peer_urls.begin(), config_.listen_peer_urls.end());
    for (const config::Url& url : urls) {
      RETURN_IF_ERROR(
          env_.network()
              .Listen(url.address(), {main_loop_.get()}, ListenOptions(), [](auto, auto&) {})
              .status());
    }
    return OkStatus();
  }

  // A member without data asks the others first. Blocks until they have answered, or did not.
  Status FindCluster() {
    if (!node_config_.initial_cluster_problem.ok()) return OkStatus();
    Status outcome;
    Latch finished;
    std::unique_ptr<server::Joining> joining;
    main_loop_->Post([&] {
      joining =
          server::Joining::Start(env_, *main_loop_, node_config_, log_,
                                 [&](StatusOr<std::optional<server::NodeConfig::Existing>> found) {
                                   outcome = found.status();
                                   if (found.ok()) node_config_.existing = *std::move(found);
                                   main_loop_->Post([&] {
                                     joining.reset();
                                     finished.Open();
                                   });
                                 });
    });
    finished.Wait();
    return outcome;
  }

  // Compares what this member holds with the others. Blocks until that is known.
  Status CheckData() {
    Status outcome;
    Latch finished;
    std::unique_ptr<server::InitialCheck> check;
    main_loop_->Post([&] {
      check = std::make_unique<server::InitialCheck>(*node_, *main_loop_, log_, [&](Status status) {
        outcome = std::move(status);
        main_loop_->Post([&] {
          check.reset();
          finished.Open();
        });
      });
    });
    finished.Wait();
    return outcome;
  }

  env::ListenOptions ListenOptions() const {
    return {config_.socket_reuse_port, config_.socket_reuse_address};
  }

  // Main loop: the member is ready, clients may come.
  void Serve() {
    if (stopping_) return;  // it became ready while it was about to end
    context_ = std::make_unique<api::Context>(*node_, io_loops_, [] { return ReadProcessStats(); });
    dispatcher_ = api::NewDispatcher(*context_);
    pages_ = api::NewHttpPages(*context_, log_);
    rpc::ServerOptions options;
    options.receive_message_bytes_max = config_.max_request_bytes + limits::kGrpcOverheadBytes;
    options.unread_bytes_max = limits::UnreadBytes(config_.memory_limit);
    options.concurrent_streams_max = config_.max_concurrent_streams;
    options.keepalive_min_time = config_.grpc_keepalive_min_time;
    options.keepalive_interval = config_.grpc_keepalive_interval;
    options.keepalive_timeout = config_.grpc_keepalive_timeout;
    server_ = rpc::Server::New(env_, io_loops_, options, dispatcher_.get(), pages_.get(), log_);
    for (const config::Url& url : config_.listen_client_urls) {
      Status status = server_->Listen(url.address(), ListenOptions());
      if (!status.ok()) {
        Fail(status);
        return RequestStop();
      }
      log_.Info("serving client traffic insecurely; this is strongly discouraged!",
                {{"address", url.address()}});
    }
    log_.Info("ready to serve client requests",
              {{"member-id", cluster::HexId(node_->info().member_id)},
               {"cluster-id", cluster::HexId(node_->info().cluster_id)}});
    NotifyReady();
  }

  void Removed() {
    removed_ = true;
    RequestStop();
  }

  void StopNode(Latch& stopped) {
    node_->Stop(*main_loop_, [&stopped] { stopped.Open(); });
  }

  env::Env& env_;
  const config::Config& config_;
  Logger& log_;
  std::unique_ptr<env::Executor> main_loop_;
  std::vector<std::unique_ptr<env::Executor>> io_executors_;
  std::vector<env::Executor*> io_loops_;
  server::NodeConfig node_config_;
  std::unique_ptr<server::Node> node_;
  // Main loop, and main() once that has ended:
  bool stopping_ = false;
  bool removed_ = false;
  std::unique_ptr<api::Context> context_;
  std::unique_ptr<rpc::GrpcDispatcher> dispatcher_;
  std::unique_ptr<rpc::HttpHandler> pages_;
  std::unique_ptr<rpc::Server> server_;
};

LogLevel LevelOf(const config::Config& config) { return config.logging.level; }

void WriteNotices(const std::vector<config::Notice>& notices, Logger& log) {
  for (const config::Notice& notice : notices) {
    if (log.Enabled(notice.level)) {
      log.Write(notice.level, std::source_location::current(), notice.message, notice.fields.data(),
                notice.fields.size());
    }
  }
}

int Run(int argc, char** argv, const char* const* environment) {
  BlockStopSignals();  // before any thread exists: all inherit it, and only WaitForStopSignal takes
                       // them
  std::unique_ptr<env::Env> env = env::NewPosixEnv();
  config::Loaded loaded =
      config::Load(std::vector<std::string>(argv, argv + argc),
                   config::EnvironmentFromBlock(environment), env->files().blocking());
  std::fputs(loaded.out.c_str(), stdout);
  std::fputs(loaded.err.c_str(), stderr);
  const config::Logging& logging = loaded.config.logging;
  auto log = logging::JsonLogger::Open(logging.outputs,
                                       logging.format == config::LogFormat::kJson
                                           ? logging::Format::kJson
                                           : logging::Format::kConsole,
                                       LevelOf(loaded.config), env->clock());
  if (!log.ok()) {
    std::fprintf(stderr, "quoin: %s\n", std::string(log.status().message()).c_str());
    return 1;
  }
  WriteNotices(loaded.notices, **log);
  if (loaded.exit_code) return *loaded.exit_code;

  (*log)->Info("Initialize and start etcd server",
               {{"data-dir", loaded.config.data_dir},
                {"server-version", server::kServerVersion},
                {"quoin-version", std::string(config::kQuoinVersion)}});
  int signal = 0;
  bool removed = false;
  {
    Quoin quoin(*env, loaded.config, **log);
    if (!quoin.Start()) return 1;
    signal = WaitForStopSignal();
    (*log)->Info("received signal; shutting down",
                 {{"signal", signal == SIGINT ? "interrupt" : "terminated"}});
    quoin.Stop();
    removed = quoin.removed();
    (*log)->Info("closed etcd server",
                 {{"name", loaded.config.name}, {"data-dir", loaded.config.data_dir}});
  }
  return removed ? 0 : DieBySignal(signal);
}

}  // namespace
}  // namespace quoin::main

int main(int argc, char** argv, char** environment) {
  return quoin::main::Run(argc, argv, environment);
}

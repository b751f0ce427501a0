// quoin: the server. Reads the configuration, wires the rooms together, waits for a signal, stops
// in order.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/last_words.h"
#include "config/config.h"
#include "config/open_files.h"
#include "env/posix/posix_env.h"
#include "logging/json_logger.h"
#include "main/node_config.h"
#include "main/ports.h"
#include "main/process.h"
#include "main/start_lines.h"
#include "server/corruption_check.h"
#include "server/join.h"
#include "server/node.h"

namespace quoin::main {
namespace {

constexpr env::Duration kDrainGrace = std::chrono::seconds(2);
constexpr int kPanicExitCode = 2;  // Go's

void WriteFatal(Logger& log, std::string_view message, Logger::Fields fields) {
  log.Write(LogLevel::kFatal, std::source_location::current(), message, fields.begin(),
            fields.size());
}

// As etcd says that it cannot start: a warning that says why, and a fatal line that always has this
// message.
void SayStartError(Logger& log, const Status& status) {
  const std::string error(status.message());
  log.Warn("failed to start etcd", {{"error", error}});
  WriteFatal(log, "discovery failed", {{"error", error}});
}

// One running server: everything between "configured" and "stopped". Owned by main(); its calls run
// on the main loop.
class Quoin {
 public:
  Quoin(env::Env& env, const config::Config& config, const config::ConnectionShares& shares,
        std::vector<std::string> arguments, Logger& log)
      : env_(env),
        config_(config),
        shares_(shares),
        arguments_(std::move(arguments)),
        log_(log),
        main_loop_(env.NewExecutor("main")) {}

  Status Start() {
    ASSIGN_OR_RETURN(node_config_, ToNodeConfig(config_));
    node_config_.peer_connections_max = shares_.peers;
    RETURN_IF_ERROR(Ports::TryListen(env_, config_, *main_loop_));
    for (uint64_t i = 0; i < config_.io_threads; ++i) {
      io_executors_.push_back(env_.NewExecutor("io" + std::to_string(i)));
      io_loops_.push_back(io_executors_.back().get());
    }
    ports_ =
        std::make_unique<Ports>(env_, config_, shares_, arguments_, io_loops_, *main_loop_, log_);
    const bool is_new = server::IsNewMember(env_.files().blocking(), node_config_);
    LogConfiguration(config_, !is_new, log_);
    if (is_new) RETURN_IF_ERROR(FindCluster());
    ASSIGN_OR_RETURN(node_,
                     server::Node::Open(env_, node_config_, io_loops_, *main_loop_,
                                        {[this] { Serve(); }, [this] { Removed(); },
                                         [this](const std::string& words) { EndAtOnce(words); }},
                                        log_));
    Status status = is_new || !node_config_.initial_corrupt_check ? OkStatus() : CheckData();
    if (status.ok()) status = node_->Run();
    if (status.ok()) {
      main_loop_->Post([this] {
        if (!stopping_) EndUnless(ports_->OpenForProbes(*node_));
      });
    } else {
      Destroy();
    }
    return status;
  }

  // Whether the member ended because it was removed from the cluster. After Stop.
  bool removed() const { return removed_; }
  // Whether it ended because a port could not be opened; a line in the log said why. After Stop.
  bool failed() const { return failed_; }

  // Blocks until everything is down.
  void Stop() {
    Latch stopped;
    main_loop_->Post([this, &stopped] {
      stopping_ = true;
      ports_->Drain(kDrainGrace, [this, &stopped] { StopNode(stopped); });
    });
    stopped.Wait();
    Destroy();
  }

 private:
  // Loops end before what they work on, and exist until nobody can post to them.
  void Destroy() {
    main_loop_->Stop();
    for (auto& loop : io_executors_) loop->Stop();
    ports_.reset();
    node_.reset();
    io_executors_.clear();
  }

  // Something that the running member cannot go on without.
  void EndUnless(const Status& status) {
    if (status.ok()) return;
    SayStartError(log_, status);
    failed_ = true;
    RequestStop();
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

  // Main loop: the member is ready, clients may come.
  void Serve() {
    if (stopping_) return;  // it became ready while it was about to end
    Status status = ports_->OpenForClients(*node_);
    if (!status.ok()) return EndUnless(status);
    log_.Info("ready to serve client requests",
              {{"member-id", cluster::HexId(node_->info().member_id)},
               {"cluster-id", cluster::HexId(node_->info().cluster_id)}});
    NotifyReady();
  }

  void Removed() {
    removed_ = true;
    RequestStop();
  }

  // Nothing that this member holds may be used any more, so nothing of it is put in order: as etcd
  // panics.
  void EndAtOnce(const std::string& words) {
    log_.Write(LogLevel::kPanic, std::source_location::current(), words, nullptr, 0);
    std::fprintf(stderr, "panic: %s\n", words.c_str());
    std::fflush(stderr);
    std::_Exit(kPanicExitCode);
  }

  void StopNode(Latch& stopped) {
    node_->Stop(*main_loop_, [&stopped] { stopped.Open(); });
  }

  env::Env& env_;
  const config::Config& config_;
  const config::ConnectionShares shares_;
  const std::vector<std::string> arguments_;
  Logger& log_;
  std::unique_ptr<env::Executor> main_loop_;
  std::vector<std::unique_ptr<env::Executor>> io_executors_;
  std::vector<env::Executor*> io_loops_;
  server::NodeConfig node_config_;
  std::unique_ptr<server::Node> node_;
  // Main loop, and main() once that has ended:
  bool stopping_ = false;
  bool removed_ = false, failed_ = false;
  std::unique_ptr<Ports> ports_;
};

void WriteNotices(const std::vector<config::Notice>& notices, Logger& log) {
  for (const config::Notice& notice : notices) {
    if (log.Enabled(notice.level)) {
      log.Write(notice.level, std::source_location::current(), notice.message, notice.fields.data(),
                notice.fields.size());
    }
  }
}

// The member's life, from a checked configuration to the exit code.
int Live(env::Env& env, const config::Config& config, std::vector<std::string> arguments,
         Logger& log) {
  Status inspected = InspectDataDirectory(env.files().blocking(), config, log);
  if (!inspected.ok()) {
    WriteFatal(log, std::string(inspected.message()), {{"data-dir", config.data_dir}});
    return 1;
  }
  const uint64_t files_max = RaiseOpenFiles();
  const config::ConnectionShares shares = config::ShareOpenFiles(files_max, config.io_threads);
  if (shares.clients == 0) {
    WriteFatal(log, "file descriptor limit of etcd process is too low; please set higher",
               {{"limit", files_max}});
    return 1;
  }
  int signal = 0;
  bool removed = false;
  {
    Quoin quoin(env, config, shares, std::move(arguments), log);
    if (const Status status = quoin.Start(); !status.ok()) {
      SayStartError(log, status);
      return 1;
    }
    signal = WaitForStopSignal();
    log.Info("received signal; shutting down",
             {{"signal", signal == SIGINT ? "interrupt" : "terminated"}});
    quoin.Stop();
    removed = quoin.removed();
    log.Info("closed etcd server", {{"name", config.name}, {"data-dir", config.data_dir}});
    if (quoin.failed()) return 1;
  }
  return removed ? 0 : DieBySignal(signal);
}

StatusOr<std::unique_ptr<logging::JsonLogger>> OpenLog(const config::Logging& logging,
                                                       const env::Clock& clock) {
  const bool json = logging.format == config::LogFormat::kJson;
  return logging::JsonLogger::Open(logging.outputs,
                                   json ? logging::Format::kJson : logging::Format::kConsole,
                                   logging.level, clock);
}

int Run(int argc, char** argv, const char* const* environment) {
  BlockStopSignals();  // before any thread exists: all inherit it, and only WaitForStopSignal takes
                       // them
  std::unique_ptr<env::Env> env = env::NewPosixEnv();
  const std::vector<std::string> arguments(argv, argv + argc);
  config::Loaded loaded =
      config::Load(arguments, config::EnvironmentFromBlock(environment), env->files().blocking());
  std::fputs(loaded.out.c_str(), stdout);
  std::fputs(loaded.err.c_str(), stderr);
  auto log = OpenLog(loaded.config.logging, env->clock());
  if (!log.ok()) {
    // Whatever level was asked for: nothing else would say why.
    if (auto instead = OpenLog(config::Logging(), env->clock()); instead.ok())
      (*instead)->Warn("failed to verify flags", {{"error", std::string(log.status().message())}});
    return 1;
  }
  WriteNotices(loaded.notices, **log);
  if (loaded.exit_code) return *loaded.exit_code;
  SetLastWords([log = log->get()](std::string_view what, std::string_view why) {
    log->WriteLast(what, {{"error", why}});
  });
  const int code = Live(*env, loaded.config, arguments, **log);
  SetLastWords(nullptr);
  return code;
}

}  // namespace
}  // namespace quoin::main

int main(int argc, char** argv, char** environment) {
  return quoin::main::Run(argc, argv, environment);
}

#include "ctl/process.h"

#include <absl/strings/ascii.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <thread>

#include "env/posix/posix_address.h"

extern char** environ;

namespace quoin::ctl {
namespace {

sigset_t StopSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

// As Go's os/exec says it.
std::string StartErrorText(const std::string& command, int error) {
  if (command.find('/') != std::string::npos)
    return "fork/exec " + command + ": " + env::ErrnoText(error);
  return "exec: \"" + command +
         "\": " + (error == ENOENT ? "executable file not found in $PATH" : env::ErrnoText(error));
}

Ended HowItEnded(int status) {
  if (WIFEXITED(status)) {
    const int code = WEXITSTATUS(status);
    return {static_cast<uint8_t>(code), "exit status " + std::to_string(code)};
  }
  std::string name = strsignal(WTERMSIG(status));
  name[0] = absl::ascii_tolower(static_cast<unsigned char>(name[0]));
  return {255, "signal: " + name + (WCOREDUMP(status) ? " (core dumped)" : "")};
}

}  // namespace

StatusOr<Ended> RunProcess(std::span<const std::string> command,
                           const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> texts;
  for (const auto& [name, value] : variables) texts.push_back(name + "=" + value);
  std::vector<char*> environment;
  for (std::string& text : texts) environment.push_back(text.data());
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);
  std::vector<std::string> words(command.begin(), command.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  // The child gets the signals again that this program has set aside.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawn_file_actions_t streams;
  posix_spawn_file_actions_init(&streams);
  posix_spawn_file_actions_addopen(&streams, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  pid_t child = 0;
  const int error = posix_spawnp(&child, arguments[0], &streams, &attributes, arguments.data(),
                                 environment.data());
  posix_spawn_file_actions_destroy(&streams);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return absl::NotFoundError(StartErrorText(words[0], error));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return HowItEnded(status);
}

WithoutStopSignals::WithoutStopSignals() {
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}
WithoutStopSignals::~WithoutStopSignals() {
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

// The thread that takes the signals. SIGUSR1 tells it that nobody wants them any more.
class StopSignals::Waiter {
 public:
  Waiter() {
    set_ = StopSet();
    sigaddset(&set_, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    thread_ = std::thread([this] { Run(); });
  }
  ~Waiter() {
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }
  std::stop_token token() const { return stop_.get_token(); }

 private:
  void Run() {
    for (;;) {
      int signal = 0;
      sigwait(&set_, &signal);
      if (signal == SIGUSR1) return;
      if (!stop_.request_stop()) Die(signal);
    }
  }
  // As if the signal had never been set aside.
  static void Die(int signal) {
    std::signal(signal, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, signal);
    pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
    raise(signal);
  }

  sigset_t set_;
  std::stop_source stop_;
  std::thread thread_;
};

StopSignals::StopSignals() : waiter_(std::make_unique<Waiter>()) {}
StopSignals::~StopSignals() = default;

std::stop_token StopSignals::token() const { return waiter_->token(); }

bool StopSignals::Wait(const std::stop_token& other) const {
  std::mutex mutex;
  std::condition_variable_any stopped;
  const auto wake = [&] {
    const std::lock_guard lock(mutex);
    stopped.notify_all();
  };
  const std::stop_callback on_other(other, wake);
  std::unique_lock lock(mutex);
  // The signal's own token wakes the wait by itself.
  stopped.wait(lock, token(), [&other] { return other.stop_requested(); });
  return token().stop_requested();
}

}  // namespace quoin::ctl

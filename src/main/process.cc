#include "main/process.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

namespace quoin::main {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

std::string ReadFile(const char* path) {
  std::ifstream file(path);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

uint64_t CountOpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  uint64_t count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count < 3 ? 0 : count - 3;  // ".", ".." and the directory itself
}

double BootTimeSeconds() {
  std::istringstream stat(ReadFile("/proc/stat"));
  for (std::string line; std::getline(stat, line);) {
    if (line.starts_with("btime ")) return std::atof(line.c_str() + 6);
  }
  return 0;
}

}  // namespace

void BlockStopSignals() {
  sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int WaitForStopSignal() {
  sigset_t set = StopSignals();
  int signal = 0;
  sigwait(&set, &signal);
  return signal;
}

// To the process, not to this thread: only the thread that waits for it takes it.
void RequestStop() { kill(getpid(), SIGTERM); }

int DieBySignal(int signal) {
  if (getpid() == 1) return 0;
  std::fflush(nullptr);
  std::signal(signal, SIG_DFL);
  sigset_t set = StopSignals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::raise(signal);
  return 0;
}

uint64_t RaiseOpenFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return before;
  return limit.rlim_cur;
}

void NotifyReady() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || std::strlen(path) >= sizeof(sockaddr_un::sun_path)) return;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // abstract namespace
  constexpr char kReady[] = "READY=1";
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  // Nobody listening is no error of ours.
  (void)sendto(fd, kReady, sizeof kReady - 1, MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
               length);
  close(fd);
}

api::ProcessStats ReadProcessStats() {
  api::ProcessStats stats;
  // Field 1 is the pid, field 2 the name in parentheses (it may hold blanks); 14, 15 CPU ticks, 22
  // start, 23 bytes, 24 pages.
  std::string text = ReadFile("/proc/self/stat");
  size_t after_name = text.rfind(')');
  if (after_name != std::string::npos) {
    std::istringstream fields(text.substr(after_name + 2));
    const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    std::string field;
    for (int number = 3; fields >> field; ++number) {
      if (number == 14 || number == 15) stats.cpu_seconds += std::stod(field) / ticks;
      if (number == 22) stats.start_time_seconds = BootTimeSeconds() + std::stod(field) / ticks;
      if (number == 23) stats.virtual_bytes = std::stoull(field);
      if (number == 24)
        stats.resident_bytes = std::stoull(field) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    }
  }
  stats.open_files = CountOpenFiles();
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.files_max = limit.rlim_cur;
  return stats;
}

void Latch::Open() {
  std::lock_guard lock(mutex_);
  open_ = true;
  opened_.notify_all();
}

void Latch::Wait() {
  std::unique_lock lock(mutex_);
  opened_.wait(lock, [this] { return open_; });
}

}  // namespace quoin::main

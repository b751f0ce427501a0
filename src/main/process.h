// The process as the operating system sees it: signals, readiness, its own statistics. The only
// system calls outside env/posix (no other room needs them).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "api/process_stats.h"

namespace quoin::main {

// Keeps SIGINT, SIGTERM for WaitForStopSignal. Call before any thread is made.
void BlockStopSignals();
// Waits for SIGINT or SIGTERM and returns it.
int WaitForStopSignal();
// Makes WaitForStopSignal return, as if SIGTERM had come. Thread: any.
void RequestStop();
// Ends the process by the signal that stopped it, so that a parent sees it; as process 1 returns 0
// instead.
int DieBySignal(int signal);

// Open files: as many as the process may allow itself, which the limit that it was started with
// need not be. Returns that number.
uint64_t RaiseOpenFiles();

// Tells a service manager that asked for it (systemd's NOTIFY_SOCKET).
void NotifyReady();

// Thread: any.
api::ProcessStats ReadProcessStats();

// Opened once, by any thread; the main thread waits for it.
class Latch {
 public:
  void Open();
  void Wait();

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

}  // namespace quoin::main

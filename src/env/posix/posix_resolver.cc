#include "env/posix/posix_resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace quoin::env {

StatusOr<std::vector<std::string>> SystemLookup(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    const bool unknown = error == EAI_NONAME || error == EAI_NODATA;
    return absl::UnavailableError("lookup " + host + ": " +
                                  (unknown ? "no such host" : gai_strerror(error)));
  }
  std::vector<std::string> out;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) !=
        0)
      continue;
    if (std::find(out.begin(), out.end(), text) == out.end()) out.emplace_back(text);
  }
  freeaddrinfo(found);
  return out;
}

// Lives as long as the resolver or one of its threads.
struct PosixResolver::Shared {
  struct Job {
    std::string host;
    std::shared_ptr<PosixMailbox> on;
    Dialer::Found found;
    void Answer(StatusOr<std::vector<std::string>> result) {
      on->Post([found = std::move(found), result = std::move(result)]() mutable {
        found(std::move(result));
      });
    }
  };

  const System system;
  std::mutex mutex;  // guards what follows
  std::condition_variable arrived;
  std::deque<Job> jobs;
  size_t threads = 0;
  size_t idle = 0;
  bool stop = false;

  explicit Shared(System s) : system(std::move(s)) {}
};

PosixResolver::PosixResolver(System system)
    : shared_(std::make_shared<Shared>(std::move(system))) {}

PosixResolver::~PosixResolver() {
  std::deque<Shared::Job> dropped;
  std::lock_guard lock(shared_->mutex);
  shared_->stop = true;
  dropped.swap(shared_->jobs);
  shared_->arrived.notify_all();
}

void PosixResolver::Lookup(std::string host, std::shared_ptr<PosixMailbox> on,
                           Dialer::Found found) {
  Shared::Job job{std::move(host), std::move(on), std::move(found)};
  std::unique_lock lock(shared_->mutex);
  if (shared_->idle <= shared_->jobs.size() && shared_->threads < kThreadsMax) {
    try {
      std::thread(Work, shared_).detach();
      ++shared_->threads;
    } catch (const std::system_error&) {  // those that run take it
    }
  }
  if (shared_->threads == 0 || shared_->jobs.size() >= kQueueMax) {
    lock.unlock();
    return job.Answer(absl::UnavailableError("lookup " + job.host + ": too many look-ups"));
  }
  shared_->jobs.push_back(std::move(job));
  shared_->arrived.notify_one();
}

void PosixResolver::Work(std::shared_ptr<Shared> shared) {
  pthread_setname_np(pthread_self(), "quoin-names");
  std::unique_lock lock(shared->mutex);
  while (true) {
    ++shared->idle;
    shared->arrived.wait(lock, [&] { return shared->stop || !shared->jobs.empty(); });
    --shared->idle;
    if (shared->stop) return;
    Shared::Job job = std::move(shared->jobs.front());
    shared->jobs.pop_front();
    lock.unlock();
    job.Answer(shared->system(job.host));
    lock.lock();
  }
}

}  // namespace quoin::env

#include "ctl/load.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ostream>
#include <utility>

#include "cli/pause.h"
#include "client/error_text.h"

namespace quoin::ctl {
namespace {

constexpr env::Duration kTick = std::chrono::milliseconds(1);
constexpr env::Duration kShowEvery = std::chrono::milliseconds(100);

double Seconds(env::Duration duration) { return std::chrono::duration<double>(duration).count(); }

// The requests under way. Thread: the loop, but for Answered() and Finished().
class Run {
 public:
  Run(env::Env& env, env::Executor& loop, const LoadPlan& plan,
      std::vector<client::AsyncClient*> clients)
      : env_(env), loop_(loop), plan_(plan), clients_(std::move(clients)) {
    for (size_t i = clients_.size(); i > 0; --i) free_.push_back(i - 1);
  }

  void Start() {
    started_ = loop_.clock().Now();
    Tick();
  }

  uint64_t Answered() const { return answered_; }
  // All requests were answered; nothing of it runs any more.
  bool Finished() const { return finished_; }
  // REQUIRES: Finished().
  LoadResult TakeResult() { return std::move(result_); }

 private:
  bool HasMore() const {
    if (plan_.requests) return sent_ < *plan_.requests;
    return loop_.clock().Now() - started_ < plan_.duration;
  }

  // How many requests may have been sent by now.
  uint64_t Due() {
    if (plan_.requests) return *plan_.requests;
    const double elapsed = Seconds(loop_.clock().Now() - started_);
    const auto due = static_cast<uint64_t>(elapsed * plan_.requests_per_second) + 1 - forgiven_;
    // Who was late does not make up for it with a burst.
    const uint64_t backlog = due - std::min(due, sent_);
    if (backlog > clients_.size()) forgiven_ += backlog - clients_.size();
    return std::min<uint64_t>(due, sent_ + clients_.size());
  }

  void Tick() {
    SendDue();
    if (plan_.requests) return;
    if (HasMore()) {
      loop_.RunAfter(kTick, [this] { Tick(); });
    } else {
      over_ = true;
      EndWhenAnswered();
    }
  }

  void SendDue() {
    for (const uint64_t due = Due(); sent_ < due && !free_.empty() && HasMore();) {
      const size_t client = free_.back();
      free_.pop_back();
      ++sent_;
      Send(client);
    }
  }

  void Send(size_t client) {
    etcdserverpb::PutRequest request;
    std::string key(plan_.key_bytes, '\0');
    const uint64_t random = env_.Random();
    for (size_t i = 0; i < std::min(sizeof random, key.size()); ++i)
      key[i] = static_cast<char>(random >> (8 * i));
    request.set_key(plan_.prefix + key);
    request.set_value(std::string(plan_.value_bytes, '\0'));
    const env::Duration began = loop_.clock().Now();
    clients_[client]->Unary(client::kPut, request.SerializeAsString(), std::nullopt,
                            [this, client, began](const StatusOr<std::string>& answer) {
                              OnAnswer(client, began, answer.status());
                            });
  }

  void OnAnswer(size_t client, env::Duration began, const Status& status) {
    if (status.ok()) {
      result_.seconds.push_back(Seconds(loop_.clock().Now() - began));
    } else {
      ++result_.errors[client::ErrorText(status)];
    }
    free_.push_back(client);
    ++answered_;
    // Not from here: an answer may come within the call that asks.
    loop_.Post([this] {
      if (!over_) SendDue();
      if (plan_.requests && sent_ == *plan_.requests) over_ = true;
      EndWhenAnswered();
    });
  }

  void EndWhenAnswered() {
    if (!over_ || ended_ || free_.size() < clients_.size()) return;
    ended_ = true;
    result_.total_seconds = Seconds(loop_.clock().Now() - started_);
    std::sort(result_.seconds.begin(), result_.seconds.end());
    loop_.Post([this] { finished_ = true; });  // behind all that was posted
  }

  env::Env& env_;
  env::Executor& loop_;
  const LoadPlan& plan_;
  const std::vector<client::AsyncClient*> clients_;
  std::vector<size_t> free_;  // clients without a request
  env::Duration started_{};
  uint64_t sent_ = 0;
  uint64_t forgiven_ = 0;  // requests that were due while no client was free
  bool over_ = false;      // no further request will be sent
  bool ended_ = false;
  LoadResult result_;

  // Written by the loop, read by the main thread.
  std::atomic<uint64_t> answered_ = 0;
  std::atomic<bool> finished_ = false;
};

}  // namespace

double LoadResult::RequestsPerSecond() const {
  return total_seconds > 0 ? static_cast<double>(seconds.size()) / total_seconds : 0;
}

double LoadResult::StandardDeviation() const {
  if (seconds.empty()) return 0;
  double mean = 0, square = 0;
  for (const double s : seconds) mean += s;
  mean /= static_cast<double>(seconds.size());
  for (const double s : seconds) square += (s - mean) * (s - mean);
  return std::sqrt(square / static_cast<double>(seconds.size()));
}

ProgressLine::~ProgressLine() {
  if (shown_) world_.console.err << "\r\x1b[K" << std::flush;
}

void ProgressLine::Show(std::string_view text) {
  const env::Duration now = world_.env.clock().Now();
  if (!world_.console.err_is_terminal || (shown_ && now - last_ < kShowEvery)) return;
  world_.console.err << "\r\x1b[K" << text << std::flush;
  shown_ = true;
  last_ = now;
}

LoadResult RunLoad(Invocation& invocation,
                   const std::vector<std::unique_ptr<client::Client>>& clients,
                   const LoadPlan& plan,
                   absl::FunctionRef<void(uint64_t answered, env::Duration elapsed)> progress) {
  World& world = invocation.world();
  std::vector<client::AsyncClient*> async;
  for (const auto& client : clients)
    client->OnLoop([&](client::AsyncClient& on_loop) { async.push_back(&on_loop); });
  Run run(world.env, world.loop, plan, std::move(async));
  const env::Duration started = world.env.clock().Now();
  world.loop.Post([&run] { run.Start(); });
  while (!run.Finished()) {
    cli::Pause(world.loop, kShowEvery);
    progress(run.Answered(), world.env.clock().Now() - started);
  }
  return run.TakeResult();
}

}  // namespace quoin::ctl

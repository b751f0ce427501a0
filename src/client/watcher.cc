#include "client/watcher.h"

#include <algorithm>
#include <utility>

#include "base/errors.h"

namespace quoin::client {
namespace {

std::string CreateRequest(const WatchOptions& options, int64_t start_revision) {
  pb::WatchRequest request;
  pb::WatchCreateRequest& create = *request.mutable_create_request();
  create.set_key(options.key);
  create.set_range_end(options.range_end);
  create.set_start_revision(start_revision);
  create.set_prev_kv(options.prev_kv);
  create.set_progress_notify(options.progress_notify);
  if (options.no_puts) create.add_filters(pb::WatchCreateRequest::NOPUT);
  if (options.no_deletes) create.add_filters(pb::WatchCreateRequest::NODELETE);
  return request.SerializeAsString();
}

// Errors that the next endpoint, or the same one later, may not have.
bool MayPass(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kPermissionDenied:
    case StatusCode::kUnauthenticated:
    case StatusCode::kUnimplemented:
      return false;
    default:
      return true;
  }
}

}  // namespace

Watcher::Watcher(AsyncClient& client, env::Executor& loop, WatchOptions options, Handler& handler)
    : options_(std::move(options)),
      handler_(handler),
      next_revision_(options_.start_revision),
      stream_(client, loop, kWatch, *this) {
  stream_.Open();
}

void Watcher::Pause() {
  paused_ = true;
  stream_.Close();
}

void Watcher::Resume() {
  if (!std::exchange(paused_, false) || ended_) return;
  stream_.Open();
}

void Watcher::RequestProgress() {
  pb::WatchRequest request;
  request.mutable_progress_request();
  stream_.Send(request.SerializeAsString());
}

void Watcher::OnOpened() { stream_.Send(CreateRequest(options_, next_revision_)); }

void Watcher::OnMessage(std::string_view message) {
  pb::WatchResponse response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return End(absl::InternalError("malformed response message"), 0);
  }
  if (response.canceled()) {
    if (response.compact_revision() > 0)
      return End(errors::Compacted(), response.compact_revision());
    return End(absl::CancelledError(response.cancel_reason()), 0);
  }
  if (response.created()) {
    // A watch of the present begins behind the revision that its answer names.
    if (next_revision_ == 0) next_revision_ = response.header().revision() + 1;
    if (!std::exchange(created_, true)) handler_.OnCreated(next_revision_);
    return;
  }
  const int64_t seen = response.events_size() > 0
                           ? response.events(response.events_size() - 1).kv().mod_revision()
                           : response.header().revision();
  next_revision_ = std::max(next_revision_, seen + 1);
  handler_.OnEvents(response);
}

bool Watcher::OnBroken(const Status& status) {
  if (MayPass(status)) return true;
  End(status, 0);
  return false;
}

void Watcher::End(const Status& status, int64_t compact_revision) {
  ended_ = true;
  stream_.Close();
  handler_.OnEnd(status, compact_revision);
}

Watch::Watch(Client& client, WatchOptions options, std::function<void()> on_ready)
    : client_(client), on_ready_(std::move(on_ready)) {
  client_.OnLoop([&](AsyncClient& async) {
    watcher_.reset(new Watcher(async, client_.loop(), std::move(options), *this));
  });
}

Watch::~Watch() {
  client_.OnLoop([&](AsyncClient&) { watcher_.reset(); });
}

// False: neither `timeout` nor `stop` left time for it.
bool Watch::Await(Lock& lock, Client::Timeout timeout, const std::stop_token& stop,
                  absl::FunctionRef<bool()> over) {
  return timeout ? changed_.wait_for(lock, stop, *timeout, over) : changed_.wait(lock, stop, over);
}

Status Watch::WaitCreated(Client::Timeout timeout, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!Await(lock, timeout, stop, [this] { return created_ || end_; })) {
    if (stop.stop_requested()) return StoppedWaiting();
    return absl::DeadlineExceededError("context deadline exceeded");
  }
  return created_ ? OkStatus() : *end_;
}

void Watch::RequestProgress() {
  client_.OnLoop([this](AsyncClient&) { watcher_->RequestProgress(); });
}

StatusOr<std::optional<pb::WatchResponse>> Watch::Next(Client::Timeout timeout,
                                                       const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!Await(lock, timeout, stop, [this] { return !queue_.empty() || end_; })) {
    if (stop.stop_requested()) return StoppedWaiting();
    return std::nullopt;
  }
  if (queue_.empty()) return *end_;
  pb::WatchResponse response = std::move(queue_.front());
  queue_.pop_front();
  queue_bytes_ -= response.ByteSizeLong();
  const bool resume = paused_ && queue_.empty();
  if (resume) paused_ = false;
  lock.unlock();
  if (resume) client_.OnLoop([this](AsyncClient&) { watcher_->Resume(); });
  return response;
}

int64_t Watch::compact_revision() const {
  std::lock_guard lock(mutex_);
  return compact_revision_;
}

void Watch::OnCreated(int64_t) {
  std::lock_guard lock(mutex_);
  created_ = true;
  changed_.notify_all();
}

void Watch::OnEvents(const pb::WatchResponse& response) {
  std::unique_lock lock(mutex_);
  queue_bytes_ += response.ByteSizeLong();
  queue_.push_back(response);
  if (queue_bytes_ > kQueueBytesMax && !std::exchange(paused_, true)) watcher_->Pause();
  changed_.notify_all();
  lock.unlock();
  if (on_ready_) on_ready_();
}

void Watch::OnEnd(const Status& status, int64_t compact_revision) {
  std::unique_lock lock(mutex_);
  end_ = status;
  compact_revision_ = compact_revision;
  changed_.notify_all();
  lock.unlock();
  if (on_ready_) on_ready_();
}

}  // namespace quoin::client

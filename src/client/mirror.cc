#include "client/mirror.h"

#include <utility>

namespace quoin::client {
namespace {

constexpr env::Duration kRetryPause = std::chrono::milliseconds(200);

}  // namespace

Mirror::Mirror(Client& client, Options options) : client_(client), options_(std::move(options)) {
  client_.OnLoop([&](AsyncClient& async) {
    async_ = &async;
    Load();
  });
}

Mirror::~Mirror() {
  client_.OnLoop([&](AsyncClient&) {
    lifeline_.Cut();
    client_.loop().Cancel(retry_);
    watcher_.reset();
  });
}

MirroredMap Mirror::Get() const {
  std::lock_guard lock(mutex_);
  return map_;
}

int64_t Mirror::revision() const {
  std::lock_guard lock(mutex_);
  return revision_;
}

bool Mirror::WaitFor(Client::Timeout timeout,
                     absl::FunctionRef<bool(const MirroredMap&)> condition) const {
  std::unique_lock lock(mutex_);
  const auto over = [&] { return revision_ != 0 && condition(map_); };
  if (timeout) return changed_.wait_for(lock, *timeout, over);
  changed_.wait(lock, over);
  return true;
}

void Mirror::Load() {
  pb::RangeRequest request;
  request.set_key(options_.key);
  request.set_range_end(options_.range_end);
  async_->Unary(kRange, request.SerializeAsString(), std::nullopt,
                lifeline_.Tie([this](const StatusOr<std::string>& answer) { OnLoaded(answer); }));
}

void Mirror::OnLoaded(const StatusOr<std::string>& answer) {
  pb::RangeResponse response;
  if (!answer.ok() || !response.ParseFromString(*answer)) {
    retry_ = client_.loop().RunAfter(kRetryPause, [this] { Load(); });
    return;
  }
  MirroredMap fresh;
  for (const mvccpb::KeyValue& kv : response.kvs()) {
    fresh.emplace(kv.key(), MirroredValue{kv.value(), kv.mod_revision()});
  }
  Replace(std::move(fresh), response.header().revision());
  WatchOptions watch;
  watch.key = options_.key;
  watch.range_end = options_.range_end;
  watch.start_revision = response.header().revision() + 1;
  watch.progress_notify = true;
  watcher_.reset(new Watcher(*async_, client_.loop(), std::move(watch), *this));
}

// All that is there now; what differs from before is told as a change.
void Mirror::Replace(MirroredMap fresh, int64_t revision) {
  std::vector<MirrorChange> changes;
  for (const auto& [key, old] : map_) {
    if (!fresh.contains(key)) changes.push_back({key, std::nullopt});
  }
  for (const auto& [key, now] : fresh) {
    auto old = map_.find(key);
    if (old == map_.end() || old->second != now) changes.push_back({key, now.value});
  }
  {
    std::lock_guard lock(mutex_);
    map_ = std::move(fresh);
    revision_ = revision;
    changed_.notify_all();
  }
  if (options_.on_change && !changes.empty()) options_.on_change(changes);
}

void Mirror::OnEvents(const pb::WatchResponse& response) {
  std::vector<MirrorChange> changes;
  {
    std::lock_guard lock(mutex_);
    for (const mvccpb::Event& event : response.events()) {
      const mvccpb::KeyValue& kv = event.kv();
      if (event.type() == mvccpb::Event::DELETE) {
        map_.erase(kv.key());
        changes.push_back({kv.key(), std::nullopt});
      } else {
        map_.insert_or_assign(kv.key(), MirroredValue{kv.value(), kv.mod_revision()});
        changes.push_back({kv.key(), kv.value()});
      }
    }
    revision_ = watcher_->next_revision() - 1;
    changed_.notify_all();
  }
  if (options_.on_change && !changes.empty()) options_.on_change(changes);
}

// What we missed was compacted, or the server will not go on: begin anew, once this watcher is off
// the stack.
void Mirror::OnEnd(const Status&, int64_t) {
  retry_ = client_.loop().RunAfter(kRetryPause, [this] {
    watcher_.reset();
    Load();
  });
}

}  // namespace quoin::client

#include "api/watch_service.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/types/span.h"
#include "api/leader_watch.h"
#include "api/watch_hub.h"
#include "base/check.h"
#include "base/errors.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/rpc.pb.h"

namespace quoin::api {
namespace {

constexpr int64_t kNoWatch = -1;  // the stream as a whole, or a watcher that was not made
constexpr std::string_view kEverything("\0", 1);
// Keys of a watcher that take no more are part of what any watcher costs.
constexpr size_t kSmallKeysBytes = 256;
// A head without its reason: the header's four numbers and its own five, each with a tag.
constexpr size_t kHeadBytesMax = 2 + 4 * 11 + 5 * 11;

// WatchResponse, but for its events. Value type.
struct Head {
  int64_t revision = 0;
  int64_t watch_id = 0;
  bool created = false, canceled = false;
  int64_t compact_revision = 0;
  std::string_view cancel_reason;
  bool fragment = false;
};

class WatchCall final : public rpc::CallHandler, private watch::Sink {
 public:
  WatchCall(const Context& context, rpc::ServerCall& call)
      : frontend_(context.FrontendOf(call.executor())),
        hub_(context.WatchesOf(call.executor())),
        call_(call),
        leader_watch_(call, frontend_, [this](const Status& lost) { End(lost); }) {}
  ~WatchCall() override { Close(); }

  void OnMessage(std::string_view message) override {
    if (closed_) return;
    if (!std::exchange(admitted_, true)) {
      Status status = AdmitCall(call_, frontend_, /*learner_may=*/false);
      if (!status.ok()) return End(status);
    }
    etcdserverpb::WatchRequest request;
    if (!state::ParseDeep(message, request)) return End(UnmarshalError());
    if (request.has_create_request()) return Create(request.create_request());
    if (request.has_cancel_request()) return Cancel(request.cancel_request().watch_id());
    if (request.has_progress_request()) return Progress();
  }
  void OnDrained() override {
    if (!closed_) hub_.set().OnDrained(*this);
  }
  void OnCancel(const Status&) override { Close(); }

 private:
  struct Entry {
    watch::Watcher* watcher = nullptr;  // null: compaction has ended it
    size_t keys_bytes = 0;              // as they count
    bool progress_notify = false;
    bool fragment = false;
    bool had_events = false;  // since the last tick
  };

  void Create(const etcdserverpb::WatchCreateRequest& request) {
    watch::WatchOptions options;
    options.key = request.key().empty() ? std::string(kEverything) : request.key();
    options.range_end = request.range_end();
    options.start_revision = request.start_revision();
    options.prev_kv = request.prev_kv();
    for (int filter : request.filters()) {
      if (filter == etcdserverpb::WatchCreateRequest::NOPUT) options.puts = false;
      if (filter == etcdserverpb::WatchCreateRequest::NODELETE) options.deletes = false;
    }
    if (request.start_revision() < 0)
      return Refuse("etcdserver: mvcc: required revision has been compacted");
    const bool ends = !options.range_end.empty() && options.range_end != kEverything;
    if (ends && options.key >= options.range_end) return Refuse("mvcc: watcher range is empty");
    int64_t id = request.watch_id();
    if (id != 0 && entries_.contains(id))
      return Refuse("mvcc: duplicate watch ID provided on the WatchStream");
    const size_t both = options.key.size() + options.range_end.size();
    const size_t keys_bytes = both > kSmallKeysBytes ? both : 0;
    if (!call_.SetStandingBytes(keys_bytes_ + keys_bytes))
      return Refuse(std::string(errors::TooManyRequests().message()));
    keys_bytes_ += keys_bytes;
    if (id == 0) {
      while (entries_.contains(next_id_)) ++next_id_;
      id = next_id_++;
    }
    Send({.revision = frontend_.store().current_revision(), .watch_id = id, .created = true}, {});
    Entry& entry = entries_[id];
    entry.keys_bytes = keys_bytes;
    entry.progress_notify = request.progress_notify();
    entry.fragment = request.fragment();
    if (entry.progress_notify && tick_.value == 0) ScheduleTick();
    entry.watcher = &hub_.Add(*this, std::move(options));
    entry.watcher->id = id;
  }

  void Refuse(std::string_view reason) {
    Send({.revision = frontend_.store().current_revision(),
          .watch_id = kNoWatch,
          .created = true,
          .canceled = true,
          .cancel_reason = reason},
         {});
  }

  void Cancel(int64_t id) {
    auto found = entries_.find(id);
    if (found == entries_.end()) return;
    if (found->second.watcher != nullptr) hub_.Remove(*found->second.watcher);
    FreeKeys(found->second);
    entries_.erase(found);
    Send({.revision = frontend_.store().current_revision(), .watch_id = id, .canceled = true}, {});
  }

  void FreeKeys(Entry& entry) {
    keys_bytes_ -= std::exchange(entry.keys_bytes, 0);
    CHECK(call_.SetStandingBytes(keys_bytes_)) << "less than before";
  }

  // One answer for the whole stream, if everybody on it is where the store is.
  void Progress() {
    bool any = false;
    for (const auto& [id, entry] : entries_) {
      if (entry.watcher == nullptr) continue;
      if (!hub_.set().IsSynced(*entry.watcher)) return;
      any = true;
    }
    if (any) Send({.revision = hub_.set().revision(), .watch_id = kNoWatch}, {});
  }

  // Each tick comes up to a tenth late, so that streams that began together do not stay together.
  void ScheduleTick() {
    const env::Duration interval = frontend_.config().watch_progress_interval;
    const auto late = static_cast<int64_t>(
        hub_.random().Next() % static_cast<uint64_t>(std::max<int64_t>(interval.count() / 10, 1)));
    tick_ = frontend_.loop().RunAfter(interval + env::Duration(late), [this] {
      tick_ = {};
      for (auto& [id, entry] : entries_) {
        if (!entry.progress_notify || std::exchange(entry.had_events, false)) continue;
        if (entry.watcher != nullptr && hub_.set().IsSynced(*entry.watcher) && CanTake())
          Send({.revision = hub_.set().revision(), .watch_id = id}, {});
      }
      ScheduleTick();
    });
  }

  // --- watch::Sink ---
  // False exactly when OnDrained is owed.
  bool CanTake() const override { return call_.has_room(); }

  void OnEvents(watch::Watcher& watcher, int64_t revision,
                const std::vector<watch::Delivery>& events) override {
    Entry& entry = entries_.at(watcher.id);
    entry.had_events = true;
    Head head{.revision = revision, .watch_id = watcher.id};
    if (entry.fragment) return SendFragments(head, events);
    SendRevisions(head, events);
  }

  // Many revisions at once leave in several messages, each of whole ones: clients take no more than
  // 4 MiB in one unless they say so, and etcd sends live revisions one by one.
  void SendRevisions(Head head, absl::Span<const watch::Delivery> events) {
    const int64_t revision = head.revision;
    size_t begin = 0, bytes = 0;
    for (size_t at = 0; at < events.size();) {
      size_t end = at, more = 0;
      for (; end < events.size() && events[end].revision == events[at].revision; ++end)
        more += events[end].element.size();
      if (at > begin && bytes + more > limits::kWatchResponseBytes) {
        head.revision = events[at - 1].revision;  // who resumes after it misses nothing
        Send(head, events.subspan(begin, at - begin));
        begin = at;
        bytes = 0;
      }
      bytes += more;
      at = end;
    }
    head.revision = revision;
    Send(head, events.subspan(begin));
  }

  // As many events as fit in a message, but at least one.
  void SendFragments(Head head, const std::vector<watch::Delivery>& events) {
    const size_t bytes_max = frontend_.config().request_bytes_max + limits::kGrpcOverheadBytes;
    std::string encoded_head;
    AppendHead(head, encoded_head);
    const size_t head_bytes = encoded_head.size() + 2;  // with `fragment`
    std::vector<watch::Delivery> part;
    size_t bytes = head_bytes;
    for (const watch::Delivery& event : events) {
      if (!part.empty() && bytes + event.element.size() >= bytes_max) {
        head.fragment = true;
        Send(head, part);
        part.clear();
        bytes = head_bytes;
      }
      part.push_back(event);
      bytes += event.element.size();
    }
    head.fragment = false;
    Send(head, part);
  }

  void OnCompacted(watch::Watcher& watcher, int64_t compact_revision) override {
    Entry& entry = entries_.at(watcher.id);
    entry.watcher = nullptr;
    FreeKeys(entry);
    hub_.NoteGone();
    Send({.watch_id = watcher.id, .canceled = true, .compact_revision = compact_revision}, {});
  }

  void AppendHead(const Head& head, std::string& out) const {
    AppendHeader(frontend_.info(), head.revision, out);
    wire::PutUintNonZero(out, 2, static_cast<uint64_t>(head.watch_id));
    wire::PutUintNonZero(out, 3, head.created);
    wire::PutUintNonZero(out, 4, head.canceled);
    wire::PutUintNonZero(out, 5, static_cast<uint64_t>(head.compact_revision));
    wire::PutBytesNonEmpty(out, 6, head.cancel_reason);
    wire::PutUintNonZero(out, 7, head.fragment);
  }

  void Send(const Head& head, absl::Span<const watch::Delivery> events) {
    size_t bytes = kHeadBytesMax + head.cancel_reason.size();
    for (const watch::Delivery& event : events) bytes += event.element.size();
    std::string message;
    message.reserve(bytes);
    AppendHead(head, message);
    for (const watch::Delivery& event : events) message += event.element;
    call_.Send(std::move(message));
  }

  void End(const Status& status) {
    if (closed_) return;
    Close();
    call_.Finish(status);
  }
  void Close() {
    if (std::exchange(closed_, true)) return;
    frontend_.loop().Cancel(tick_);
    for (auto& [id, entry] : entries_) {
      if (entry.watcher != nullptr) hub_.Remove(*entry.watcher);
    }
    entries_.clear();
    hub_.set().Forget(*this);
  }

  server::Frontend& frontend_;
  WatchHub& hub_;
  rpc::ServerCall& call_;
  LeaderWatch leader_watch_;
  std::map<int64_t, Entry> entries_;
  size_t keys_bytes_ = 0;  // of all of them, as they count
  int64_t next_id_ = 0;
  env::TimerId tick_;
  bool admitted_ = false;
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewWatchCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<WatchCall>(context, call);
}

}  // namespace quoin::api

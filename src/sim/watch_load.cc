// Watchers over gRPC, by way of any member: from now on or from long ago, of all keys or some. When
// a stream ends they go on at another member behind what they were told. What they were told is
// what happened (sim/watch_check.h), and in the end all of it.
#include <string>
#include <utility>
#include <vector>

#include "proto/rpc.pb.h"
#include "sim/watch_check.h"
#include "sim/workload.h"

namespace quoin::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Watcher final : public rpc::ClientStream::Handler {
 public:
  Watcher(const Stage& stage, std::string key, std::string range_end, bool fragments)
      : fleet_(stage.fleet),
        observer_(stage.observer),
        clients_(stage.clients),
        key_(key),
        range_end_(range_end),
        fragments_(fragments),
        log_(key, range_end) {}

  // On the clients' loop, like all below.
  void Open(Host& host);
  void AskProgress();
  // Away from where it is; it will be opened elsewhere.
  void Close();
  bool open() const { return stream_ != nullptr; }
  void OnMessage(std::string_view message) override;
  void OnEnd(const Status&) override;

  const WatchLog& log() const { return log_; }
  const std::string& host() const { return host_; }

 private:
  void OnCreated(const etcdserverpb::WatchResponse& response);
  void OnCancelled(const etcdserverpb::WatchResponse& response);
  void CloseSoon();

  Fleet& fleet_;
  Observer& observer_;
  Clients& clients_;
  const std::string key_, range_end_;
  const bool fragments_;
  WatchLog log_;
  std::unique_ptr<rpc::ClientStream> stream_;
  uint64_t streams_ = 0;  // opened so far
  std::string host_;
  int64_t asked_from_ = 0;
};

void Watcher::Open(Host& host) {
  asked_from_ = log_.next();
  // The first time: from now on, or from somewhere in what is known.
  if (!log_.started() && fleet_.random().Chance(0.5))
    asked_from_ = 1 + static_cast<int64_t>(fleet_.random().Below(
                          static_cast<uint64_t>(observer_.history().known())));
  host_ = host.machine->host();
  ++streams_;
  stream_ = clients_.To(host).Stream("/etcdserverpb.Watch/Watch", {}, *this);
  etcdserverpb::WatchRequest request;
  etcdserverpb::WatchCreateRequest& create = *request.mutable_create_request();
  create.set_key(key_);
  create.set_range_end(range_end_);
  create.set_start_revision(asked_from_);
  create.set_prev_kv(true);
  create.set_fragment(fragments_);
  create.set_progress_notify(true);
  stream_->Send(request.SerializeAsString());
}

void Watcher::AskProgress() {
  if (stream_ == nullptr) return;
  etcdserverpb::WatchRequest request;
  request.mutable_progress_request();
  stream_->Send(request.SerializeAsString());
}

void Watcher::OnMessage(std::string_view message) {
  etcdserverpb::WatchResponse response;
  if (!response.ParseFromString(std::string(message)))
    return fleet_.Fail("a response that does not parse");
  if (response.created()) return OnCreated(response);
  if (response.canceled()) return OnCancelled(response);
  if (!log_.started()) return fleet_.Fail("a watcher is told something before it is created");
  if (auto wrong = log_.Take(response, fragments_))
    fleet_.Fail("a watcher at " + host_ + ": " + *wrong);
  fleet_.result().watch_events += static_cast<size_t>(response.events_size());
}

void Watcher::OnCreated(const etcdserverpb::WatchResponse& response) {
  if (log_.started()) return;
  log_.StartAt(asked_from_ != 0 ? asked_from_ : response.header().revision() + 1);
}

void Watcher::OnCancelled(const etcdserverpb::WatchResponse& response) {
  const int64_t compacted = response.compact_revision();
  if (compacted > 0) {
    if (compacted <= log_.next())
      return fleet_.Fail("a watcher lost what was not compacted, from " +
                         std::to_string(log_.next()) + " on");
    if (compacted > observer_.compaction_asked())
      return fleet_.Fail("a watcher was told of a compaction that nobody asked for");
    log_.Break();
    log_.StartAt(compacted);
  }
  CloseSoon();
}

void Watcher::OnEnd(const Status&) { CloseSoon(); }

void Watcher::Close() {
  stream_.reset();
  log_.Break();
}

// Not from the stream's own callback.
void Watcher::CloseSoon() {
  clients_.loop().Post([this, stream = streams_] {
    if (stream == streams_) Close();
  });
}

class WatchLoad final : public Workload {
 public:
  explicit WatchLoad(const Stage& stage) : stage_(stage), fleet_(stage.fleet) {}
  ~WatchLoad() override {
    for (auto& watcher : watchers_) watcher->Close();
  }

  void Setup() override;
  void Start(Host& host) override;
  void Check() override;

 private:
  Prng& random() { return fleet_.random(); }
  bool WaitUntilAllIsTold();

  const Stage stage_;
  Fleet& fleet_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
};

void WatchLoad::Setup() {
  const uint64_t count = 1 + random().Below(4);
  for (uint64_t i = 0; i < count; ++i) {
    const bool all = random().Chance(0.6);
    watchers_.push_back(std::make_unique<Watcher>(stage_, all ? std::string(1, '\1') : "k",
                                                  all ? "\xff" : "k5", random().Chance(0.3)));
  }
}

void WatchLoad::Start(Host& host) {
  if (!host.machine->serving()) return;
  stage_.clients.loop().Post([this, &host] {
    for (auto& watcher : watchers_) {
      if (watcher->open() && random().Chance(0.05)) watcher->Close();
      if (!watcher->open() && random().Chance(0.5)) watcher->Open(host);
      if (random().Chance(0.1)) watcher->AskProgress();
    }
  });
}

// Where nothing comes for a while a client tries elsewhere: its member may have left the cluster.
bool WatchLoad::WaitUntilAllIsTold() {
  const History& history = stage_.observer.history();
  for (int round = 0; round < 30; ++round) {
    bool complete = true;
    for (auto& watcher : watchers_) {
      if (watcher->open() && watcher->log().Complete(history)) continue;
      complete = false;
      Host* host = fleet_.AnyMemberUp();
      if (host == nullptr || !host->machine->serving()) continue;
      stage_.clients.loop().Post([host, round, watcher = watcher.get()] {
        if (round > 3 && round % 4 == 0) watcher->Close();
        if (!watcher->open()) watcher->Open(*host);
      });
    }
    if (complete) return true;
    fleet_.world().RunFor(seconds(1));
    for (auto& host : fleet_.hosts()) stage_.observer.Learn(*host);
  }
  return false;
}

void WatchLoad::Check() {
  if (!WaitUntilAllIsTold()) return fleet_.Fail("never: watchers are told everything");
  for (auto& host : fleet_.hosts()) stage_.observer.Learn(*host);
  for (auto& watcher : watchers_) {
    auto wrong =
        watcher->log().Verify(stage_.observer.history(), stage_.observer.compaction_asked());
    if (wrong) fleet_.Fail("a watcher, last at " + watcher->host() + ": " + *wrong);
  }
}

}  // namespace

std::unique_ptr<Workload> NewWatchLoad(const Stage& stage) {
  return std::make_unique<WatchLoad>(stage);
}

}  // namespace quoin::sim

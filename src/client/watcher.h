// Watcher: one watch of a key or an interval that outlives connections: each event is delivered
// once, in order, whatever breaks in between. Watch: its waiting form.
//
// Source: etcd's Watch service; guarantees as in its documentation (ordered, unique, reliable,
// atomic, resumable).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "client/client.h"
#include "client/lasting_stream.h"

namespace quoin::client {

struct WatchOptions {
  std::string key;
  std::string range_end;       // as in RangeRequest; PrefixEnd(key) for all that begins with key
  int64_t start_revision = 0;  // 0 = what happens from now on
  bool prev_kv = false;
  bool progress_notify = false;  // an empty response now and then says up to where all is known
  bool no_puts = false;
  bool no_deletes = false;
};

// Thread: the loop of its AsyncClient.
class Watcher : private LastingStream::User {
 public:
  // Outlives the watcher; may destroy it inside a callback only by posting.
  class Handler {
   public:
    virtual ~Handler() = default;
    // The watch stands: events from `revision` on will come. Once.
    virtual void OnCreated([[maybe_unused]] int64_t revision) {}
    // Events of whole revisions, ascending; or none, with header.revision = all up to it was sent.
    virtual void OnEvents(const pb::WatchResponse& response) = 0;
    // The server will not go on: OutOfRange with `compact_revision` > 0 when what was asked for has
    // been compacted, otherwise the server's refusal. Nothing comes after it.
    virtual void OnEnd(const Status& status, int64_t compact_revision) = 0;
  };

  Watcher(AsyncClient& client, env::Executor& loop, WatchOptions options, Handler& handler);

  // Lets go of the stream, and takes it up again where it was: for a handler that cannot take more.
  void Pause();
  void Resume();
  // Asks the server to say now up to where all events have been sent (Handler::OnEvents without
  // events). Nothing is asked while no server is reached.
  void RequestProgress();
  // The first revision whose events were not delivered; 0 = not known yet.
  int64_t next_revision() const { return next_revision_; }

 private:
  void OnOpened() override;
  void OnMessage(std::string_view message) override;
  bool OnBroken(const Status& status) override;
  void End(const Status& status, int64_t compact_revision);

  const WatchOptions options_;
  Handler& handler_;
  int64_t next_revision_;
  bool created_ = false;
  bool paused_ = false;
  bool ended_ = false;
  LastingStream stream_;
};

// What a watch says, one response at a time, for threads that wait. Holds at most
// kQueueBytesMax of responses: beyond that the watch pauses and goes on when they are taken.
//
// Thread: any but the client's loop.
class Watch : private Watcher::Handler {
 public:
  static constexpr size_t kQueueBytesMax = 4 << 20;

  // `on_ready` (may be empty) runs on the client's loop whenever Next() has something new to give:
  // for a thread that waits for several watches.
  Watch(Client& client, WatchOptions options, std::function<void()> on_ready = nullptr);
  ~Watch();

  // Waits until the watch stands, so that what happens afterwards will be seen.
  Status WaitCreated(Client::Timeout timeout, const std::stop_token& stop = {});
  // The next response; nullopt when none came within `timeout`; StoppedWaiting() when `stop` came
  // first; an error once, at the end (compact_revision() then tells more).
  StatusOr<std::optional<pb::WatchResponse>> Next(Client::Timeout timeout,
                                                  const std::stop_token& stop = {});
  // See Watcher.
  void RequestProgress();
  int64_t compact_revision() const;

 private:
  void OnCreated(int64_t revision) override;
  void OnEvents(const pb::WatchResponse& response) override;
  void OnEnd(const Status& status, int64_t compact_revision) override;

  Client& client_;
  const std::function<void()> on_ready_;
  std::unique_ptr<Watcher> watcher_;  // the loop's
  using Lock = std::unique_lock<std::mutex>;
  bool Await(Lock& lock, Client::Timeout timeout, const std::stop_token& stop,
             absl::FunctionRef<bool()> over);
  // Between the loop and the threads that wait.
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<pb::WatchResponse> queue_;
  size_t queue_bytes_ = 0;
  bool paused_ = false;
  bool created_ = false;
  std::optional<Status> end_;
  int64_t compact_revision_ = 0;
};

}  // namespace quoin::client

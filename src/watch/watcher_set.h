// WatcherSet: the watchers of one I/O loop, as cursors over revisions.
//
// A watcher is live when it has been given everything up to the newest published revision: it then
// gets events straight from the batches. Every other one is behind: it reads on from the store, in
// slices, at the pace of its stream, until it is live again. Whoever is slow becomes one of those;
// nobody waits for it, and no event is kept for it.
//
// There are WatcherSet, Sink (a client's stream) and History (where those who are behind read).
//
// Thread: its I/O loop.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "base/lifeline.h"
#include "base/shared_bytes.h"
#include "base/status.h"
#include "base/string_hash.h"
#include "watch/events.h"
#include "watch/interval_map.h"

namespace quoin::watch {

class Watcher;

// A client's stream. Outlives its watchers.
class Sink {
 public:
  virtual ~Sink() = default;
  // False: it has as much waiting as it may; WatcherSet::OnDrained says when that is over.
  virtual bool CanTake() const = 0;
  // Events of whole revisions, ascending, never none. `revision`: the store's, or the last event's.
  virtual void OnEvents(Watcher& watcher, int64_t revision,
                        const std::vector<Delivery>& events) = 0;
  // What the watcher would have had next was compacted: it has been removed.
  virtual void OnCompacted(Watcher& watcher, int64_t compact_revision) = 0;
};

struct WatchOptions {
  std::string key;
  std::string range_end;       // etcd's convention: empty = the key alone, "\0" = all from key on
  int64_t start_revision = 0;  // 0 = what comes from now on
  bool prev_kv = false;
  bool puts = true, deletes = true;
};

// What a watcher that is behind wants to read. Value type.
struct HistoryRequest {
  std::string key, range_end;
  int64_t from = 0;
  bool prev_kv = false, puts = true, deletes = true;
  // What its response still takes; whole revisions, at least one.
  size_t revisions_max = mvcc::HistoryQuery().revisions_max;
  size_t bytes_max = mvcc::HistoryQuery().bytes_max;
};
struct HistoryEvent {
  int64_t revision = 0;
  std::string element;
};
struct HistoryAnswer {
  std::vector<HistoryEvent> events;
  size_t revisions = 0;  // of its keys, with those of which it wants no event
  bool full = false;     // a response takes no more
  int64_t next = 0;      // everything below was looked at
  int64_t revision = 0;  // the store's
  // Set: what was asked for has been compacted.
  std::optional<int64_t> compact_revision;
};

// Reads what is past, elsewhere: never inside the call. Outlives the set.
class History {
 public:
  using Done = absl::AnyInvocable<void(HistoryAnswer)>;
  virtual ~History() = default;
  virtual void Read(HistoryRequest request, Done done) = 0;
  // The record of `key` before `revision`, as prev_kv shows it (empty: there is none), if that can
  // be told at once.
  virtual std::optional<std::string> PreviousNow(std::string_view key, int64_t revision) = 0;
};

// Thread: its I/O loop. Owned by its set.
class Watcher {
 public:
  Sink& sink() const { return *sink_; }
  bool live() const { return live_; }
  // For the sink's own use.
  int64_t id = 0;

 private:
  friend class WatcherSet;
  Sink* sink_ = nullptr;
  SharedBytes key_, range_end_;  // shared with the list that it is in
  WatchOptions options_;         // without these
  uint64_t number_ = 0;          // never given twice
  bool live_ = false;
  int64_t next_ = 0;               // it has had everything below; told anew when it falls behind
  size_t place_ = 0;               // in the list of its key or interval
  std::vector<uint32_t> matched_;  // of the batch under way
  // Read and not told yet: what the next response will hold.
  std::vector<HistoryEvent> held_;
  size_t held_revisions_ = 0, held_bytes_ = 0;
};

class WatcherSet {
 public:
  explicit WatcherSet(History& history) : history_(history) {}
  // `current`: the store's published revision as this loop knows it. Deliveries begin after the
  // call.
  Watcher& Add(Sink& sink, WatchOptions options, int64_t current);
  void Remove(Watcher& watcher);

  // The store has moved on; `batch` may be null: then everybody reads it from the store.
  void OnPublished(int64_t revision, const Batch* batch);
  void OnDrained(Sink& sink);
  // The sink goes away; its watchers have been removed.
  void Forget(Sink& sink);

  // The watcher has had everything, and its start is not in the future.
  bool IsSynced(const Watcher& watcher) const {
    return watcher.live_ && watcher.options_.start_revision <= revision_;
  }
  int64_t revision() const { return revision_; }
  size_t size() const { return watchers_.size(); }

 private:
  using Intervals = IntervalMap<Watcher*>;

  // Of a watcher of more than one key.
  static Intervals::Interval IntervalOf(const Watcher& watcher);
  std::vector<Watcher*>& ListOf(const Watcher& watcher);
  void Unlist(Watcher& watcher);
  void Match(const Batch& batch);
  void Deliver(const Batch& batch);
  bool DeliverTo(Watcher& watcher, const Batch& batch);
  // The shared bytes of event `at`, with prev_kv or without; nullptr: that cannot be told at once.
  const std::string* ElementOf(const Batch& batch, uint32_t at, bool with_previous);

  void FallBehind(Watcher& watcher, int64_t next);
  // Of the watchers of one sink that are behind, one reads at a time: what waits for a stream is
  // bounded by one slice beyond what the stream takes, and streams are served in turn, however many
  // watchers they have.
  struct Line {
    Sink* sink = nullptr;          // null: it has gone
    std::deque<uint64_t> numbers;  // who is behind and does not read
    bool busy = false;             // one of them reads, or the line is in `ready_`
  };

  void ReadOn(Watcher& watcher);
  void MakeReady(const std::shared_ptr<Line>& line);
  void StartReads();
  void OnRead(const std::shared_ptr<Line>& line, uint64_t number, HistoryAnswer answer);
  void Continue(uint64_t number, HistoryAnswer answer);
  void Hold(Watcher& watcher, HistoryAnswer& answer);
  void LetGo(Watcher& watcher);
  bool DeliverHeld(Watcher& watcher, int64_t revision);

  History& history_;
  int64_t revision_ = 0;  // published and delivered to the live
  std::map<uint64_t, std::unique_ptr<Watcher>> watchers_;
  uint64_t next_number_ = 1;
  absl::flat_hash_map<SharedBytes, std::vector<Watcher*>, StringHash, StringEqual>
      by_key_;  // looked up only
  Intervals by_interval_;

  // The batch under way:
  std::vector<Watcher*> matched_;
  struct Encoded {
    std::optional<std::string> plain, with_previous;
  };
  std::vector<Encoded> encoded_;
  std::vector<Delivery> deliveries_;

  std::map<Sink*, std::shared_ptr<Line>> lines_;
  std::deque<std::shared_ptr<Line>> ready_;  // somebody in it can read
  size_t reads_ = 0;                         // under way
  size_t held_bytes_ = 0;                    // of all watchers
  Lifeline lifeline_;
};

}  // namespace quoin::watch

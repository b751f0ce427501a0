// WatchLog: what one watcher was told, over all its streams, and whether it is what happened: in
// order, each change once, none left out, each with what was there before.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/rpc.pb.h"
#include "sim/history.h"

namespace quoin::sim {

// Thread: one.
class WatchLog {
 public:
  // Keys of [key, range_end), from that revision on.
  WatchLog(std::string key, std::string range_end) : key_(key), range_end_(range_end) {}

  // Everything from here on is to be told. Behind next(): what was compacted is left out.
  void StartAt(int64_t revision);
  bool started() const { return next_ > 0; }
  // What nobody has told yet begins here.
  int64_t next() const { return next_; }

  // What is wrong with it at first sight, if anything.
  std::optional<std::string> Take(const etcdserverpb::WatchResponse& response, bool fragments);
  // The stream is gone: half a revision that it told is told again.
  void Break();

  // With the whole history: what is wrong, if anything is. `compacted`: the highest compaction that
  // anybody asked for.
  std::optional<std::string> Verify(const History& history, int64_t compacted) const;
  // Whether all of the history has been told.
  bool Complete(const History& history) const;
  size_t events() const { return events_.size(); }

 private:
  struct Event {
    int64_t revision;
    std::string key;
    std::optional<std::string> value;  // nullopt: deleted
    std::optional<Held> previous;
  };
  // All up to `to` has been told, once `events` were; or it is left out.
  struct Mark {
    size_t events;
    int64_t from, to;
    bool left_out;
  };
  bool Watches(const std::string& key) const { return key >= key_ && key < range_end_; }
  std::optional<std::string> VerifyRevision(const History& history, int64_t revision, size_t& at,
                                            int64_t compacted) const;

  const std::string key_, range_end_;
  int64_t next_ = 0;
  std::vector<Event> events_;
  std::vector<Mark> marks_;
};

}  // namespace quoin::sim

// WatchHub: the watchers of one I/O loop and where those who are behind read: the store, on the
// storage loop, in slices.
//
// Thread: its I/O loop; made before and destroyed after the loop runs calls.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/prng.h"
#include "server/node.h"
#include "watch/watcher_set.h"

namespace quoin::api {

class WatchHub final : private watch::History {
 public:
  WatchHub(server::Node& node, server::Frontend& frontend);

  watch::Watcher& Add(watch::Sink& sink, watch::WatchOptions options);
  void Remove(watch::Watcher& watcher);
  // The set has removed this watcher by itself (compaction).
  void NoteGone();
  watch::WatcherSet& set() { return set_; }
  Prng& random() { return random_; }

 private:
  void Read(watch::HistoryRequest request, Done done) override;
  void Answer(env::Duration started, watch::HistoryAnswer answer, Done done);
  std::optional<std::string> PreviousNow(std::string_view key, int64_t revision) override;

  server::Node& node_;
  server::Frontend& frontend_;
  watch::WatcherSet set_;
  Prng random_;  // spreads the ticks of progress over time
  bool listening_ = false;
};

}  // namespace quoin::api

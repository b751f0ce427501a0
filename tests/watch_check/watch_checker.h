// WatchChecker: what one watcher was told, against the model: every event that it asked for, in
// order, once, those of one revision together, with the right previous values, and no promise of
// progress that is not true.
//
// One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "tests/watch_check/model.h"
#include "tests/watch_check/oracle.h"

namespace quoin::watch_check {

// What a watcher wants to hear of. Value type.
struct Interest {
  uint32_t from = 0, to = kKeys;  // keys
  bool puts = true, deletes = true;
  bool previous = false;

  bool Holds(const Change& change) const {
    return change.key >= from && change.key < to && (change.deleted ? deletes : puts);
  }
};

class WatchChecker {
 public:
  // `start`: the first revision that the watcher asked for.
  WatchChecker(std::string name, Interest interest, int64_t start, Violation violation)
      : name_(std::move(name)),
        interest_(interest),
        next_(start),
        checked_(start - 1),
        violation_(std::move(violation)) {}

  // One response, whole: the events of one or more revisions. `compacted`: the newest revision at
  // which anybody has asked for compaction; older previous values may be missing.
  void OnEvents(std::vector<Change> events, int64_t compacted);
  // A response without events: everything up to `revision` has been told.
  void OnProgress(int64_t revision);
  // Compares what was told with the model as far as that has come.
  void Check(const Model& model);

  // Everything that it asked for up to `revision` was told, promised or not.
  bool ToldAll(const Model& model, int64_t revision) const;
  // The first revision that it was not told of: where to resume.
  int64_t next() const { return next_; }
  // Everything up to here was compared.
  int64_t checked() const { return checked_; }
  uint64_t events() const { return events_; }
  const Interest& interest() const { return interest_; }

 private:
  // One revision, or a promise (no events).
  struct Told {
    int64_t revision = 0;
    int64_t compacted = 0;
    std::vector<Change> events;
  };

  void CheckNothingUpTo(const Model& model, int64_t revision);
  void CheckRevision(const Model& model, const Told& told);

  const std::string name_;
  const Interest interest_;
  int64_t next_, checked_;
  uint64_t events_ = 0;
  std::deque<Told> told_;  // not compared yet
  const Violation violation_;
};

// Who hears of progress: each watcher by itself, or only a stream as a whole. The second is nothing
// that a member owes while one of the stream's watchers waits for a revision that is not there yet,
// as one does that was told everything and then moved.
enum class Promises : uint8_t { kToEach, kToStreams };

// A watcher and the revision that it asked for on its present stream. Value type.
struct Resumed {
  const WatchChecker* checker = nullptr;
  int64_t from = 0;
};
// Whether a stream owes nothing up to `revision`: neither events nor promises.
bool Reached(const Model& model, const std::vector<Resumed>& stream, int64_t revision,
             Promises promises);

}  // namespace quoin::watch_check

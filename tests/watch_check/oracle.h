// Oracle: which request made which revision.
//
// The requests are known before they are sent; one watcher of everything tells in which order they
// happened; the answers confirm it. A request without an answer may have happened or not: the
// watcher says which. What cannot be explained is a violation.
//
// One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/watch_check/model.h"

namespace quoin::watch_check {

// Told of everything that must not be.
using Violation = std::function<void(const std::string& what)>;

class Oracle {
 public:
  Oracle(int64_t revision, Violation violation)
      : model_(revision), violation_(std::move(violation)) {}
  const Model& model() const { return model_; }

  void Sent(const Request& request);
  // The answer: it is revision `revision`; or nobody knows.
  void Done(uint64_t id, int64_t revision);
  void Lost(uint64_t id);

  // The watcher of everything has seen a revision. False: it cannot go on.
  bool Observe(int64_t revision, const std::vector<Change>& changes);

  // Acknowledged and not observed yet. Zero at the end, or a write got lost.
  size_t owed() const { return owed_; }

 private:
  struct Entry {
    Request request;
    std::optional<int64_t> observed, acknowledged;
    bool ended = false;
  };
  using Entries = std::map<uint64_t, Entry>;

  Entries::iterator Find(const std::vector<Change>& changes);
  void Settle(Entries::iterator at);

  Model model_;
  const Violation violation_;
  Entries entries_;  // until observed and ended
  size_t owed_ = 0;
};

}  // namespace quoin::watch_check

// Hashes: HashKV and Hash, in slices on the storage loop and one at a time, so that others get
// their turn there however many are asked for. A hash that nobody waits for any more ends.
//
// Thread: any; answers come on the storage loop.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "mvcc/store.h"
#include "server/data.h"
#include "server/frozen_image.h"
#include "server/wanted.h"

namespace quoin::server {

class Node;

class Hashes {
 public:
  using OnKeys = absl::AnyInvocable<void(StatusOr<mvcc::HashResult>)>;
  using OnTree = absl::AnyInvocable<void(StatusOr<uint32_t>)>;

  explicit Hashes(Node& node) : node_(node) {}

  // HashKV up to a revision (0: the present). ResourceExhausted: too many wait.
  void HashKeys(int64_t revision, Wanted wanted, OnKeys done);
  // Of every bucket as it is now, without what each member has of its own.
  void HashTree(Wanted wanted, OnTree done);
  // Ends all, without an answer to those that run. Thread: the storage loop.
  void Stop();

 private:
  // One slice of a job; true: it has ended, and answered.
  using Slice = absl::AnyInvocable<bool()>;
  struct Job {
    Wanted wanted;
    Slice slice;
  };
  Status Add(Wanted wanted, Slice slice);
  void HashImage(std::shared_ptr<FrozenImage> frozen, Wanted wanted, OnTree done);
  void Turn();

  Node& node_;
  std::deque<Job> jobs_;  // storage loop's
  bool running_ = false;
  bool stopped_ = false;
};

}  // namespace quoin::server

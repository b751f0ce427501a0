// Compactor: carries out the compaction that was applied, slice by slice, once nobody reads below
// it any more and no faster than the disk takes it; and keeps the answers that wait for its end.
//
// Thread: the apply loop.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "server/apply_context.h"
#include "server/checkpointer.h"
#include "server/messages.h"

namespace quoin::server {

class Compactor {
 public:
  // An answer and the number of the frontend that waits for it.
  using Answers = std::vector<std::pair<size_t, Completion>>;
  // `durable`: a compaction that answers were kept for is on disk.
  Compactor(ApplyContext& context, Checkpointer& checkpointer, std::function<void(Answers)> durable)
      : context_(context), checkpointer_(checkpointer), durable_(std::move(durable)) {}

  // `physical` compactions answer only with their effect on disk.
  void Keep(size_t frontend, Completion completion) {
    answers_.emplace_back(frontend, std::move(completion));
  }
  // After each batch: takes up a compaction that is pending.
  void Schedule();

 private:
  void Turn();
  void AwaitReaders();
  void AwaitDisk();

  ApplyContext& context_;
  Checkpointer& checkpointer_;
  const std::function<void(Answers)> durable_;
  Answers answers_;
  bool scheduled_ = false;
  std::optional<env::Duration> waits_since_;  // for readers
};

}  // namespace quoin::server

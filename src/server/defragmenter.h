// Defragmenter: moves pages to the front of the tree's file until it cannot shrink, has it written,
// and cuts it.
//
// Thread: the apply loop. One slice a turn, so that writes go on in between.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "server/apply_context.h"
#include "server/checkpointer.h"

namespace quoin::server {

class Defragmenter {
 public:
  Defragmenter(ApplyContext& context, Checkpointer& checkpointer)
      : context_(context), checkpointer_(checkpointer) {}

  // Joins the run under way, or begins one. Ends without an answer once nobody's `wanted` is true
  // any more (any thread sets it).
  void Run(std::shared_ptr<const std::atomic<bool>> wanted, env::DoneStatus done);

 private:
  struct Caller {
    std::shared_ptr<const std::atomic<bool>> wanted;
    env::DoneStatus done;
  };
  void Turn();
  void NextTurn();
  void NextTurnAfterCheckpoint();
  void EndPass();
  void Finish(const Status& status);

  ApplyContext& context_;
  Checkpointer& checkpointer_;
  std::vector<Caller> callers_;
  uint64_t pages_left_ = 0;  // that may still move
  bool moved_ = false;       // in this pass
  int idle_passes_ = 0;
};

}  // namespace quoin::server

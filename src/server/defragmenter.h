// Defragmenter: moves pages to the front of the tree's file until it cannot shrink, has it written,
// and cuts it.
//
// Thread: the apply loop. One slice a turn, so that writes go on in between.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "server/apply_context.h"
#include "server/checkpointer.h"
#include "server/wanted.h"

namespace quoin::server {

class Defragmenter {
 public:
  Defragmenter(ApplyContext& context, Checkpointer& checkpointer)
      : context_(context), checkpointer_(checkpointer) {}

  // Joins the run under way, or begins one. Ends without an answer once it is wanted by nobody.
  void Run(Wanted wanted, env::DoneStatus done);

 private:
  struct Caller {
    Wanted wanted;
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

// SharedQuestions: what many ask for at once is found out once for all of them. A round answers
// those who asked before it began: an answer is never older than its question. Who comes meanwhile
// waits for the next round, and whoever has gone by then is dropped.
//
// Thread: one owner, which outlives its loop.
#pragma once

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "server/wanted.h"

namespace quoin::server {

template <typename Key, typename Answer>
class SharedQuestions {
 public:
  using Reply = absl::AnyInvocable<void(Answer)>;
  // Finds out; calls its argument once, now or later.
  using FindOut = std::function<void(const Key&, Reply)>;
  explicit SharedQuestions(FindOut find_out) : find_out_(std::move(find_out)) {}

  void Ask(const Key& key, Wanted wanted, Reply reply) {
    Round& round = rounds_[key];
    round.next.push_back({std::move(wanted), std::move(reply)});
    if (!round.runs) Run(key);
  }

 private:
  struct Asked {
    Wanted wanted;
    Reply reply;
  };
  struct Round {
    bool runs = false;
    std::vector<Asked> now, next;
  };

  void Run(const Key& key) {
    Round& round = rounds_.at(key);
    std::erase_if(round.next, [](const Asked& asked) { return !IsWanted(asked.wanted); });
    if (round.next.empty()) {
      rounds_.erase(key);
      return;
    }
    round.runs = true;
    round.now = std::exchange(round.next, {});
    find_out_(key, [this, key](Answer answer) { End(key, answer); });
  }
  void End(const Key& key, const Answer& answer) {
    for (Asked& asked : std::exchange(rounds_.at(key).now, {})) asked.reply(answer);
    rounds_.at(key).runs = false;
    Run(key);
  }

  const FindOut find_out_;
  std::map<Key, Round> rounds_;
};

}  // namespace quoin::server

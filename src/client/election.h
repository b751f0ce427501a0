// Election: at most one leader among candidates, and a word of the leader that all can read.
//
// Thread: any but the client's loop; one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "client/queue_key.h"
#include "client/watcher.h"

namespace quoin::client {

struct Leader {
  std::string key;
  std::string value;
  int64_t create_revision = 0;  // the term: grows from leader to leader
  int64_t mod_revision = 0;
};

// The present leader of an election, or nullopt.
StatusOr<std::optional<Leader>> CurrentLeader(Client& client, std::string_view name,
                                              Client::Timeout timeout,
                                              const std::stop_token& stop = {});

class Election {
 public:
  // `session` outlives the election, and a leadership ends with it.
  Election(Session& session, std::string name) : session_(session), name_(std::move(name)) {}

  // Waits until this session leads, or until `timeout` or `stop` (see Mutex::Lock).
  Status Campaign(std::string_view value, Client::Timeout timeout,
                  const std::stop_token& stop = {});
  // The leader says something new. FailedPrecondition: not the leader (any more).
  Status Proclaim(std::string_view value, Client::Timeout timeout);
  Status Resign(Client::Timeout timeout);

  bool leads() const { return place_.has_value(); }
  // REQUIRES: leads().
  const QueueKey& place() const { return *place_; }

 private:
  Session& session_;
  const std::string name_;
  std::optional<QueueKey> place_;
};

// Follows an election: each leader and each of its words.
class ElectionObserver {
 public:
  ElectionObserver(Client& client, std::string name) : client_(client), name_(std::move(name)) {}
  // Waits for the next word; nullopt when none came within `timeout`, StoppedWaiting() after
  // `stop`. Words that were overtaken by newer ones may be left out.
  StatusOr<std::optional<Leader>> Next(Client::Timeout timeout, const std::stop_token& stop = {});

 private:
  Client& client_;
  const std::string name_;
  std::optional<Watch> watch_;
  int64_t seen_ = 0;  // mod_revision of the last word given
};

}  // namespace quoin::client

// Server and Cluster: members in the words of the paper, whose disks are always done at once, and
// messages to say things to them.
//
// Thread: one.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "raft/raft.h"
#include "raft/testing/core_access.h"

namespace quoin::raft::testing {

inline constexpr int kElectionTicks = 10;

inline Entry At(uint64_t term, uint64_t index, const std::string& data = "x") {
  return {Term(term), Index(index), EntryType::kNormal, SharedBytes(data)};
}

// A log whose entry i has the i-th term.
inline std::vector<Entry> LogOf(const std::vector<uint64_t>& terms) {
  std::vector<Entry> entries;
  for (uint64_t term : terms) {
    entries.push_back(At(term, entries.size() + 1, std::to_string(term)));
  }
  return entries;
}

// A member whose disk is always done at once.
class Server {
 public:
  explicit Server(uint64_t id, uint64_t count, uint64_t term = 0, std::vector<Entry> entries = {},
                  uint64_t commit = 0, uint64_t seed = 1) {
    Config config;
    config.id = NodeId(id);
    config.election_ticks = kElectionTicks;
    config.pre_vote = false;
    config.check_quorum = false;
    RecoveredState recovered;
    recovered.hard_state = {Term(term), NodeId(0), Index(commit)};
    recovered.entries = std::move(entries);
    for (uint64_t i = 1; i <= count; ++i) {
      recovered.snapshot.conf_state.voters.push_back(NodeId(i));
    }
    raft_ = std::make_unique<Raft>(config, std::move(recovered), seed);
  }

  Raft& operator*() { return *raft_; }
  Raft* operator->() { return raft_.get(); }

  // Everything it has to say, now.
  std::vector<Message> Take() {
    std::vector<Message> messages;
    while (raft_->HasReady()) {
      Ready ready = raft_->TakeReady();
      for (Message& message : ready.messages) messages.push_back(std::move(message));
      if (ready.persist_id.value() != 0) raft_->Persisted(ready.persist_id);
      for (Message& message : ready.after_persist) messages.push_back(std::move(message));
      for (const Entry& entry : ready.committed) {
        applied.push_back(std::string(entry.data.view()));
        raft_->Applied(entry.index);
      }
    }
    return messages;
  }
  std::vector<Message> Take(MessageType type) {
    std::vector<Message> messages = Take();
    std::erase_if(messages, [type](const Message& m) { return m.type != type; });
    return messages;
  }
  // Steps a message and returns the answers.
  std::vector<Message> Answer(Message message) {
    raft_->Step(std::move(message));
    return Take();
  }

  std::vector<uint64_t> LogTerms() const {
    const Log& log = CoreAccess::log(*raft_);
    std::vector<uint64_t> terms;
    for (Index i = log.first_index(); i <= log.last_index(); ++i) {
      terms.push_back(log.At(i).term.value());
    }
    return terms;
  }
  Index Match(uint64_t id) const {
    return CoreAccess::members(*raft_).progress.at(NodeId(id)).match;
  }
  Index Next(uint64_t id) const { return CoreAccess::members(*raft_).progress.at(NodeId(id)).next; }

  std::vector<std::string> applied;

 private:
  std::unique_ptr<Raft> raft_;
};

inline Message From(uint64_t from, MessageType type, uint64_t term) {
  return {.type = type, .from = NodeId(from), .term = Term(term)};
}
inline Message Append(uint64_t from, uint64_t term, uint64_t previous_term, uint64_t previous,
                      std::vector<Entry> entries, uint64_t commit = 0) {
  Message message = From(from, MessageType::kApp, term);
  message.log_term = Term(previous_term);
  message.index = Index(previous);
  message.entries = std::move(entries);
  message.commit = Index(commit);
  return message;
}
inline Message RequestVote(uint64_t from, uint64_t term, uint64_t last_term, uint64_t last) {
  Message message = From(from, MessageType::kVote, term);
  message.log_term = Term(last_term);
  message.index = Index(last);
  return message;
}
inline Message Vote(uint64_t from, uint64_t term, bool granted = true) {
  Message message = From(from, MessageType::kVoteResp, term);
  message.reject = !granted;
  return message;
}
inline Message Acknowledge(uint64_t from, uint64_t term, uint64_t index) {
  Message message = From(from, MessageType::kAppResp, term);
  message.index = Index(index);
  return message;
}

// Makes it leader by the votes of all others.
inline void Elect(Server& server, uint64_t count) {
  server->Campaign();
  server.Take();
  for (uint64_t id = 1; id <= count; ++id) {
    if (NodeId(id) != server->Status().id) {
      server->Step(Vote(id, server->term().value()));
    }
  }
  CHECK(server->role() == Role::kLeader);
}

// Servers on a network that delivers at once.
class Cluster {
 public:
  void Add(Server server) {
    const NodeId id = server->Status().id;
    servers_.emplace(id, std::move(server));
  }
  Server& operator[](uint64_t id) { return servers_.at(NodeId(id)); }
  void Isolate(uint64_t id) { isolated_.insert(NodeId(id)); }
  void Join(uint64_t id) { isolated_.erase(NodeId(id)); }
  void Settle() {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& [id, server] : servers_) {
        for (Message& message : server.Take()) {
          moved = true;
          auto to = servers_.find(message.to);
          const bool lost = to == servers_.end() || isolated_.contains(message.to) ||
                            isolated_.contains(message.from);
          if (!lost) to->second->Step(std::move(message));
        }
      }
    }
  }

 private:
  std::map<NodeId, Server> servers_;
  std::set<NodeId> isolated_;
};

}  // namespace quoin::raft::testing

// Quorums: what a majority has decided, or, while the configuration is joint, two of them (§4.3).
//
// Value types; no state beyond the ids.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "base/strong_int.h"

namespace quoin::raft {

// A small set of members, ascending.
class NodeSet {
 public:
  NodeSet() = default;
  NodeSet(std::initializer_list<NodeId> ids);
  explicit NodeSet(std::vector<NodeId> ids);  // any order, duplicates allowed

  bool Contains(NodeId id) const { return std::binary_search(ids_.begin(), ids_.end(), id); }
  bool Insert(NodeId id);  // false: was there
  bool Erase(NodeId id);   // false: was not there
  void Clear() { ids_.clear(); }
  bool empty() const { return ids_.empty(); }
  size_t size() const { return ids_.size(); }
  auto begin() const { return ids_.begin(); }
  auto end() const { return ids_.end(); }
  const std::vector<NodeId>& ids() const { return ids_; }
  friend bool operator==(const NodeSet&, const NodeSet&) = default;

 private:
  std::vector<NodeId> ids_;
};

// How many ids are in one of the two sets but not in both.
size_t SymmetricDifference(const NodeSet& a, const NodeSet& b);

enum class VoteResult : uint8_t { kPending, kLost, kWon };

inline constexpr uint64_t kEverything = UINT64_MAX;  // what the empty quorum has decided

// One majority. The empty one agrees with everything, so that a joint quorum with one empty half is
// the other half.
struct MajorityQuorum {
  NodeSet voters;

  // The highest number that a majority has reached. `reached(id)` returns a voter's own, or nullopt
  // when unknown.
  template <typename Reached>
  uint64_t Agreed(Reached&& reached) const;
  // `vote(id)` returns a voter's answer, or nullopt when it has not answered.
  template <typename Vote>
  VoteResult Tally(Vote&& vote) const;
  friend bool operator==(const MajorityQuorum&, const MajorityQuorum&) = default;
};

// "Agreement (for elections and entry commitment) requires separate majorities from both": §4.3.
struct JointQuorum {
  MajorityQuorum incoming;
  MajorityQuorum outgoing;  // empty unless joint

  bool joint() const { return !outgoing.voters.empty(); }
  bool Contains(NodeId id) const {
    return incoming.voters.Contains(id) || outgoing.voters.Contains(id);
  }
  NodeSet All() const;
  template <typename Reached>
  uint64_t Agreed(Reached&& reached) const {
    return std::min(incoming.Agreed(reached), outgoing.Agreed(reached));
  }
  template <typename Vote>
  VoteResult Tally(Vote&& vote) const;
  friend bool operator==(const JointQuorum&, const JointQuorum&) = default;
};

// ---- implementation ----

template <typename Reached>
uint64_t MajorityQuorum::Agreed(Reached&& reached) const {
  const size_t count = voters.size();
  if (count == 0) return kEverything;
  constexpr size_t kOnStackMax = 9;
  std::array<uint64_t, kOnStackMax> on_stack;
  std::vector<uint64_t> on_heap;
  uint64_t* values = on_stack.data();
  if (count > kOnStackMax) {
    on_heap.resize(count);
    values = on_heap.data();
  }
  size_t filled = 0;
  for (NodeId id : voters) values[filled++] = reached(id).value_or(0);
  // What count/2 + 1 voters have at least: position count - (count/2 + 1) in ascending order.
  uint64_t* pivot = values + (count - (count / 2 + 1));
  std::nth_element(values, pivot, values + count);
  return *pivot;
}

template <typename Vote>
VoteResult MajorityQuorum::Tally(Vote&& vote) const {
  if (voters.empty()) return VoteResult::kWon;
  size_t yes = 0;
  size_t missing = 0;
  for (NodeId id : voters) {
    std::optional<bool> answer = vote(id);
    if (!answer.has_value()) {
      ++missing;
    } else if (*answer) {
      ++yes;
    }
  }
  const size_t majority = voters.size() / 2 + 1;
  if (yes >= majority) return VoteResult::kWon;
  return yes + missing >= majority ? VoteResult::kPending : VoteResult::kLost;
}

template <typename Vote>
VoteResult JointQuorum::Tally(Vote&& vote) const {
  const VoteResult one = incoming.Tally(vote);
  const VoteResult other = outgoing.Tally(vote);
  if (one == other) return one;
  const bool lost = one == VoteResult::kLost || other == VoteResult::kLost;
  return lost ? VoteResult::kLost : VoteResult::kPending;
}

}  // namespace quoin::raft

#include "raft/testing/quorum_script.h"

#include <algorithm>
#include <functional>

#include "raft/testing/describe.h"

namespace quoin::raft::testing {
namespace {

using Numbers = std::map<NodeId, uint64_t>;

struct Input {
  MajorityQuorum one;
  MajorityQuorum other;
  bool joint = false;
  Numbers numbers;  // what each voter has reached, or 1 = no and 2 = yes; absent = unknown
  std::string error;
};

std::vector<NodeId> IdsOf(const Argument* argument) {
  std::vector<NodeId> ids;
  if (argument == nullptr) return ids;
  for (const std::string& value : argument->values) {
    if (value != "zero") ids.push_back(NodeId(std::stoull(value)));
  }
  return ids;
}

uint64_t NumberOf(const std::string& value) {
  if (value == "_") return 0;
  if (value == "n") return 1;
  if (value == "y") return 2;
  return std::stoull(value);
}

Input ParseInput(const Case& one) {
  Input input;
  std::vector<NodeId> ids = IdsOf(one.Find("cfg"));
  input.one.voters = NodeSet(ids);
  const std::vector<NodeId> joint_ids = IdsOf(one.Find("cfgj"));
  input.other.voters = NodeSet(joint_ids);
  input.joint = one.Find("cfgj") != nullptr;
  ids.insert(ids.end(), joint_ids.begin(), joint_ids.end());

  const Argument* values = one.Find("idx") != nullptr ? one.Find("idx") : one.Find("votes");
  size_t next = 0;
  NodeSet seen;
  for (NodeId id : ids) {
    if (!seen.Insert(id)) continue;
    if (values == nullptr || next == values->values.size()) {
      input.error = "error: too few values\n";
      return input;
    }
    const uint64_t number = NumberOf(values->values[next++]);
    if (number != 0) input.numbers[id] = number;
  }
  if (values != nullptr && next != values->values.size()) input.error = "error: too many values\n";
  return input;
}

std::string Text(uint64_t agreed) { return agreed == kEverything ? "∞" : std::to_string(agreed); }

std::optional<uint64_t> Lookup(const Numbers& numbers, NodeId id) {
  auto at = numbers.find(id);
  return at == numbers.end() ? std::nullopt : std::optional<uint64_t>(at->second);
}

template <typename Quorum>
uint64_t Agreed(const Quorum& quorum, const Numbers& numbers) {
  return quorum.Agreed([&](NodeId id) { return Lookup(numbers, id); });
}

template <typename Quorum>
VoteResult Tally(const Quorum& quorum, const Numbers& numbers) {
  return quorum.Tally([&](NodeId id) -> std::optional<bool> {
    const auto vote = Lookup(numbers, id);
    return vote ? std::optional<bool>(*vote == 2) : std::nullopt;
  });
}

// The definition, without the trick: the highest number that more than half of the voters have at
// least.
uint64_t AgreedByDefinition(const MajorityQuorum& quorum, const Numbers& numbers) {
  if (quorum.voters.empty()) return kEverything;
  uint64_t best = 0;
  for (NodeId candidate : quorum.voters) {
    const uint64_t number = Lookup(numbers, candidate).value_or(0);
    size_t reached = 0;
    for (NodeId id : quorum.voters) reached += Lookup(numbers, id).value_or(0) >= number ? 1 : 0;
    if (reached > quorum.voters.size() / 2) best = std::max(best, number);
  }
  return best;
}

std::string CommittedByMajority(const Input& input) {
  const uint64_t agreed = Agreed(input.one, input.numbers);
  std::string out =
      DescribeReached(input.one.voters, [&](NodeId id) { return Lookup(input.numbers, id); });
  auto expect_same = [&](uint64_t other, const std::string& how) {
    if (other != agreed) out += Text(other) + " <-- " + how + "\n";
  };
  expect_same(AgreedByDefinition(input.one, input.numbers), "by the definition");
  expect_same(Agreed(JointQuorum{input.one, {}}, input.numbers), "joint with nobody");
  expect_same(Agreed(JointQuorum{input.one, input.one}, input.numbers), "joint with itself");
  // A voter that is behind what was agreed may fall back further without changing it.
  for (NodeId id : input.one.voters) {
    const uint64_t number = Lookup(input.numbers, id).value_or(0);
    if (number == 0 || number >= agreed || agreed == kEverything) continue;
    for (uint64_t lower : {number - 1, uint64_t{0}}) {
      Numbers overlaid = input.numbers;
      overlaid[id] = lower;
      expect_same(Agreed(input.one, overlaid),
                  "with voter " + std::to_string(id.value()) + " back");
    }
  }
  return out + Text(agreed) + "\n";
}

}  // namespace

std::string HandleQuorumCase(const Case& one) {
  const Input input = ParseInput(one);
  if (!input.error.empty()) return input.error;
  const JointQuorum both{input.one, input.other};
  const JointQuorum swapped{input.other, input.one};
  if (one.command == "committed") {
    if (!input.joint) return CommittedByMajority(input);
    const uint64_t agreed = Agreed(both, input.numbers);
    std::string out =
        DescribeReached(both.All(), [&](NodeId id) { return Lookup(input.numbers, id); });
    const uint64_t other = Agreed(swapped, input.numbers);
    if (other != agreed) out += Text(other) + " <-- with the halves exchanged\n";
    return out + Text(agreed) + "\n";
  }
  if (one.command != "vote") return "unknown command\n";
  if (!input.joint) return Describe(Tally(input.one, input.numbers)) + "\n";
  const VoteResult result = Tally(both, input.numbers);
  const VoteResult other = Tally(swapped, input.numbers);
  std::string out;
  if (other != result) out = Describe(other) + " <-- with the halves exchanged\n";
  return out + Describe(result) + "\n";
}

std::string ConfChangeScript::Handle(const Case& one) {
  const ProgressDefaults defaults{last_index_, /*inflight_messages_max=*/10, 0};
  ++last_index_;
  const auto changes = ParseChanges(one.input);
  if (!changes) return "malformed changes\n";
  Status status = OkStatus();
  if (one.command == "simple") {
    status = ChangeSimple(members_, *changes, defaults);
  } else if (one.command == "enter-joint") {
    status = EnterJoint(members_, *changes, one.Value("autoleave") == "true", defaults);
  } else if (one.command == "leave-joint") {
    status = LeaveJoint(members_);
  } else {
    return "unknown command\n";
  }
  if (!status.ok()) return std::string(status.message()) + "\n";
  return Describe(members_.configuration) + "\n" + Describe(members_.progress);
}

}  // namespace quoin::raft::testing

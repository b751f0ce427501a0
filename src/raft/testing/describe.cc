#include "raft/testing/describe.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

#include "raft_types/codec.h"

namespace quoin::raft::testing {
namespace {

constexpr std::array<std::string_view, 24> kMessageNames = {"MsgHup",
                                                            "MsgBeat",
                                                            "MsgProp",
                                                            "MsgApp",
                                                            "MsgAppResp",
                                                            "MsgVote",
                                                            "MsgVoteResp",
                                                            "MsgSnap",
                                                            "MsgHeartbeat",
                                                            "MsgHeartbeatResp",
                                                            "MsgUnreachable",
                                                            "MsgSnapStatus",
                                                            "MsgCheckQuorum",
                                                            "MsgTransferLeader",
                                                            "MsgTimeoutNow",
                                                            "MsgReadIndex",
                                                            "MsgReadIndexResp",
                                                            "MsgPreVote",
                                                            "MsgPreVoteResp",
                                                            "MsgStorageAppend",
                                                            "MsgStorageAppendResp",
                                                            "MsgStorageApply",
                                                            "MsgStorageApplyResp",
                                                            "MsgForgetLeader"};

std::string List(const std::vector<NodeId>& ids) {
  std::string text;
  for (NodeId id : ids) {
    if (!text.empty()) text += ' ';
    text += std::to_string(id.value());
  }
  return text;
}

std::string Target(NodeId id) {
  if (id == kAppendThread) return "AppendThread";
  if (id == kApplyThread) return "ApplyThread";
  return id.value() == 0 ? "None" : std::to_string(id.value());
}

std::string Quoted(std::string_view data) {
  std::string text = "\"";
  for (char c : data) {
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (c >= 0x20 && c < 0x7f) {
      text += c;
    } else {
      char escape[5];
      std::snprintf(escape, sizeof(escape), "\\x%02x", static_cast<unsigned char>(c));
      text += escape;
    }
  }
  return text + "\"";
}

std::string ChangesOf(const Entry& entry) {
  if (entry.type == EntryType::kConfChange) {
    const StatusOr<ConfChange> change = DecodeConfChange(entry.data.view());
    return change.ok() ? ToString(AsV2(*change).changes) : "<malformed>";
  }
  const StatusOr<ConfChangeV2> change = DecodeConfChangeV2(entry.data.view());
  return change.ok() ? ToString(change->changes) : "<malformed>";
}

// What follows a message's header, a nested block `indent` deep.
void DescribeMessage(const ScriptMessage& script_message, const std::string& indent,
                     std::ostringstream& out) {
  const Message& message = script_message.message;
  out << indent << Target(message.from) << "->" << Target(message.to) << ' '
      << Describe(message.type) << " Term:" << message.term << " Log:" << message.log_term << '/'
      << message.index;
  if (message.reject) out << " Rejected (Hint: " << message.reject_hint << ')';
  if (message.commit.value() != 0) out << " Commit:" << message.commit;
  if (message.vote.value() != 0) out << " Vote:" << message.vote;
  if (message.entries.size() == 1) {
    out << " Entries:[" << Describe(message.entries[0]) << ']';
  } else if (message.entries.size() > 1) {
    out << " Entries:[";
    for (const Entry& entry : message.entries) out << '\n' << indent << "  " << Describe(entry);
    out << '\n' << indent << ']';
  }
  if (!message.snapshot.empty()) {
    out << '\n' << indent << "  Snapshot: " << Describe(message.snapshot);
  }
  if (!script_message.responses.empty()) {
    out << " Responses:[";
    for (const ScriptMessage& response : script_message.responses) {
      out << '\n';
      DescribeMessage(response, indent + "  ", out);
    }
    out << '\n' << indent << ']';
  }
}

}  // namespace

std::string Describe(Role role) {
  switch (role) {
    case Role::kFollower:
      return "StateFollower";
    case Role::kPreCandidate:
      return "StatePreCandidate";
    case Role::kCandidate:
      return "StateCandidate";
    case Role::kLeader:
      return "StateLeader";
  }
  return "?";
}

std::string Describe(MessageType type) {
  return std::string(kMessageNames[static_cast<size_t>(type)]);
}

std::optional<MessageType> ParseMessageType(std::string_view text) {
  auto at = std::find(kMessageNames.begin(), kMessageNames.end(), text);
  if (at == kMessageNames.end()) return std::nullopt;
  return static_cast<MessageType>(at - kMessageNames.begin());
}

std::string Describe(VoteResult result) {
  switch (result) {
    case VoteResult::kPending:
      return "VotePending";
    case VoteResult::kLost:
      return "VoteLost";
    case VoteResult::kWon:
      return "VoteWon";
  }
  return "?";
}

std::string Describe(const SoftState& state) {
  return "Lead:" + std::to_string(state.leader.value()) + " State:" + Describe(state.role);
}

std::string Describe(const HardState& state) {
  std::ostringstream out;
  out << "Term:" << state.term;
  if (state.vote.value() != 0) out << " Vote:" << state.vote;
  out << " Commit:" << state.commit;
  return out.str();
}

std::string Describe(const ConfState& state) {
  return "Voters:[" + List(state.voters) + "] VotersOutgoing:[" + List(state.voters_outgoing) +
         "] Learners:[" + List(state.learners) + "] LearnersNext:[" + List(state.learners_next) +
         "] AutoLeave:" + (state.auto_leave ? "true" : "false");
}

std::string Describe(const Snapshot& snapshot) {
  const SnapshotMetadata& metadata = snapshot.metadata;
  return "Index:" + std::to_string(metadata.index.value()) +
         " Term:" + std::to_string(metadata.term.value()) +
         " ConfState:" + Describe(metadata.conf_state);
}

std::string Describe(const Entry& entry) {
  std::ostringstream out;
  out << entry.term << '/' << entry.index << ' ';
  if (entry.type == EntryType::kNormal) {
    out << "EntryNormal " << Quoted(entry.data.view());
    return out.str();
  }
  out << (entry.type == EntryType::kConfChange ? "EntryConfChange" : "EntryConfChangeV2");
  const std::string changes = ChangesOf(entry);
  if (!changes.empty()) out << ' ' << changes;
  return out.str();
}

std::string Describe(std::span<const Entry> entries) {
  std::string text;
  for (const Entry& entry : entries) text += Describe(entry) + "\n";
  return text;
}

std::string Describe(const ScriptMessage& message) {
  std::ostringstream out;
  DescribeMessage(message, "", out);
  return out.str();
}

std::string Describe(const Progress& progress) {
  std::ostringstream out;
  switch (progress.state) {
    case Progress::State::kProbe:
      out << "StateProbe";
      break;
    case Progress::State::kReplicate:
      out << "StateReplicate";
      break;
    case Progress::State::kSnapshot:
      out << "StateSnapshot";
      break;
  }
  out << " match=" << progress.match << " next=" << progress.next;
  if (progress.learner) out << " learner";
  if (progress.Paused()) out << " paused";
  if (progress.pending_snapshot.value() != 0) out << " pendingSnap=" << progress.pending_snapshot;
  if (!progress.recently_active) out << " inactive";
  if (progress.inflights.count() > 0) {
    out << " inflight=" << progress.inflights.count();
    if (progress.inflights.Full()) out << "[full]";
  }
  return out.str();
}

std::string Describe(const ProgressMap& progress) {
  std::string text;
  for (const auto& [id, one] : progress) {
    text += std::to_string(id.value()) + ": " + Describe(one) + "\n";
  }
  return text;
}

std::string Describe(const Configuration& configuration) {
  std::string text = "voters=(" + List(configuration.voters.incoming.voters.ids()) + ")";
  if (configuration.joint()) {
    text += "&&(" + List(configuration.voters.outgoing.voters.ids()) + ")";
  }
  if (!configuration.learners.empty()) {
    text += " learners=(" + List(configuration.learners.ids()) + ")";
  }
  if (!configuration.learners_next.empty()) {
    text += " learners_next=(" + List(configuration.learners_next.ids()) + ")";
  }
  if (configuration.auto_leave) text += " autoleave";
  return text;
}

std::string DescribeReached(const NodeSet& voters,
                            const std::function<std::optional<uint64_t>(NodeId)>& reached) {
  if (voters.empty()) return "<empty majority quorum>";
  std::vector<std::pair<uint64_t, NodeId>> ranked;
  for (NodeId id : voters) ranked.emplace_back(reached(id).value_or(0), id);
  std::sort(ranked.begin(), ranked.end());
  std::map<NodeId, size_t> bars;  // how many voters are strictly behind
  for (size_t i = 1; i < ranked.size(); ++i) {
    const bool tie = ranked[i - 1].first == ranked[i].first;
    bars[ranked[i].second] = tie ? bars[ranked[i - 1].second] : i;
  }
  std::string text = std::string(voters.size(), ' ') + "    idx\n";
  for (NodeId id : voters) {
    const std::optional<uint64_t> value = reached(id);
    const size_t bar = bars[id];
    text += value.has_value() ? std::string(bar, 'x').append(1, '>') : std::string(1, '?');
    text.append(value.has_value() ? voters.size() - bar : voters.size(), ' ');
    char line[64];
    std::snprintf(line, sizeof(line), " %5llu    (id=%llu)\n",
                  static_cast<unsigned long long>(value.value_or(0)),
                  static_cast<unsigned long long>(id.value()));
    text += line;
  }
  return text;
}

std::string ToString(std::span<const ConfChangeSingle> changes) {
  std::string text;
  for (const ConfChangeSingle& change : changes) {
    if (!text.empty()) text += ' ';
    text += "vrul"[static_cast<size_t>(change.type)];
    text += std::to_string(change.node_id.value());
  }
  return text;
}

std::optional<std::vector<ConfChangeSingle>> ParseChanges(std::string_view text) {
  std::vector<ConfChangeSingle> changes;
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    const size_t type = std::string_view("vrul").find(word[0]);
    const bool digits =
        word.size() > 1 && word.size() < 19 && std::all_of(word.begin() + 1, word.end(), ::isdigit);
    if (type == std::string_view::npos || !digits) return std::nullopt;
    changes.push_back({static_cast<ConfChangeType>(type), NodeId(std::stoull(word.substr(1)))});
  }
  return changes;
}

std::string Indent(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    out += "  " + std::string(text.substr(0, end)) + "\n";
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace quoin::raft::testing

// The scripts' text forms of Raft's data.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "raft/configuration.h"
#include "raft/raft.h"

namespace quoin::raft::testing {

// Receivers of storage messages when writes are asynchronous.
inline constexpr NodeId kAppendThread{UINT64_MAX};
inline constexpr NodeId kApplyThread{UINT64_MAX - 1};

// A message with what the scripts' storage threads need.
struct ScriptMessage {
  Message message;
  PersistId persist_id;  // kStorageAppend and its answer
  std::vector<ScriptMessage> responses;
};

std::string Describe(Role role);
std::string Describe(MessageType type);
std::string Describe(VoteResult result);
std::string Describe(const SoftState& state);
std::string Describe(const HardState& state);
std::string Describe(const ConfState& state);
std::string Describe(const Snapshot& snapshot);
std::string Describe(const Entry& entry);
std::string Describe(std::span<const Entry> entries);  // one line each
std::string Describe(const ScriptMessage& message);    // several lines, the last without its end
std::string Describe(const Progress& progress);
std::string Describe(const ProgressMap& progress);  // one line each
std::string Describe(const Configuration& configuration);

// A bar chart of what each voter has reached; equal lengths are ties with the one before.
std::string DescribeReached(const NodeSet& voters,
                            const std::function<std::optional<uint64_t>(NodeId)>& reached);

// "v1 l2 r3 u4" and back.
std::string ToString(std::span<const ConfChangeSingle> changes);
std::optional<std::vector<ConfChangeSingle>> ParseChanges(std::string_view text);

std::optional<MessageType> ParseMessageType(std::string_view text);
std::string Indent(std::string_view text);  // every line by two, each ended

}  // namespace quoin::raft::testing

// raftpb on the wire: 3.7.1's form (absent = zero, a few explicit zeros as etcd writes them);
// everything that 3.5 and 3.6 write decodes to the same value. Grammar: docs/formats/raftpb.md.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "raft_types/types.h"

namespace quoin::raft {

void EncodeEntry(const Entry& entry, std::string& out);
size_t EncodedEntrySize(const Entry& entry);
StatusOr<Entry> DecodeEntry(std::string_view data);

void EncodeHardState(const HardState& state, std::string& out);
StatusOr<HardState> DecodeHardState(std::string_view data);
void EncodeConfState(const ConfState& state, std::string& out);
StatusOr<ConfState> DecodeConfState(std::string_view data);
void EncodeConfChange(const ConfChange& change, std::string& out);
StatusOr<ConfChange> DecodeConfChange(std::string_view data);
void EncodeConfChangeV2(const ConfChangeV2& change, std::string& out);
StatusOr<ConfChangeV2> DecodeConfChangeV2(std::string_view data);
void EncodeSnapshot(const Snapshot& snapshot, std::string& out);
StatusOr<Snapshot> DecodeSnapshot(std::string_view data);
void EncodeMessage(const Message& message, std::string& out);
StatusOr<Message> DecodeMessage(std::string_view data);

}  // namespace quoin::raft

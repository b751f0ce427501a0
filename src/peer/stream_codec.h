// The bytes of the two kinds of streams between members (docs/formats/peer.md).
//
//   message stream :=  frame*            frame := 8 bytes big-endian length, raftpb.Message
//   msgapp stream  :=  record*           record := 0                       link heartbeat
//                                                | 1 count (8-byte length Entry)* commit
//                                                | 2 frame
//
// On a msgapp stream both ends keep (term, index) of the log's end as the stream has told it;
// record 1 leaves out what follows from that. Numbers are 8 bytes, big-endian.
//
// Thread: value types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "raft_types/types.h"

namespace quoin::peer {

enum class StreamKind : uint8_t { kMessage, kMsgApp };

class StreamEncoder {
 public:
  explicit StreamEncoder(StreamKind kind) : kind_(kind) {}
  // REQUIRES: on a msgapp stream, a MsgApp.
  void Encode(const raft::Message& message, std::string& out);
  void EncodeLinkHeartbeat(std::string& out) const;

 private:
  const StreamKind kind_;
  Term term_;
  Index index_;
};

class StreamDecoder {
 public:
  // `from`, `to`: who the ends of the stream are. A frame of more than `message_bytes_max` is an
  // error.
  StreamDecoder(StreamKind kind, NodeId from, NodeId to, size_t message_bytes_max)
      : kind_(kind), from_(from), to_(to), message_bytes_max_(message_bytes_max) {}
  // Takes bytes and appends the messages that are complete now, without link heartbeats. After an
  // error the stream is of no use any more. However the bytes are cut into pieces, each is looked
  // at once.
  Status Feed(std::string_view bytes, std::vector<raft::Message>& out);
  // Fed, and not yet decoded: less than one part of a record.
  size_t undecoded_bytes() const { return buffer_.size(); }

 private:
  // One part of a record at the front of `data`, removed from it: a frame, a link heartbeat, the
  // head of a record 1, one of its entries, or its commit index. False when it is not complete.
  StatusOr<bool> TakePart(std::string_view& data, std::vector<raft::Message>& out);
  StatusOr<bool> TakeWhole(std::string_view& data, std::vector<raft::Message>& out);
  StatusOr<bool> TakeFrame(std::string_view& data, std::vector<raft::Message>& out);
  StatusOr<bool> BeginEntries(std::string_view& data);
  StatusOr<bool> TakeEntry(std::string_view& data);
  bool TakeCommit(std::string_view& data, std::vector<raft::Message>& out);

  const StreamKind kind_;
  const NodeId from_, to_;
  const size_t message_bytes_max_;
  std::string buffer_;                 // an incomplete part
  std::optional<raft::Message> open_;  // of a record 1 whose end is still to come
  uint64_t open_entries_ = 0;          // that it still lacks
  size_t open_bytes_ = 0;              // that its entries have taken
  Term term_;
  Index index_;
};

}  // namespace quoin::peer

#include "raft_types/codec.h"

#include <limits>

#include "base/wire.h"

namespace quoin::raft {
namespace {

using wire::Field;
using wire::Reader;
using wire::Type;

Status Malformed(std::string_view what) {
  return absl::DataLossError("malformed " + std::string(what));
}

// Takes a scalar field; false when its wire type is wrong.
bool Take(const Field& field, uint64_t& value) {
  value = field.varint;
  return field.type == Type::kVarint;
}
template <typename Tag>
bool Take(const Field& field, StrongInt<Tag, uint64_t>& value) {
  value = StrongInt<Tag, uint64_t>(field.varint);
  return field.type == Type::kVarint;
}
bool Take(const Field& field, bool& value) {
  value = field.varint != 0;
  return field.type == Type::kVarint;
}
template <typename Enum>
bool TakeEnum(const Field& field, uint64_t max, Enum& value) {
  if (field.type != Type::kVarint || field.varint > max) return false;
  value = static_cast<Enum>(field.varint);
  return true;
}
bool Take(const Field& field, std::string& value) {
  value = std::string(field.bytes);
  return field.type == Type::kBytes;
}
bool Take(const Field& field, SharedBytes& value) {
  value = SharedBytes(field.bytes);
  return field.type == Type::kBytes;
}
// A repeated number: one per field, or packed.
bool Take(const Field& field, std::vector<NodeId>& ids) {
  if (field.type == Type::kVarint) {
    ids.emplace_back(field.varint);
    return true;
  }
  if (field.type != Type::kBytes) return false;
  for (std::string_view rest = field.bytes; !rest.empty();) {
    std::optional<uint64_t> id = wire::TakeVarint(rest);
    if (!id) return false;
    ids.emplace_back(*id);
  }
  return true;
}

// Walks a message; `take(field)` returns false for a field of the wrong type. Unknown fields pass.
template <typename TakeField>
bool Walk(std::string_view data, TakeField take) {
  Reader reader(data);
  for (Field field; reader.Next(field);) {
    if (!take(field)) return false;
  }
  return reader.ok();
}

template <typename T>
bool TakeNested(const Field& field, StatusOr<T> (*decode)(std::string_view), T& value) {
  if (field.type != Type::kBytes) return false;
  StatusOr<T> decoded = decode(field.bytes);
  if (!decoded.ok()) return false;
  value = *std::move(decoded);
  return true;
}

void PutIds(std::string& out, uint32_t number, const std::vector<NodeId>& ids) {
  for (NodeId id : ids) wire::PutUint(out, number, id.value());
}

template <typename Encode>
void PutNested(std::string& out, uint32_t number, Encode encode) {
  std::string nested;
  encode(nested);
  wire::PutBytes(out, number, nested);
}

StatusOr<SnapshotMetadata> DecodeSnapshotMetadata(std::string_view data) {
  SnapshotMetadata out;
  const bool ok = Walk(data, [&](const Field& f) {
    switch (f.number) {
      case 1:
        return TakeNested(f, DecodeConfState, out.conf_state);
      case 2:
        return Take(f, out.index);
      case 3:
        return Take(f, out.term);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("snapshot metadata");
  return out;
}

StatusOr<ConfChangeSingle> DecodeConfChangeSingle(std::string_view data) {
  ConfChangeSingle out;
  const bool ok = Walk(data, [&](const Field& f) {
    switch (f.number) {
      case 1:
        return TakeEnum(f, 3, out.type);
      case 2:
        return Take(f, out.node_id);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("configuration change");
  return out;
}

}  // namespace

// Entry {1 Type, 2 Term, 3 Index, 4 Data}: only what is set. An entry of a log has a term and an
// index; one that is still a proposal or a read request has neither.
void EncodeEntry(const Entry& entry, std::string& out) {
  if (entry.type != EntryType::kNormal) wire::PutUint(out, 1, static_cast<uint64_t>(entry.type));
  wire::PutUintNonZero(out, 2, entry.term.value());
  wire::PutUintNonZero(out, 3, entry.index.value());
  wire::PutBytesNonEmpty(out, 4, entry.data.view());
}

size_t EncodedEntrySize(const Entry& entry) {
  size_t size = entry.type != EntryType::kNormal ? 2 : 0;
  if (entry.term.value() != 0) size += 1 + wire::VarintSize(entry.term.value());
  if (entry.index.value() != 0) size += 1 + wire::VarintSize(entry.index.value());
  if (!entry.data.empty()) size += 1 + wire::VarintSize(entry.data.size()) + entry.data.size();
  return size;
}

StatusOr<Entry> DecodeEntry(std::string_view data) {
  Entry out;
  const bool ok = Walk(data, [&](const Field& f) {
    switch (f.number) {
      case 1:
        return TakeEnum(f, 2, out.type);
      case 2:
        return Take(f, out.term);
      case 3:
        return Take(f, out.index);
      case 4:
        return Take(f, out.data);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("entry");
  return out;
}

void EncodeHardState(const HardState& state, std::string& out) {
  wire::PutUint(out, 1, state.term.value());
  wire::PutUint(out, 2, state.vote.value());
  wire::PutUint(out, 3, state.commit.value());
}

StatusOr<HardState> DecodeHardState(std::string_view data) {
  HardState out;
  const bool ok = Walk(data, [&](const Field& f) {
    switch (f.number) {
      case 1:
        return Take(f, out.term);
      case 2:
        return Take(f, out.vote);
      case 3:
        return Take(f, out.commit);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("hard state");
  return out;
}

void EncodeConfState(const ConfState& state, std::string& out) {
  PutIds(out, 1, state.voters);
  PutIds(out, 2, state.learners);
  PutIds(out, 3, state.voters_outgoing);
  PutIds(out, 4, state.learners_next);
  wire::PutUint(out, 5, state.auto_leave ? 1 : 0);
}

StatusOr<ConfState> DecodeConfState(std::string_view data) {
  ConfState out;
  const bool ok = Walk(data, [&](const Field& f) {
    switch (f.number) {
      case 1:
        return Take(f, out.voters);
      case 2:
        return Take(f, out.learners);
      case 3:
        return Take(f, out.voters_outgoing);
      case 4:
        return Take(f, out.learners_next);
      case 5:
        return Take(f, out.auto_leave);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("configuration");
  return out;
}

void EncodeConfChange(const ConfChange& change, std::string& out) {
  wire::PutUintNonZero(out, 1, change.id);
  wire::PutUint(out, 2, static_cast<uint64_t>(change.type));
  wire::PutUint(out, 3, change.node_id.value());
  wire::PutBytesNonEmpty(out, 4, change.context);
}

StatusOr<ConfChange> DecodeConfChange(std::string_view data) {
  ConfChange out;
  const bool ok = Walk(data, [&](const Field& f) {
    switch (f.number) {
      case 1:
        return Take(f, out.id);
      case 2:
        return TakeEnum(f, 3, out.type);
      case 3:
        return Take(f, out.node_id);
      case 4:
        return Take(f, out.context);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("configuration change");
  return out;
}

void EncodeConfChangeV2(const ConfChangeV2& change, std::string& out) {
  if (change.transition != ConfChangeTransition::kAuto)
    wire::PutUint(out, 1, static_cast<uint64_t>(change.transition));
  for (const ConfChangeSingle& single : change.changes) {
    PutNested(out, 2, [&](std::string& nested) {
      wire::PutUint(nested, 1, static_cast<uint64_t>(single.type));
      wire::PutUint(nested, 2, single.node_id.value());
    });
  }
  wire::PutBytesNonEmpty(out, 3, change.context);
}

StatusOr<ConfChangeV2> DecodeConfChangeV2(std::string_view data) {
  ConfChangeV2 out;
  const bool ok = Walk(data, [&](const Field& f) {
    switch (f.number) {
      case 1:
        return TakeEnum(f, 2, out.transition);
      case 2:
        return TakeNested(f, DecodeConfChangeSingle, out.changes.emplace_back());
      case 3:
        return Take(f, out.context);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("configuration change");
  return out;
}

void EncodeSnapshot(const Snapshot& snapshot, std::string& out) {
  wire::PutBytesNonEmpty(out, 1, snapshot.data.view());
  PutNested(out, 2, [&](std::string& metadata) {
    PutNested(metadata, 1,
              [&](std::string& conf) { EncodeConfState(snapshot.metadata.conf_state, conf); });
    wire::PutUint(metadata, 2, snapshot.metadata.index.value());
    wire::PutUint(metadata, 3, snapshot.metadata.term.value());
  });
}

StatusOr<Snapshot> DecodeSnapshot(std::string_view data) {
  Snapshot out;
  const bool ok = Walk(data, [&](const Field& f) {
    switch (f.number) {
      case 1:
        return Take(f, out.data);
      case 2:
        return TakeNested(f, DecodeSnapshotMetadata, out.metadata);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("snapshot");
  return out;
}

// 3.7.1 sends what was set. What is zero and yet explicit there depends on the message
// (docs/formats/raftpb.md): the commit of a heartbeat, log term and hint of a rejected append.
void EncodeMessage(const Message& message, std::string& out) {
  const bool rejects_append = message.reject && message.type == MessageType::kAppResp;
  if (message.type != MessageType::kHup) wire::PutUint(out, 1, static_cast<uint64_t>(message.type));
  wire::PutUintNonZero(out, 2, message.to.value());
  wire::PutUintNonZero(out, 3, message.from.value());
  wire::PutUintNonZero(out, 4, message.term.value());
  if (message.log_term.value() != 0 || rejects_append)
    wire::PutUint(out, 5, message.log_term.value());
  wire::PutUintNonZero(out, 6, message.index.value());
  for (const Entry& entry : message.entries) {
    PutNested(out, 7, [&](std::string& nested) { EncodeEntry(entry, nested); });
  }
  if (message.commit.value() != 0 || message.type == MessageType::kHeartbeat)
    wire::PutUint(out, 8, message.commit.value());
  if (!message.snapshot.empty()) {
    PutNested(out, 9, [&](std::string& nested) { EncodeSnapshot(message.snapshot, nested); });
  }
  if (message.reject) wire::PutUint(out, 10, 1);
  if (message.reject_hint.value() != 0 || rejects_append)
    wire::PutUint(out, 11, message.reject_hint.value());
  wire::PutBytesNonEmpty(out, 12, message.context);
  wire::PutUintNonZero(out, 13, message.vote.value());
}

StatusOr<Message> DecodeMessage(std::string_view data) {
  Message out;
  const bool ok = Walk(data, [&](const Field& f) {
    switch (f.number) {
      case 1:
        return TakeEnum(f, 23, out.type);
      case 2:
        return Take(f, out.to);
      case 3:
        return Take(f, out.from);
      case 4:
        return Take(f, out.term);
      case 5:
        return Take(f, out.log_term);
      case 6:
        return Take(f, out.index);
      case 7:
        return TakeNested(f, DecodeEntry, out.entries.emplace_back());
      case 8:
        return Take(f, out.commit);
      case 9:
        return TakeNested(f, DecodeSnapshot, out.snapshot);
      case 10:
        return Take(f, out.reject);
      case 11:
        return Take(f, out.reject_hint);
      case 12:
        return Take(f, out.context);
      case 13:
        return Take(f, out.vote);
      default:
        return true;
    }
  });
  if (!ok) return Malformed("message");
  return out;
}

}  // namespace quoin::raft

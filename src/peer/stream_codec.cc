#include "peer/stream_codec.h"

#include <fmt/format.h>

#include <optional>

#include "base/check.h"
#include "raft_types/codec.h"

namespace quoin::peer {
namespace {

constexpr char kLinkHeartbeat = 0, kEntries = 1, kWhole = 2;
constexpr size_t kNumberBytes = 8;
// An entry of a record 1 takes at least its length, so this bounds what a count can promise.
constexpr uint64_t kEntriesMax = 1 << 20;

void PutNumber(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

std::optional<uint64_t> TakeNumber(std::string_view& data) {
  if (data.size() < kNumberBytes) return std::nullopt;
  uint64_t value = 0;
  for (size_t i = 0; i < kNumberBytes; ++i)
    value = value << 8 | static_cast<unsigned char>(data[i]);
  data.remove_prefix(kNumberBytes);
  return value;
}

// Writes the length in front of what `encode` appends.
template <typename Encode>
void PutSized(std::string& out, Encode encode) {
  const size_t at = out.size();
  out.append(kNumberBytes, '\0');
  encode();
  std::string length;
  PutNumber(length, out.size() - at - kNumberBytes);
  out.replace(at, kNumberBytes, length);
}

}  // namespace

void StreamEncoder::Encode(const raft::Message& message, std::string& out) {
  if (kind_ == StreamKind::kMessage) {
    return PutSized(out, [&] { raft::EncodeMessage(message, out); });
  }
  CHECK(message.type == raft::MessageType::kApp);
  const bool follows =
      index_ == message.index && term_ == message.log_term && term_ == message.term;
  if (follows) {
    out.push_back(kEntries);
    PutNumber(out, message.entries.size());
    for (const raft::Entry& entry : message.entries)
      PutSized(out, [&] { raft::EncodeEntry(entry, out); });
    PutNumber(out, message.commit.value());
    index_ = Index(index_.value() + message.entries.size());
    return;
  }
  out.push_back(kWhole);
  PutSized(out, [&] { raft::EncodeMessage(message, out); });
  term_ = message.term;
  index_ = message.entries.empty() ? message.index : message.entries.back().index;
}

void StreamEncoder::EncodeLinkHeartbeat(std::string& out) const {
  if (kind_ == StreamKind::kMsgApp) return out.push_back(kLinkHeartbeat);
  raft::Message heartbeat;
  heartbeat.type = raft::MessageType::kHeartbeat;
  PutSized(out, [&] { out.append("\x08\x08", 2); });  // the type alone
}

Status StreamDecoder::Feed(std::string_view bytes, std::vector<raft::Message>& out) {
  const bool buffered = !buffer_.empty();
  if (buffered) buffer_.append(bytes);
  std::string_view data = buffered ? std::string_view(buffer_) : bytes;
  for (;;) {
    ASSIGN_OR_RETURN(bool taken, TakeRecord(data, out));
    if (!taken) break;
  }
  if (buffered) {
    buffer_.erase(0, buffer_.size() - data.size());
  } else {
    buffer_.assign(data);
  }
  return OkStatus();
}

StatusOr<bool> StreamDecoder::TakeRecord(std::string_view& data, std::vector<raft::Message>& out) {
  if (data.empty()) return false;
  if (kind_ == StreamKind::kMessage) return TakeFrame(data, out);
  std::string_view rest = data.substr(1);
  bool taken = true;
  switch (data[0]) {
    case kLinkHeartbeat:
      break;
    case kEntries: {
      ASSIGN_OR_RETURN(taken, TakeEntries(rest, out));
      break;
    }
    case kWhole: {
      ASSIGN_OR_RETURN(taken, TakeFrame(rest, out));
      if (!taken) break;
      const raft::Message& message = out.back();
      if (message.type != raft::MessageType::kApp)
        return absl::InvalidArgumentError("a message that is no MsgApp on a msgapp stream");
      term_ = message.term;
      index_ = message.entries.empty() ? message.index : message.entries.back().index;
      break;
    }
    default:
      return absl::InvalidArgumentError(
          fmt::format("unknown record {} on a msgapp stream", static_cast<int>(data[0])));
  }
  if (taken) data = rest;
  return taken;
}

StatusOr<bool> StreamDecoder::TakeFrame(std::string_view& data, std::vector<raft::Message>& out) {
  std::string_view rest = data;
  std::optional<uint64_t> size = TakeNumber(rest);
  if (!size) return false;
  if (*size > message_bytes_max_)
    return absl::InvalidArgumentError(
        fmt::format("a message of {} bytes, at most {} are taken", *size, message_bytes_max_));
  if (rest.size() < *size) return false;
  ASSIGN_OR_RETURN(raft::Message message, raft::DecodeMessage(rest.substr(0, *size)));
  data = rest.substr(*size);
  const bool link_heartbeat = message.type == raft::MessageType::kHeartbeat &&
                              message.from == NodeId() && message.to == NodeId();
  if (kind_ == StreamKind::kMsgApp || !link_heartbeat) out.push_back(std::move(message));
  return true;
}

StatusOr<bool> StreamDecoder::TakeEntries(std::string_view& data, std::vector<raft::Message>& out) {
  std::string_view rest = data;
  std::optional<uint64_t> count = TakeNumber(rest);
  if (!count) return false;
  if (*count > kEntriesMax)
    return absl::InvalidArgumentError(fmt::format("{} entries in one message", *count));
  raft::Message message;
  message.type = raft::MessageType::kApp;
  message.from = from_;
  message.to = to_;
  message.term = message.log_term = term_;
  message.index = index_;
  for (uint64_t i = 0; i < *count; ++i) {
    std::optional<uint64_t> size = TakeNumber(rest);
    if (!size) return false;
    if (*size > message_bytes_max_ || data.size() - rest.size() > message_bytes_max_)
      return absl::InvalidArgumentError(fmt::format("an entry of {} bytes", *size));
    if (rest.size() < *size) return false;
    ASSIGN_OR_RETURN(raft::Entry entry, raft::DecodeEntry(rest.substr(0, *size)));
    message.entries.push_back(std::move(entry));
    rest.remove_prefix(*size);
  }
  std::optional<uint64_t> commit = TakeNumber(rest);
  if (!commit) return false;
  message.commit = Index(*commit);
  index_ = Index(index_.value() + *count);
  data = rest;
  out.push_back(std::move(message));
  return true;
}

}  // namespace quoin::peer

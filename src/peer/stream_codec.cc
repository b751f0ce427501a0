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
    ASSIGN_OR_RETURN(bool taken, TakePart(data, out));
    if (!taken) break;
  }
  if (buffered) {
    buffer_.erase(0, buffer_.size() - data.size());
  } else {
    buffer_.assign(data);
  }
  return OkStatus();
}

StatusOr<bool> StreamDecoder::TakePart(std::string_view& data, std::vector<raft::Message>& out) {
  if (open_) return open_entries_ > 0 ? TakeEntry(data) : TakeCommit(data, out);
  if (data.empty()) return false;
  if (kind_ == StreamKind::kMessage) return TakeFrame(data, out);
  std::string_view rest = data.substr(1);
  bool taken = true;
  switch (data[0]) {
    case kLinkHeartbeat:
      break;
    case kEntries: {
      ASSIGN_OR_RETURN(taken, BeginEntries(rest));
      break;
    }
    case kWhole: {
      ASSIGN_OR_RETURN(taken, TakeWhole(rest, out));
      break;
    }
    default:
      return absl::InvalidArgumentError(
          fmt::format("unknown record {} on a msgapp stream", static_cast<int>(data[0])));
  }
  if (taken) data = rest;
  return taken;
}

StatusOr<bool> StreamDecoder::TakeWhole(std::string_view& data, std::vector<raft::Message>& out) {
  ASSIGN_OR_RETURN(bool taken, TakeFrame(data, out));
  if (!taken) return false;
  const raft::Message& message = out.back();
  if (message.type != raft::MessageType::kApp) {
    out.pop_back();
    return absl::InvalidArgumentError("a message that is no MsgApp on a msgapp stream");
  }
  term_ = message.term;
  index_ = message.entries.empty() ? message.index : message.entries.back().index;
  return true;
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

StatusOr<bool> StreamDecoder::BeginEntries(std::string_view& data) {
  const std::optional<uint64_t> count = TakeNumber(data);
  if (!count) return false;
  if (*count > kEntriesMax)
    return absl::InvalidArgumentError(fmt::format("{} entries in one message", *count));
  open_.emplace();
  open_->type = raft::MessageType::kApp;
  open_->from = from_;
  open_->to = to_;
  open_->term = open_->log_term = term_;
  open_->index = index_;
  open_entries_ = *count;
  open_bytes_ = 0;
  return true;
}

StatusOr<bool> StreamDecoder::TakeEntry(std::string_view& data) {
  std::string_view rest = data;
  const std::optional<uint64_t> size = TakeNumber(rest);
  if (!size) return false;
  if (*size > message_bytes_max_ - open_bytes_)
    return absl::InvalidArgumentError(
        fmt::format("an entry of {} bytes behind {} bytes of its message, at most {} are taken",
                    *size, open_bytes_, message_bytes_max_));
  if (rest.size() < *size) return false;
  ASSIGN_OR_RETURN(raft::Entry entry, raft::DecodeEntry(rest.substr(0, *size)));
  open_->entries.push_back(std::move(entry));
  open_bytes_ += *size;
  --open_entries_;
  data = rest.substr(*size);
  return true;
}

bool StreamDecoder::TakeCommit(std::string_view& data, std::vector<raft::Message>& out) {
  const std::optional<uint64_t> commit = TakeNumber(data);
  if (!commit) return false;
  open_->commit = Index(*commit);
  index_ = Index(index_.value() + open_->entries.size());
  out.push_back(*std::move(open_));
  open_.reset();
  open_bytes_ = 0;
  return true;
}

}  // namespace quoin::peer

#include "bench/watch_connection.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "bench/wire.h"

namespace quoin::bench {
namespace {

constexpr size_t kFrameHeaderBytes = 9;
constexpr size_t kFrameBytesMax = 16384;
constexpr size_t kPrefixBytes = 5;  // of a gRPC message
constexpr std::string_view kPath = "/etcdserverpb.Watch/Watch";

constexpr uint8_t kAck = 0x1;
constexpr uint8_t kEndHeaders = 0x4;
constexpr uint8_t kEndStream = 0x1;

void AppendNumber(std::string& out, uint32_t field, int64_t value) {
  if (value == 0) return;
  AppendVarint(out, field << 3);
  AppendVarint(out, static_cast<uint64_t>(value));
}

void AppendBytes(std::string& out, uint32_t field, std::string_view bytes) {
  if (bytes.empty()) return;
  AppendVarint(out, field << 3 | 2);
  AppendVarint(out, bytes.size());
  out += bytes;
}

// A message inside a message, and gRPC's prefix before it.
std::string Framed(uint32_t field, std::string_view inner) {
  std::string message;
  AppendVarint(message, field << 3 | 2);
  AppendVarint(message, inner.size());
  message += inner;
  std::string out(1, '\0');
  Append32(out, static_cast<uint32_t>(message.size()));
  return out + message;
}

// The fields of a message, one after another.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  // False at the end, or when the bytes are no message: see ok().
  bool Next() {
    if (rest_.empty()) return false;
    uint64_t tag;
    ok_ = TakeVarint(rest_, tag) && TakeVarint(rest_, value) && ((tag & 7) == 0 || (tag & 7) == 2);
    if (!ok_) return false;
    field = static_cast<uint32_t>(tag >> 3);
    bytes = {};
    if ((tag & 7) == 0) return true;
    if (value > rest_.size()) return ok_ = false;
    bytes = rest_.substr(0, value);
    rest_.remove_prefix(value);
    return true;
  }
  bool ok() const { return ok_; }

  uint32_t field = 0;
  uint64_t value = 0;      // of a number
  std::string_view bytes;  // of everything else

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// A header by value, never put into the server's table; texts are shorter than 127 bytes.
void AppendHeader(std::string& block, std::string_view name, std::string_view value) {
  block += '\0';
  block += static_cast<char>(name.size());
  block += name;
  block += static_cast<char>(value.size());
  block += value;
}

}  // namespace

WatchConnection::WatchConnection(std::string_view authority, size_t streams, uint32_t window,
                                 Observer& observer)
    : window_(window), observer_(observer), streams_(streams) {
  output_ = NGHTTP2_CLIENT_MAGIC;
  std::string settings;
  if (window_ != 0) {
    settings += std::string_view("\0\4", 2);  // SETTINGS_INITIAL_WINDOW_SIZE
    Append32(settings, window_);
  }
  WriteFrame(NGHTTP2_SETTINGS, 0, 0, settings);
  if (window_ != 0) WriteWindowUpdate(0, window_ - 65535);
  std::string block;
  AppendHeader(block, ":method", "POST");
  AppendHeader(block, ":scheme", "http");
  AppendHeader(block, ":path", kPath);
  AppendHeader(block, ":authority", authority);
  AppendHeader(block, "content-type", "application/grpc");
  AppendHeader(block, "te", "trailers");
  for (uint32_t i = 0; i < streams; ++i) WriteFrame(NGHTTP2_HEADERS, kEndHeaders, 2 * i + 1, block);
}

bool WatchConnection::Fail(std::string why) {
  error_ = std::move(why);
  return false;
}

void WatchConnection::WriteFrame(uint8_t type, uint8_t flags, uint32_t stream,
                                 std::string_view payload) {
  Append32(output_, static_cast<uint32_t>(payload.size()) << 8 | type);
  output_ += static_cast<char>(flags);
  Append32(output_, stream);
  output_ += payload;
}

void WatchConnection::WriteWindowUpdate(uint32_t stream, uint32_t bytes) {
  std::string update;
  Append32(update, bytes);
  WriteFrame(NGHTTP2_WINDOW_UPDATE, 0, stream, update);
}

// --- requests ---

void WatchConnection::Create(size_t stream, const WatchRequest& request) {
  std::string create;
  AppendBytes(create, 1, request.key);
  AppendBytes(create, 2, request.range_end);
  AppendNumber(create, 3, request.start_revision);
  AppendNumber(create, 6, request.prev_kv);
  AppendNumber(create, 7, request.watch_id);
  SendMessage(stream, Framed(1, create));
}

void WatchConnection::Cancel(size_t stream, int64_t watch_id) {
  std::string cancel;
  AppendNumber(cancel, 1, watch_id);
  SendMessage(stream, Framed(2, cancel));
}

void WatchConnection::SendMessage(size_t stream, std::string_view message) {
  streams_[stream].to_send += message;
  SendWaiting(stream);
}

void WatchConnection::SendWaiting(size_t number) {
  Stream& stream = streams_[number];
  size_t sent = 0;
  while (sent < stream.to_send.size()) {
    const int64_t room = std::min(send_window_, stream.send_window);
    if (room <= 0) break;
    const size_t size =
        std::min({stream.to_send.size() - sent, static_cast<size_t>(room), kFrameBytesMax});
    WriteFrame(NGHTTP2_DATA, 0, static_cast<uint32_t>(2 * number + 1),
               std::string_view(stream.to_send).substr(sent, size));
    send_window_ -= static_cast<int64_t>(size);
    stream.send_window -= static_cast<int64_t>(size);
    sent += size;
  }
  stream.to_send.erase(0, sent);
}

// --- what the server says ---

bool WatchConnection::Receive(std::string_view bytes) {
  // The frame that was cut is completed first; the others are read where they stand.
  while (!input_.empty() && !bytes.empty()) {
    const size_t wanted = input_.size() < kFrameHeaderBytes
                              ? kFrameHeaderBytes
                              : kFrameHeaderBytes + (Read32(input_) >> 8);
    const size_t more = std::min(wanted - input_.size(), bytes.size());
    input_ += bytes.substr(0, more);
    bytes.remove_prefix(more);
    input_.erase(0, OnFrames(input_));
    if (!error_.empty()) return false;
  }
  bytes.remove_prefix(OnFrames(bytes));
  input_ += bytes;
  return error_.empty();
}

// Returns how many bytes were whole frames.
size_t WatchConnection::OnFrames(std::string_view bytes) {
  size_t at = 0;
  while (bytes.size() - at >= kFrameHeaderBytes) {
    const std::string_view header = bytes.substr(at, kFrameHeaderBytes);
    const size_t length = Read32(header) >> 8;
    if (length > kFrameBytesMax) {
      Fail("frame too large");
      break;
    }
    if (bytes.size() - at < kFrameHeaderBytes + length) break;
    if (!OnFrame(header, bytes.substr(at + kFrameHeaderBytes, length))) break;
    at += kFrameHeaderBytes + length;
  }
  return at;
}

bool WatchConnection::OnFrame(std::string_view header, std::string_view payload) {
  const auto flags = static_cast<uint8_t>(header[4]);
  const uint32_t id = Read32(header.substr(5)) & 0x7fffffff;
  const size_t stream = id / 2;
  if (id != 0 && stream >= streams_.size()) return Fail("a stream that we did not open");
  switch (static_cast<uint8_t>(header[3])) {
    case NGHTTP2_DATA:
      return OnData(stream, payload);
    case NGHTTP2_HEADERS:
      return (flags & kEndStream) == 0 || Fail("a stream ended");
    case NGHTTP2_RST_STREAM:
      return Fail("a stream was reset");
    case NGHTTP2_GOAWAY:
      return Fail("the server said goodbye");
    case NGHTTP2_SETTINGS:
      return (flags & kAck) != 0 || OnSettings(payload);
    case NGHTTP2_PING:
      if ((flags & kAck) == 0) WriteFrame(NGHTTP2_PING, kAck, 0, payload);
      return true;
    case NGHTTP2_WINDOW_UPDATE:
      if (payload.size() != 4) return Fail("bad window update");
      (id == 0 ? send_window_ : streams_[stream].send_window) += Read32(payload) & 0x7fffffff;
      for (size_t i = 0; i < streams_.size(); ++i) SendWaiting(i);
      return true;
    default:
      return true;
  }
}

bool WatchConnection::OnSettings(std::string_view payload) {
  for (; payload.size() >= 6; payload.remove_prefix(6)) {
    if (Read32(payload) >> 16 != NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) continue;
    const int64_t window = Read32(payload.substr(2));
    for (Stream& stream : streams_) stream.send_window += window - initial_window_;
    initial_window_ = window;
  }
  WriteFrame(NGHTTP2_SETTINGS, kAck, 0, "");
  return true;
}

bool WatchConnection::OnData(size_t number, std::string_view payload) {
  Stream& stream = streams_[number];
  received_ += payload.size();
  stream.received += payload.size();
  if (window_ != 0 && received_ > window_ / 2)
    WriteWindowUpdate(0, static_cast<uint32_t>(std::exchange(received_, 0)));
  if (window_ != 0 && stream.received > window_ / 2)
    WriteWindowUpdate(static_cast<uint32_t>(2 * number + 1),
                      static_cast<uint32_t>(std::exchange(stream.received, 0)));
  while (!payload.empty()) {
    if (stream.partial.empty() && payload.size() >= kPrefixBytes) {
      const size_t whole = kPrefixBytes + Read32(payload.substr(1));
      if (payload.size() >= whole) {
        if (!OnResponse(number, payload.substr(kPrefixBytes, whole - kPrefixBytes))) return false;
        payload.remove_prefix(whole);
        continue;
      }
    }
    std::string& partial = stream.partial;
    const size_t wanted = partial.size() < kPrefixBytes
                              ? kPrefixBytes
                              : kPrefixBytes + Read32(std::string_view(partial).substr(1));
    const size_t more = std::min(wanted - partial.size(), payload.size());
    partial += payload.substr(0, more);
    payload.remove_prefix(more);
    if (partial.size() < kPrefixBytes ||
        partial.size() < kPrefixBytes + Read32(std::string_view(partial).substr(1)))
      continue;
    if (!OnResponse(number, std::string_view(partial).substr(kPrefixBytes))) return false;
    partial.clear();
  }
  return true;
}

bool WatchConnection::OnResponse(size_t stream, std::string_view message) {
  int64_t watch_id = 0;
  bool created = false, canceled = false;
  Fields fields(message);
  while (fields.Next()) {
    // Events stand behind everything else.
    switch (fields.field) {
      case 2:
        watch_id = static_cast<int64_t>(fields.value);
        break;
      case 3:
        created = fields.value != 0;
        break;
      case 4:
        canceled = fields.value != 0;
        break;
      case 11:
        observer_.OnEvent(stream, watch_id, fields.bytes);
        break;
      default:
        break;
    }
  }
  if (!fields.ok()) return Fail("a response is malformed");
  if (canceled) {
    observer_.OnCanceled(stream, watch_id);
  } else if (created) {
    observer_.OnCreated(stream, watch_id);
  }
  return true;
}

}  // namespace quoin::bench

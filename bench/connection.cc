#include "bench/connection.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "bench/wire.h"

namespace quoin::bench {
namespace {

constexpr size_t kFrameHeaderBytes = 9;
constexpr size_t kFrameBytesMax = 16384;  // we never raise it, so the server may not send more
constexpr uint32_t kOurStreamWindow = 1 << 20;
constexpr uint32_t kOurConnectionWindow = 1 << 30;

constexpr uint8_t kEndStream = 0x1;
constexpr uint8_t kAck = 0x1;
constexpr uint8_t kEndHeaders = 0x4;
constexpr uint8_t kPadded = 0x8;
constexpr uint8_t kPriority = 0x20;

// Positions in inserted_.
enum TableHeader : size_t {
  kAuthority,
  kContentType,
  kTe,
  kFirstPath,
  kTableHeaders = kFirstPath + kKindCount
};

// Static table of HPACK.
constexpr uint8_t kStaticAuthority = 1;
constexpr uint8_t kStaticPath = 4;
constexpr char kMethodPost = static_cast<char>(0x80 | 3);
constexpr char kSchemeHttp = static_cast<char>(0x80 | 6);
constexpr uint8_t kStaticContentType = 31;
constexpr size_t kStaticEntries = 61;

// A string without Huffman coding. Ours are shorter than 127 bytes.
void AppendText(std::string& block, std::string_view text) {
  block += static_cast<char>(text.size());
  block += text;
}

}  // namespace

Connection::Connection(std::string authority, size_t streams, RequestSource& source,
                       Observer& observer)
    : authority_(std::move(authority)),
      source_(source),
      observer_(observer),
      streams_(streams),
      inserted_(kTableHeaders) {
  if (nghttp2_hd_inflate_new(&inflater_) != 0) std::abort();
  output_ = NGHTTP2_CLIENT_MAGIC;
  std::string settings;
  settings += std::string_view("\0\4", 2);  // SETTINGS_INITIAL_WINDOW_SIZE
  Append32(settings, kOurStreamWindow);
  WriteFrame(NGHTTP2_SETTINGS, 0, 0, settings);
  std::string update;
  Append32(update, kOurConnectionWindow);
  WriteFrame(NGHTTP2_WINDOW_UPDATE, 0, 0, update);
}

Connection::~Connection() { nghttp2_hd_inflate_del(inflater_); }

bool Connection::Fail(std::string why) {
  error_ = std::move(why);
  return false;
}

void Connection::WriteFrame(uint8_t type, uint8_t flags, uint32_t stream,
                            std::string_view payload) {
  const size_t length = payload.size();
  output_ += static_cast<char>(length >> 16);
  output_ += static_cast<char>(length >> 8);
  output_ += static_cast<char>(length);
  output_ += static_cast<char>(type);
  output_ += static_cast<char>(flags);
  Append32(output_, stream);
  output_ += payload;
}

void Connection::AppendTableHeader(std::string& block, size_t which, uint8_t static_name,
                                   std::string_view name, std::string_view value) {
  if (inserted_[which] != 0) {  // the newest entry has the lowest index
    block += static_cast<char>(0x80 | (kStaticEntries + 1 + insertions_ - inserted_[which]));
    return;
  }
  inserted_[which] = ++insertions_;
  block += static_cast<char>(0x40 | static_name);
  if (static_name == 0) AppendText(block, name);
  AppendText(block, value);
}

void Connection::WriteRequest(Stream& stream, std::string_view message) {
  std::string block;
  block += kMethodPost;
  block += kSchemeHttp;
  const size_t kind = static_cast<size_t>(stream.kind);
  AppendTableHeader(block, kFirstPath + kind, kStaticPath, ":path", kPaths[kind]);
  AppendTableHeader(block, kAuthority, kStaticAuthority, ":authority", authority_);
  AppendTableHeader(block, kContentType, kStaticContentType, "content-type", "application/grpc");
  AppendTableHeader(block, kTe, 0, "te", "trailers");
  WriteFrame(NGHTTP2_HEADERS, kEndHeaders, stream.id, block);
  while (message.size() > kFrameBytesMax) {
    WriteFrame(NGHTTP2_DATA, 0, stream.id, message.substr(0, kFrameBytesMax));
    message.remove_prefix(kFrameBytesMax);
  }
  WriteFrame(NGHTTP2_DATA, kEndStream, stream.id, message);
}

size_t Connection::StartCalls(uint64_t now, size_t most) {
  size_t started = 0;
  for (Stream& stream : streams_) {
    if (stream.id != 0) continue;
    if (started == most || running_ >= streams_max_ || source_done_) break;
    if (!message_ready_) {
      if (!source_.Ready()) break;
      message_.clear();
      const std::optional<Kind> kind = source_.Next(message_);
      if (!kind) {
        source_done_ = true;
        break;
      }
      message_kind_ = *kind;
      message_ready_ = true;
    }
    // A message goes out whole or waits: the server gives window back as it reads.
    const auto size = static_cast<int64_t>(message_.size());
    if (size > send_window_ || size > stream_window_) break;
    send_window_ -= size;
    stream = {next_stream_id_, message_kind_, now, false};
    next_stream_id_ += 2;
    ++running_;
    ++started;
    message_ready_ = false;
    WriteRequest(stream, message_);
  }
  return started;
}

bool Connection::Receive(std::string_view bytes) {
  if (!input_.empty()) {
    input_ += bytes;
    bytes = input_;
  }
  while (bytes.size() >= kFrameHeaderBytes) {
    const size_t length = Read32(bytes) >> 8;
    if (length > kFrameBytesMax) return Fail("frame too large");
    if (bytes.size() < kFrameHeaderBytes + length) break;
    const Frame frame{static_cast<uint8_t>(bytes[3]), static_cast<uint8_t>(bytes[4]),
                      Read32(bytes.substr(5)) & 0x7fffffff,
                      bytes.substr(kFrameHeaderBytes, length)};
    if (!OnFrame(frame)) return false;
    bytes.remove_prefix(kFrameHeaderBytes + length);
  }
  input_ = std::string(bytes);  // at most one frame
  return true;
}

bool Connection::OnFrame(const Frame& frame) {
  switch (frame.type) {
    case NGHTTP2_DATA:
      received_since_update_ += frame.payload.size();
      if (received_since_update_ > kOurConnectionWindow / 2) {
        std::string update;
        Append32(update, static_cast<uint32_t>(std::exchange(received_since_update_, 0)));
        WriteFrame(NGHTTP2_WINDOW_UPDATE, 0, 0, update);
      }
      if ((frame.flags & kEndStream) != 0) EndCall(frame.stream, false);  // gRPC ends with trailers
      return true;
    case NGHTTP2_HEADERS:
      return OnHeaders(frame);
    case NGHTTP2_RST_STREAM:
      EndCall(frame.stream, false);
      return true;
    case NGHTTP2_SETTINGS:
      return OnSettings(frame);
    case NGHTTP2_PING:
      if ((frame.flags & kAck) == 0) WriteFrame(NGHTTP2_PING, kAck, 0, frame.payload);
      return true;
    case NGHTTP2_GOAWAY:
      return Fail("the server said goodbye");
    case NGHTTP2_WINDOW_UPDATE:
      return OnWindowUpdate(frame);
    case NGHTTP2_CONTINUATION:
      return Fail("header block in several frames");
    default:
      return true;
  }
}

bool Connection::OnHeaders(const Frame& frame) {
  if ((frame.flags & kEndHeaders) == 0) return Fail("header block in several frames");
  std::string_view block = frame.payload;
  if ((frame.flags & kPadded) != 0) {
    if (block.empty() || static_cast<unsigned char>(block[0]) >= block.size())
      return Fail("bad padding");
    block = block.substr(1, block.size() - 1 - static_cast<unsigned char>(block[0]));
  }
  if ((frame.flags & kPriority) != 0) {
    if (block.size() < 5) return Fail("bad priority");
    block.remove_prefix(5);
  }
  bool grpc_ok = false;
  if (!Inflate(block, grpc_ok)) return Fail("undecodable header block");
  if ((frame.flags & kEndStream) != 0) EndCall(frame.stream, grpc_ok);
  return true;
}

bool Connection::Inflate(std::string_view block, bool& grpc_ok) {
  const auto* in = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  while (true) {
    nghttp2_nv header;
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &header, &flags, in, left, 1);
    if (used < 0) return false;
    in += used;
    left -= static_cast<size_t>(used);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && header.namelen == 11 && header.valuelen == 1 &&
        std::string_view(reinterpret_cast<const char*>(header.name), 11) == "grpc-status") {
      grpc_ok = header.value[0] == '0';
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
      nghttp2_hd_inflate_end_headers(inflater_);
      return true;
    }
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0) return true;
  }
}

bool Connection::OnSettings(const Frame& frame) {
  if ((frame.flags & kAck) != 0) return true;
  streams_max_ = streams_.size();
  for (std::string_view rest = frame.payload; rest.size() >= 6; rest.remove_prefix(6)) {
    const uint32_t id = Read32(rest) >> 16;
    const uint32_t value = Read32(rest.substr(2));
    if (id == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) stream_window_ = value;
    if (id == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
      streams_max_ = std::min<size_t>(value, streams_.size());
  }
  WriteFrame(NGHTTP2_SETTINGS, kAck, 0, "");
  return true;
}

bool Connection::OnWindowUpdate(const Frame& frame) {
  if (frame.payload.size() != 4) return Fail("bad window update");
  if (frame.stream == 0) send_window_ += Read32(frame.payload) & 0x7fffffff;
  return true;
}

Connection::Stream* Connection::Find(uint32_t id) {
  for (Stream& stream : streams_) {
    if (stream.id == id) return &stream;
  }
  return nullptr;
}

void Connection::EndCall(uint32_t id, bool ok) {
  Stream* stream = id == 0 ? nullptr : Find(id);
  if (stream == nullptr) return;
  stream->id = 0;
  --running_;
  observer_.OnCallEnd(stream->kind, stream->started_at, ok);
}

}  // namespace quoin::bench

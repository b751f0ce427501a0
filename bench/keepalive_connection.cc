#include "bench/keepalive_connection.h"

#include <nghttp2/nghttp2.h>

#include <cstring>

#include "bench/system.h"
#include "bench/wire.h"

namespace quoin::bench {
namespace {

constexpr size_t kPrefixBytes = 5;  // of a gRPC message
constexpr int32_t kWindowBytes = 1 << 30;

nghttp2_nv Header(std::string_view name, std::string_view value) {
  auto bytes = [](std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

struct KeepAliveCallbacks {
  using Stream = KeepAliveConnection::Stream;

  static ssize_t Read(nghttp2_session*, int32_t, uint8_t* to, size_t room, uint32_t*,
                      nghttp2_data_source* source, void*) {
    auto& stream = *static_cast<Stream*>(source->ptr);
    if (stream.to_send.empty()) {
      stream.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    std::string& message = stream.to_send.front();
    const size_t size = std::min(room, message.size());
    std::memcpy(to, message.data(), size);
    message.erase(0, size);
    if (message.empty()) stream.to_send.pop_front();
    return static_cast<ssize_t>(size);
  }
  static int OnData(nghttp2_session* h2, uint8_t, int32_t id, const uint8_t* data, size_t size,
                    void* user) {
    auto* stream = static_cast<Stream*>(nghttp2_session_get_stream_user_data(h2, id));
    if (stream != nullptr)
      static_cast<KeepAliveConnection*>(user)->OnData(*stream,
                                                      {reinterpret_cast<const char*>(data), size});
    return 0;
  }
  static int OnClose(nghttp2_session*, int32_t, uint32_t, void* user) {
    static_cast<KeepAliveConnection*>(user)->error_ = "a stream ended";
    return 0;
  }
};

KeepAliveConnection::KeepAliveConnection(const std::string& authority, size_t streams,
                                         Observer& observer)
    : observer_(observer), streams_(streams) {
  nghttp2_session_callbacks* callbacks;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) Die("nghttp2");
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, KeepAliveCallbacks::OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, KeepAliveCallbacks::OnClose);
  if (nghttp2_session_client_new(&h2_, callbacks, this) != 0) Die("nghttp2");
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes}};
  nghttp2_submit_settings(h2_, NGHTTP2_FLAG_NONE, settings, 1);
  nghttp2_session_set_local_window_size(h2_, NGHTTP2_FLAG_NONE, 0, kWindowBytes);
  const nghttp2_nv headers[] = {Header(":method", "POST"),
                                Header(":scheme", "http"),
                                Header(":path", "/etcdserverpb.Lease/LeaseKeepAlive"),
                                Header(":authority", authority),
                                Header("content-type", "application/grpc"),
                                Header("te", "trailers")};
  for (Stream& stream : streams_) {
    nghttp2_data_provider provider{};
    provider.source.ptr = &stream;
    provider.read_callback = KeepAliveCallbacks::Read;
    stream.id = nghttp2_submit_request(h2_, nullptr, headers, 6, &provider, &stream);
    if (stream.id < 0) Die(nghttp2_strerror(stream.id));
  }
}

KeepAliveConnection::~KeepAliveConnection() { nghttp2_session_del(h2_); }

void KeepAliveConnection::Renew(size_t number, int64_t id) {
  Stream& stream = streams_[number];
  std::string message(kPrefixBytes, '\0');
  message += '\10';  // field 1, a number
  AppendVarint(message, static_cast<uint64_t>(id));
  message[kPrefixBytes - 1] = static_cast<char>(message.size() - kPrefixBytes);
  stream.to_send.push_back(std::move(message));
  if (!stream.deferred) return;
  stream.deferred = false;
  nghttp2_session_resume_data(h2_, stream.id);
}

std::string& KeepAliveConnection::output() {
  const uint8_t* data;
  for (ssize_t size; (size = nghttp2_session_mem_send(h2_, &data)) > 0;)
    output_.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
  return output_;
}

bool KeepAliveConnection::Receive(std::string_view bytes) {
  const ssize_t used =
      nghttp2_session_mem_recv(h2_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (used < 0) error_ = nghttp2_strerror(static_cast<int>(used));
  return error_.empty();
}

void KeepAliveConnection::OnData(Stream& stream, std::string_view bytes) {
  stream.partial += bytes;
  std::string_view rest = stream.partial;
  while (rest.size() >= kPrefixBytes) {
    size_t size = 0;
    for (size_t i = 1; i < kPrefixBytes; ++i) size = size << 8 | static_cast<uint8_t>(rest[i]);
    if (rest.size() < kPrefixBytes + size) break;
    OnMessage(stream, rest.substr(kPrefixBytes, size));
    rest.remove_prefix(kPrefixBytes + size);
  }
  stream.partial.erase(0, stream.partial.size() - rest.size());
}

void KeepAliveConnection::OnMessage(const Stream& stream, std::string_view message) {
  uint64_t id = 0, ttl = 0, tag = 0, value = 0;
  while (TakeVarint(message, tag) && TakeVarint(message, value)) {
    if (tag == (1 << 3 | 2)) message.remove_prefix(std::min<size_t>(value, message.size()));
    if (tag == 2 << 3) id = value;
    if (tag == 3 << 3) ttl = value;
  }
  if (!message.empty()) error_ = "a response is malformed";
  observer_.OnRenewed(static_cast<size_t>(&stream - streams_.data()), static_cast<int64_t>(id),
                      static_cast<int64_t>(ttl));
}

}  // namespace quoin::bench

#include "rpc/http2_callbacks.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "rpc/http2_call.h"
#include "rpc/http2_session.h"

namespace quoin::rpc {
namespace {

// nghttp2's own limit of resets knows nothing of completed calls: FloodGuard decides.
constexpr uint64_t kLibraryResetsMax = uint64_t{1} << 32;

std::string_view Text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

nghttp2_nv HeaderField(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

nghttp2_session* Http2Callbacks::NewSession(Http2Session& session) {
  nghttp2_session* h2;
  nghttp2_session_callbacks* callbacks;
  CHECK_EQ(nghttp2_session_callbacks_new(&callbacks), 0);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
  nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, OnDoubtfulHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, OnFrameSent);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
  nghttp2_option* option;
  CHECK_EQ(nghttp2_option_new(&option), 0);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_outbound_ack(option, 1000);
  nghttp2_option_set_stream_reset_rate_limit(option, kLibraryResetsMax, kLibraryResetsMax);
  nghttp2_option_set_no_auto_window_update(option, 1);  // see Http2Call::OnData
  CHECK_EQ(nghttp2_session_server_new2(&h2, callbacks, &session, option), 0);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  return h2;
}

int Http2Callbacks::OnBeginHeaders(nghttp2_session* h2, const nghttp2_frame* frame, void* user) {
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  Http2Session& self = Of(user);
  auto call = std::make_unique<Http2Call>(self, frame->hd.stream_id);
  nghttp2_session_set_stream_user_data(h2, frame->hd.stream_id, call.get());
  self.heading_ = call.get();
  self.calls_.emplace(frame->hd.stream_id, std::move(call));
  self.SweepTimer();
  return 0;
}

// After a failure nghttp2 decodes the rest of the block, which its table needs, for nobody.
template <auto kAdd>
int Http2Callbacks::TakeHeader(nghttp2_session* h2, const nghttp2_frame* frame,
                               std::string_view name, std::string_view value, void* user) {
  Http2Session& self = Of(user);
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  // Looked up once a request, not once a field.
  const bool known = self.heading_ != nullptr && self.heading_->id_ == frame->hd.stream_id;
  Http2Call* call = known ? self.heading_ : Call(h2, frame->hd.stream_id);
  if (call == nullptr) return 0;
  const bool request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
  const RequestHeaders::Verdict verdict =
      request ? (call->headers_.*kAdd)(self.context_.dispatcher, name, value)
              : call->headers_.AddTrailer(name, value);
  if (verdict == RequestHeaders::Verdict::kTaken) return 0;
  const bool flood = verdict == RequestHeaders::Verdict::kTooMuch;
  nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                            flood ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
  if (flood) self.Condemn(self.guard_.NoteHeaderFlood());
  return self.Outcome(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE);
}

int Http2Callbacks::OnHeader(nghttp2_session* h2, const nghttp2_frame* frame, const uint8_t* name,
                             size_t name_bytes, const uint8_t* value, size_t value_bytes, uint8_t,
                             void* user) {
  return TakeHeader<&RequestHeaders::Add>(h2, frame, Text(name, name_bytes),
                                          Text(value, value_bytes), user);
}

int Http2Callbacks::OnDoubtfulHeader(nghttp2_session* h2, const nghttp2_frame* frame,
                                     const uint8_t* name, size_t name_bytes, const uint8_t* value,
                                     size_t value_bytes, uint8_t, void* user) {
  return TakeHeader<&RequestHeaders::AddDoubtful>(h2, frame, Text(name, name_bytes),
                                                  Text(value, value_bytes), user);
}

int Http2Callbacks::OnFrame(nghttp2_session* h2, const nghttp2_frame* frame, void* user) {
  Http2Session& self = Of(user);
  if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) self.NotePing();
  if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
    self.ping_outstanding_ = false;
  if (frame->hd.type == NGHTTP2_RST_STREAM) NoteReset(self, Call(h2, frame->hd.stream_id));
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return self.Outcome(0);
  Http2Call* call = Call(h2, frame->hd.stream_id);
  if (call == nullptr) return 0;
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
    call->Begin();
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) call->OnEnd();
  return 0;
}

int Http2Callbacks::OnFrameSent(nghttp2_session* h2, const nghttp2_frame* frame, void* user) {
  Http2Session& self = Of(user);
  if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
    NoteReset(self, Call(h2, frame->hd.stream_id));
  // A call that has ended needs nothing more of the client: RFC 9113 §8.1 lets the server say so.
  const bool ends =
      frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (!ends) return 0;
  const Http2Call* call = Call(h2, frame->hd.stream_id);
  if (call != nullptr && !call->ended_by_client_)
    nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
  return 0;
}

// Resets of calls that have answered something cost their client as much as the server.
void Http2Callbacks::NoteReset(Http2Session& self, const Http2Call* call) {
  if (call == nullptr || !call->answered_) self.Condemn(self.guard_.NoteReset());
}

int Http2Callbacks::OnData(nghttp2_session* h2, uint8_t, int32_t id, const uint8_t* data,
                           size_t size, void*) {
  nghttp2_session_consume_connection(h2, size);
  if (Http2Call* call = Call(h2, id)) call->OnData(Text(data, size));
  return 0;
}

int Http2Callbacks::OnClose(nghttp2_session*, int32_t id, uint32_t, void* user) {
  Http2Session& self = Of(user);
  auto call = self.calls_.find(id);
  if (call == self.calls_.end()) return 0;
  if (call->second->finished_)
    self.guard_.NoteCompleted();
  else
    call->second->Cancel(absl::CancelledError("context canceled"));
  if (self.heading_ == call->second.get()) self.heading_ = nullptr;
  // Its handler may be on the stack, and may still send into the void.
  self.retired_calls_.push_back(std::move(call->second));
  self.calls_.erase(call);
  return 0;
}

ssize_t Http2Callbacks::Read(nghttp2_session* h2, int32_t id, uint8_t* to, size_t room,
                             uint32_t* flags, nghttp2_data_source*, void*) {
  Http2Call* call = Call(h2, id);
  if (call == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (call->given_up_) return NGHTTP2_ERR_DEFERRED;  // its reset is on the way
  const size_t done = call->TakeBytes(to, room);
  if (done > 0) {
    call->session_.guard_.NoteAnswer();
    call->answered_ = true;
    if (call->out_bytes_ > 0) call->session_.memory_->Touch(*call);
    call->Account();
  }
  if (call->was_full_ && call->out_bytes_ == 0) call->session_.drained_.push_back(id);
  if (!call->out_.empty()) return static_cast<ssize_t>(done);
  if (!call->finished_) {
    if (done > 0) return static_cast<ssize_t>(done);
    call->deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
  const bool ok = call->trailer_message_.empty();
  const nghttp2_nv trailers[] = {HeaderField("grpc-status", call->trailer_status_),
                                 HeaderField("grpc-message", call->trailer_message_)};
  nghttp2_submit_trailer(h2, id, trailers, ok ? 1 : 2);
  return static_cast<ssize_t>(done);
}

}  // namespace quoin::rpc

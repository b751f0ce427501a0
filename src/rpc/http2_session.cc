#include "rpc/http2_session.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace quoin::rpc {
namespace {

constexpr int32_t kStreamWindowBytes = 1 << 20;
constexpr int32_t kConnectionWindowBytes = 16 << 20;
constexpr size_t kConnectionUnsentBytesMax =
    1 << 20;  // above it nothing more is produced, and reading stops
constexpr size_t kWriteChunkBytes = 64 * 1024;
constexpr size_t kSharedChunkBytes = 4096;
constexpr uint64_t kResetsBeyondCompletedMax =
    1000;  // rapid reset: more than this, and the client is cut off
constexpr int kPingStrikesMax = 2;
constexpr env::Duration kIdlePingMin =
    std::chrono::hours(2);  // without calls, if those are not permitted

nghttp2_nv Header(std::string_view name, std::string_view value, bool copy_value) {
  const int flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | (copy_value ? 0 : NGHTTP2_NV_FLAG_NO_COPY_VALUE);
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          static_cast<uint8_t>(flags)};
}

Status MalformedMethodName(std::string_view path) {
  return absl::UnimplementedError("malformed method name: \"" + std::string(path) + "\"");
}

}  // namespace

// --- nghttp2's callbacks ---

struct Http2Callbacks {
  static Http2Session& Of(void* user) { return *static_cast<Http2Session*>(user); }
  static Http2Call* Call(nghttp2_session* h2, int32_t id) {
    return static_cast<Http2Call*>(nghttp2_session_get_stream_user_data(h2, id));
  }

  static int OnBeginHeaders(nghttp2_session* h2, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Http2Session& self = Of(user);
    auto call = std::make_unique<Http2Call>(self, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(h2, frame->hd.stream_id, call.get());
    self.calls_.emplace(frame->hd.stream_id, std::move(call));
    return 0;
  }

  static int OnHeader(nghttp2_session* h2, const nghttp2_frame* frame, const uint8_t* name_at,
                      size_t name_bytes, const uint8_t* value_at, size_t value_bytes, uint8_t,
                      void*) {
    Http2Call* call = Call(h2, frame->hd.stream_id);
    if (call == nullptr || frame->hd.type != NGHTTP2_HEADERS) return 0;
    const std::string_view name(reinterpret_cast<const char*>(name_at), name_bytes);
    const std::string_view value(reinterpret_cast<const char*>(value_at), value_bytes);
    if (name == ":path")
      call->path_ = value;
    else if (name == ":method")
      call->http_method_ = value;
    else if (name == "content-type")
      call->content_type_ = value;
    else if (name == "grpc-encoding")
      call->encoding_ = value;
    else if (name == "grpc-timeout")
      call->timeout_ = value;
    else if (name[0] != ':' && name != "te")
      call->metadata_.emplace_back(name, value);
    return 0;
  }

  // Header values that nghttp2 finds invalid (bytes that are no field content) still reach the
  // call: etcd answers them.
  static int OnInvalidHeader(nghttp2_session* h2, const nghttp2_frame* frame, const uint8_t* name,
                             size_t name_bytes, const uint8_t* value, size_t value_bytes,
                             uint8_t flags, void* user) {
    return OnHeader(h2, frame, name, name_bytes, value, value_bytes, flags, user);
  }

  static int OnFrame(nghttp2_session* h2, const nghttp2_frame* frame, void* user) {
    Http2Session& self = Of(user);
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
      self.NotePing();
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
      self.ping_outstanding_ = false;
    if (frame->hd.type == NGHTTP2_RST_STREAM) self.NoteReset();
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Http2Call* call = Call(h2, frame->hd.stream_id);
    if (call == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
      call->Begin();
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) call->OnEnd();
    return 0;
  }

  static int OnData(nghttp2_session* h2, uint8_t, int32_t id, const uint8_t* data, size_t size,
                    void*) {
    nghttp2_session_consume_connection(h2, size);
    if (Http2Call* call = Call(h2, id))
      call->OnData(std::string_view(reinterpret_cast<const char*>(data), size));
    return 0;
  }

  static int OnClose(nghttp2_session*, int32_t id, uint32_t, void* user) {
    Http2Session& self = Of(user);
    auto call = self.calls_.find(id);
    if (call == self.calls_.end()) return 0;
    if (call->second->finished_)
      ++self.completed_;
    else
      call->second->Cancel(absl::CancelledError("context canceled"));
    self.calls_.erase(call);
    self.CallEnded();
    return 0;
  }

  static ssize_t Read(nghttp2_session* h2, int32_t id, uint8_t* to, size_t room, uint32_t* flags,
                      nghttp2_data_source*, void*) {
    Http2Call* call = Call(h2, id);
    if (call == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t done = 0;
    while (done < room && !call->out_.empty()) {
      const std::string& chunk = call->out_.front();
      const size_t n = std::min(room - done, chunk.size() - call->out_at_);
      std::memcpy(to + done, chunk.data() + call->out_at_, n);
      done += n;
      call->out_at_ += n;
      if (call->out_at_ == chunk.size()) {
        call->out_.pop_front();
        call->out_at_ = 0;
      }
    }
    call->out_bytes_ -= done;
    if (done > 0) call->session_.answered_since_ping_ = true;
    if (!call->out_.empty()) return static_cast<ssize_t>(done);
    if (!call->finished_) {
      if (done > 0) return static_cast<ssize_t>(done);
      call->deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const bool ok = call->trailer_message_.empty();
    const nghttp2_nv trailers[] = {Header("grpc-status", call->trailer_status_, true),
                                   Header("grpc-message", call->trailer_message_, true)};
    nghttp2_submit_trailer(h2, id, trailers, ok ? 1 : 2);
    return static_cast<ssize_t>(done);
  }
};

// --- session ---

Http2Session::Http2Session(const ServerContext& context, env::Connection& connection,
                           env::Executor& loop, SessionOwner& owner)
    : context_(context), connection_(connection), loop_(loop), owner_(owner) {
  nghttp2_session_callbacks* callbacks;
  CHECK_EQ(nghttp2_session_callbacks_new(&callbacks), 0);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
                                                          Http2Callbacks::OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Http2Callbacks::OnHeader);
  nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks,
                                                           Http2Callbacks::OnInvalidHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Http2Callbacks::OnFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Http2Callbacks::OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Http2Callbacks::OnClose);
  nghttp2_option* option;
  CHECK_EQ(nghttp2_option_new(&option), 0);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_outbound_ack(option, 1000);
  nghttp2_option_set_no_auto_window_update(option, 1);  // see Http2Call::OnData
  CHECK_EQ(nghttp2_session_server_new2(&h2_, callbacks, this, option), 0);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, context.options.concurrent_streams_max},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindowBytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 64 * 1024}};
  nghttp2_submit_settings(h2_, NGHTTP2_FLAG_NONE, settings, 3);
  nghttp2_session_set_local_window_size(h2_, NGHTTP2_FLAG_NONE, 0, kConnectionWindowBytes);
  if (context_.options.keepalive_interval.count() > 0) KeepaliveTimer();
  ScheduleFlush();
}

Http2Session::~Http2Session() {
  *alive_ = false;
  if (keepalive_timer_.value != 0) loop_.Cancel(keepalive_timer_);
  calls_.clear();
  nghttp2_session_del(h2_);
}

bool Http2Session::Feed(std::string_view data) {
  heard_ = true;
  std::shared_ptr<bool> alive = alive_;
  const ssize_t used =
      nghttp2_session_mem_recv(h2_, reinterpret_cast<const uint8_t*>(data.data()), data.size());
  if (!*alive) return false;
  ScheduleFlush();
  if (used < 0) {
    Flush();  // what nghttp2 has to say about it
    return false;
  }
  return true;
}

// All that a turn produced leaves together.
void Http2Session::ScheduleFlush() {
  if (flush_scheduled_ || lost_) return;
  flush_scheduled_ = true;
  loop_.AtEndOfTurn([this, alive = alive_] {
    if (!*alive) return;
    flush_scheduled_ = false;
    Flush();
  });
}

void Http2Session::Flush() {
  retired_.clear();
  if (lost_) return;
  std::string out;
  while (connection_.unsent_bytes() + out.size() < kConnectionUnsentBytesMax) {
    const uint8_t* data;
    const ssize_t size = nghttp2_session_mem_send(h2_, &data);
    if (size <= 0) break;
    out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    if (out.size() >= kWriteChunkBytes) connection_.Write(std::exchange(out, {}));
  }
  if (!out.empty()) connection_.Write(std::move(out));
  const bool full = connection_.unsent_bytes() >= kConnectionUnsentBytesMax;
  if (full != reading_paused_) {
    reading_paused_ = full;
    full ? connection_.PauseReading() : connection_.ResumeReading();
  }
  // Who waited for room may go on. Handlers may send, finish, or start nothing else here.
  std::vector<int32_t> drained;
  for (const auto& [id, call] : calls_) {
    if (call->was_full_ && call->out_bytes_ == 0) drained.push_back(id);
  }
  for (int32_t id : drained) {
    auto call = calls_.find(id);
    if (call == calls_.end()) continue;
    call->second->was_full_ = false;
    if (call->second->handler_ != nullptr) call->second->handler_->OnDrained();
    call->second->GoOn();
  }
  const bool done = nghttp2_session_want_read(h2_) == 0 && nghttp2_session_want_write(h2_) == 0;
  if (done || (draining_ && calls_.empty())) owner_.CloseSession();
}

void Http2Session::OnDrained() { ScheduleFlush(); }

void Http2Session::OnLost() {
  lost_ = true;
  for (auto& [id, call] : calls_) {
    if (!call->finished_) call->Cancel(absl::CancelledError("context canceled"));
  }
}

bool Http2Session::StartDrain() {
  draining_ = true;
  nghttp2_submit_goaway(h2_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  ScheduleFlush();
  return calls_.empty();
}

void Http2Session::CallEnded() {
  if (draining_ && calls_.empty()) ScheduleFlush();
}

void Http2Session::GoAway(uint32_t error, std::string_view why) {
  nghttp2_session_terminate_session2(h2_, nghttp2_session_get_last_proc_stream_id(h2_), error);
  context_.log.Warn("closing a client connection",
                    {{"remote-addr", connection_.remote_address()}, {"reason", why}});
  ScheduleFlush();
}

// Pings more frequent than the operator allows: two are forgiven, and any while answers flow
// (clients measure with them).
void Http2Session::NotePing() {
  const env::Duration now = loop_.clock().Now();
  if (std::exchange(answered_since_ping_, false)) {
    ping_strikes_ = 0;
    any_ping_ = true;
    last_ping_ = now;
    return;
  }
  const bool idle = calls_.empty() && !context_.options.keepalive_permit_without_stream;
  const env::Duration least = idle ? kIdlePingMin : context_.options.keepalive_min_time;
  if (any_ping_ && now - last_ping_ < least && ++ping_strikes_ > kPingStrikesMax) {
    GoAway(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
  }
  any_ping_ = true;
  last_ping_ = now;
}

void Http2Session::NoteReset() {
  if (++resets_ > completed_ + kResetsBeyondCompletedMax)
    GoAway(NGHTTP2_ENHANCE_YOUR_CALM, "too many stream resets");
}

// A connection that says nothing for the interval is asked; one that does not answer in time is
// closed.
void Http2Session::KeepaliveTimer() {
  heard_ = false;
  const env::Duration wait =
      ping_outstanding_ ? context_.options.keepalive_timeout : context_.options.keepalive_interval;
  keepalive_timer_ = loop_.RunAfter(wait, [this] {
    keepalive_timer_ = {};
    if (ping_outstanding_ && !heard_) return owner_.CloseSession();
    ping_outstanding_ = !heard_;
    if (ping_outstanding_) {
      nghttp2_submit_ping(h2_, NGHTTP2_FLAG_NONE, nullptr);
      ScheduleFlush();
    }
    KeepaliveTimer();
  });
}

// --- call ---

Http2Call::~Http2Call() {
  if (deadline_timer_.value != 0) session_.loop_.Cancel(deadline_timer_);
}

std::optional<std::string_view> Http2Call::metadata(std::string_view name) const {
  for (const auto& [n, value] : metadata_) {
    if (n == name) return std::string_view(value);
  }
  return std::nullopt;
}

std::string Http2Call::remote_address() const { return session_.connection_.remote_address(); }
env::Executor& Http2Call::executor() { return session_.loop_; }

void Http2Call::Begin() {
  if (http_method_ != "POST") {
    return Respond(405, absl::InternalError("http2Server.operateHeaders parsed a :method field: " +
                                            http_method_ + " which should be POST"));
  }
  if (!IsGrpcContentType(content_type_)) {
    return Respond(415, absl::InvalidArgumentError("invalid gRPC request content-type \"" +
                                                   content_type_ + "\""));
  }
  if (timeout_) {
    StatusOr<env::Duration> timeout = ParseTimeout(*timeout_);
    if (!timeout.ok()) return Respond(400, timeout.status());
    deadline_ = session_.loop_.clock().Now() + *timeout;
  }
  target_ =
      session_.context_.dispatcher == nullptr ? nullptr : session_.context_.dispatcher->Find(path_);
  if (target_ == nullptr) {
    const size_t slash = path_.rfind('/');
    if (path_.empty() || path_[0] != '/' || slash == 0 || slash == std::string::npos) {
      return Finish(MalformedMethodName(path_));
    }
    const std::string service = path_.substr(1, slash - 1), method = path_.substr(slash + 1);
    if (session_.context_.dispatcher != nullptr &&
        session_.context_.dispatcher->HasService(service)) {
      return Finish(
          absl::UnimplementedError("unknown method " + method + " for service " + service));
    }
    return Finish(absl::UnimplementedError("unknown service " + service));
  }
  reader_.emplace(session_.context_.options.receive_message_bytes_max, encoding_);
  handler_ = target_->start(*this);
  if (deadline_) ArmDeadline();
}

void Http2Call::ArmDeadline() {
  const env::Duration left = std::max(env::Duration(0), *deadline_ - session_.loop_.clock().Now());
  deadline_timer_ = session_.loop_.RunAfter(left, [this] {
    deadline_timer_ = {};
    if (finished_) return;
    const Status late = absl::DeadlineExceededError("context deadline exceeded");
    if (handler_ != nullptr) handler_->OnCancel(late);
    Finish(late);
  });
}

// Requests that are held back hold the stream's window too: the client can send no more than that.
void Http2Call::OnData(std::string_view data) {
  window_held_ += data.size();
  if (!finished_ && reader_) reader_->Append(data);
  GoOn();
}

void Http2Call::ResumeRequests() {
  if (!requests_paused_) return;
  requests_paused_ = false;
  GoOn();
}

// Takes the requests that have come, as far as the handler and the answers not yet read allow.
void Http2Call::GoOn() {
  if (!finished_ && reader_) DeliverMessages();
  if (window_held_ == 0 || (!finished_ && Holds())) return;
  nghttp2_session_consume_stream(session_.h2_, id_, std::exchange(window_held_, 0));
  session_.ScheduleFlush();
}

void Http2Call::DeliverMessages() {
  while (!finished_ && !Holds()) {
    StatusOr<std::optional<std::string>> message = reader_->Next();
    if (!message.ok()) {
      handler_->OnCancel(message.status());
      return Finish(message.status());
    }
    if (!*message) break;
    const bool one_only =
        target_->kind == CallKind::kUnary || target_->kind == CallKind::kServerStream;
    if (++messages_ > 1 && one_only) {
      const Status status = absl::InternalError(
          "cardinality violation: received more than one message for a call that takes one");
      handler_->OnCancel(status);
      return Finish(status);
    }
    handler_->OnMessage(**message);
  }
  if (ended_by_client_) OnEnd();
}

void Http2Call::OnEnd() {
  ended_by_client_ = true;
  if (finished_ || handler_ == nullptr || Holds() || half_close_told_) return;
  const bool one_only =
      target_->kind == CallKind::kUnary || target_->kind == CallKind::kServerStream;
  if (reader_->HasPartial() || (one_only && messages_ == 0)) {
    const Status status = absl::InternalError(reader_->HasPartial() ? "unexpected EOF" : "EOF");
    handler_->OnCancel(status);
    return Finish(status);
  }
  half_close_told_ = true;
  handler_->OnHalfClose();
}

void Http2Call::Cancel(const Status& why) {
  if (finished_) return;
  finished_ = true;
  if (handler_ == nullptr) return;
  handler_->OnCancel(why);
  session_.Retire(std::move(handler_));
}

void Http2Call::Send(std::string message) {
  message.insert(0, MessagePrefix(message.size()));
  QueueBytes(std::move(message));
}

void Http2Call::StartMessage(uint64_t total_bytes) { QueueBytes(MessagePrefix(total_bytes)); }
void Http2Call::AppendMessage(std::string part) { QueueBytes(std::move(part)); }
void Http2Call::AppendMessage(SharedBytes part) { QueueBytes(std::string(part.view())); }

void Http2Call::QueueBytes(std::string bytes) {
  if (finished_ || bytes.empty()) return;
  session_.answered_since_ping_ = true;
  out_bytes_ += bytes.size();
  if (out_bytes_ > session_.context_.options.call_unsent_bytes_max) was_full_ = true;
  // Small messages share a chunk.
  if (!out_.empty() && out_.back().size() + bytes.size() <= kSharedChunkBytes)
    out_.back() += bytes;
  else
    out_.push_back(std::move(bytes));
  if (!headers_sent_) Respond(200, OkStatus());
  if (deferred_) {
    deferred_ = false;
    nghttp2_session_resume_data(session_.h2_, id_);
  }
  session_.ScheduleFlush();
}

// Response headers; with an error and nothing sent before, they are all there is.
void Http2Call::Respond(int http_status, const Status& status) {
  const std::string code = std::to_string(http_status);
  const std::string& type =
      http_status == 200 && IsGrpcContentType(content_type_) ? content_type_ : "application/grpc";
  headers_sent_ = true;
  session_.answered_since_ping_ = true;
  if (http_status == 200 && status.ok()) {
    const nghttp2_nv headers[] = {Header(":status", code, true),
                                  Header("content-type", type, true)};
    nghttp2_data_provider provider{};
    provider.read_callback = Http2Callbacks::Read;
    nghttp2_submit_response(session_.h2_, id_, headers, 2, &provider);
  } else {
    finished_ = true;
    const std::string number = std::to_string(static_cast<int>(status.code()));
    const std::string text = EncodeStatusMessage(std::string(status.message()));
    const nghttp2_nv headers[] = {Header(":status", code, true), Header("content-type", type, true),
                                  Header("grpc-status", number, true),
                                  Header("grpc-message", text, true)};
    nghttp2_submit_response(session_.h2_, id_, headers, 4, nullptr);
  }
  session_.ScheduleFlush();
}

void Http2Call::Finish(const Status& status) {
  if (finished_) return;
  if (handler_ != nullptr) session_.Retire(std::move(handler_));
  if (!headers_sent_ && !status.ok()) {
    Respond(200, status);
  } else {
    if (!headers_sent_) Respond(200, OkStatus());
    finished_ = true;
    trailer_status_ = std::to_string(static_cast<int>(status.code()));
    trailer_message_ = EncodeStatusMessage(std::string(status.message()));
    if (deferred_) {
      deferred_ = false;
      nghttp2_session_resume_data(session_.h2_, id_);
    }
  }
  session_.ScheduleFlush();
}

std::unique_ptr<Session> NewHttp2Session(const ServerContext& context, env::Connection& connection,
                                         env::Executor& loop, SessionOwner& owner) {
  return std::make_unique<Http2Session>(context, connection, loop, owner);
}

}  // namespace quoin::rpc

#include "rpc/client.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <map>

#include "base/check.h"
#include "base/lifeline.h"
#include "rpc/grpc_wire.h"

namespace quoin::rpc {
namespace {

constexpr int32_t kWindowBytes = 16 << 20;

// What etcd's servers take for the least time between two pings (--grpc-keepalive-min-time). They
// end a connection with the third that comes earlier, and count from zero with each answer.
constexpr env::Duration kProbeSpacing = std::chrono::seconds(5);

nghttp2_nv Header(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

class ChannelImpl;

// One call, unary or streaming. Owned by the channel until it has ended; a stream's user holds a
// StreamHandle.
struct Call {
  ChannelImpl* channel = nullptr;
  int32_t id = 0;  // 0: waits for the connection
  std::string method;
  CallOptions options;
  ClientStream::Handler* handler = nullptr;              // streams
  absl::AnyInvocable<void(StatusOr<std::string>)> done;  // unary
  std::optional<std::string> answer;                     // unary
  std::deque<std::string> out;
  size_t out_at = 0;
  bool half_closed = false;
  bool deferred = false;
  bool ended = false;
  std::optional<MessageReader> reader;
  std::string http_status, encoding, grpc_status, grpc_message;
  env::TimerId deadline;
};

class ChannelImpl final : public Channel, private env::Connection::Handler {
 public:
  ChannelImpl(env::Env& env, env::Executor& loop, std::string address,
              const ChannelOptions& options)
      : env_(env), loop_(loop), address_(std::move(address)), options_(options) {}
  ~ChannelImpl() override {
    lifeline_.Cut();
    for (auto& [call, owned] : calls_) {
      if (call->deadline.value != 0) loop_.Cancel(call->deadline);
    }
    loop_.Cancel(keepalive_timer_);
    loop_.Cancel(greeting_timer_);
    if (h2_ != nullptr) nghttp2_session_del(h2_);
  }

  bool ready() const override { return state_ == State::kReady; }

  void Connect(absl::AnyInvocable<void(Status)> done) override {
    if (state_ == State::kReady) return done(OkStatus());
    if (state_ == State::kLeaving) return done(TakesNoCalls());
    dialers_.push_back(std::move(done));
    Dial();
  }

  void Probe(env::Duration patience) override {
    if (!ready()) return;
    const env::Duration now = loop_.clock().Now();
    if (probing_) {
      if (now + patience < probe_ends_) AwaitSign(patience);
      return;
    }
    const bool early = now < next_probe_;
    if (early && std::exchange(early_probe_spent_, true)) return;
    Ping(patience);
  }

  void Unary(std::string method, std::string request, const CallOptions& options,
             absl::AnyInvocable<void(StatusOr<std::string>)> done) override {
    std::shared_ptr<Call> call = NewCall(std::move(method), options);
    call->done = std::move(done);
    call->out.push_back(MessagePrefix(request.size()) + request);
    call->half_closed = true;
    Begin(call);
  }

  std::unique_ptr<ClientStream> Stream(std::string method, const CallOptions& options,
                                       ClientStream::Handler& handler) override;

  void Resume(Call& call) {
    if (!call.deferred) return;
    call.deferred = false;
    nghttp2_session_resume_data(h2_, call.id);
    ScheduleFlush();
  }

  void CancelCall(Call& call, const Status& why) {
    if (call.ended) return;
    if (call.id != 0 && h2_ != nullptr) {
      nghttp2_submit_rst_stream(h2_, NGHTTP2_FLAG_NONE, call.id, NGHTTP2_CANCEL);
      nghttp2_session_set_stream_user_data(h2_, call.id, nullptr);
      ScheduleFlush();
    }
    EndCall(call, why);
  }

 private:
  static ChannelImpl& Of(void* user) { return *static_cast<ChannelImpl*>(user); }
  static Call* CallOf(nghttp2_session* h2, int32_t id) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(h2, id));
  }

  std::shared_ptr<Call> NewCall(std::string method, const CallOptions& options) {
    auto call = std::make_shared<Call>();
    call->channel = this;
    call->method = std::move(method);
    call->options = options;
    calls_.emplace(call.get(), call);
    if (options.timeout) {
      call->deadline = loop_.RunAfter(*options.timeout, [this, call = call.get()] {
        call->deadline = {};
        CancelCall(*call, absl::DeadlineExceededError("context deadline exceeded"));
      });
    }
    return call;
  }

  // Dialed, but not greeted: what listens may be a kernel whose process hangs. A call is bound to a
  // connection when its server has spoken, so that every call before that is certainly unsent.
  enum class State : uint8_t { kIdle, kDialing, kAwaitingGreeting, kReady, kLeaving };

  static Status TakesNoCalls() {
    return absl::UnavailableError("the connection takes no further calls");
  }

  void Begin(const std::shared_ptr<Call>& call) {
    if (state_ == State::kReady) return Submit(*call);
    if (state_ == State::kLeaving) {
      // The caller has not got its handle yet.
      return loop_.Post(lifeline_.Tie([this, call] { EndCall(*call, TakesNoCalls()); }));
    }
    waiting_.push_back(call);
    Dial();
  }

  void Dial() {
    if (state_ != State::kIdle) return;
    state_ = State::kDialing;
    dial_deadline_ = loop_.clock().Now() + options_.dial_timeout;
    env_.network().Connect(address_, options_.dial_timeout, loop_,
                           lifeline_.Tie([this](auto connection) {
                             if (connection.ok()) return Connected(*std::move(connection));
                             state_ = State::kIdle;
                             NotConnected(std::string(connection.status().message()));
                           }));
  }

  // Ends what waits for a connection; nothing of it was sent.
  void NotConnected(const std::string& why) {
    const Status failed = absl::UnavailableError(
        "connection error: desc = \"transport: Error while dialing: " + why + "\"");
    const Lifeline::Sign sign = lifeline_.sign();
    auto dialers = std::exchange(dialers_, {});
    for (auto& call : std::exchange(waiting_, {})) {
      if (sign.alive()) EndCall(*call, failed);
    }
    for (auto& done : dialers) {
      if (sign.alive()) done(failed);
    }
  }

  void Connected(std::unique_ptr<env::Connection> connection) {
    connection_ = std::move(connection);
    nghttp2_session_callbacks* callbacks;
    CHECK_EQ(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnDataChunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnStreamClose);
    CHECK_EQ(nghttp2_session_client_new(&h2_, callbacks, this), 0);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes}};
    nghttp2_submit_settings(h2_, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(h2_, NGHTTP2_FLAG_NONE, 0, kWindowBytes);
    state_ = State::kAwaitingGreeting;
    greeting_timer_ =
        loop_.RunAfter(std::max(dial_deadline_ - loop_.clock().Now(), env::Duration(0)),
                       [this] { Lost(absl::UnavailableError("the server does not answer")); });
    connection_->Start(*this);
    ScheduleFlush();
  }

  void Greeted() {
    state_ = State::kReady;
    loop_.Cancel(std::exchange(greeting_timer_, {}));
    for (auto& call : std::exchange(waiting_, {})) {
      if (!call->ended) Submit(*call);
    }
    KeepaliveTimer();
    const Lifeline::Sign sign = lifeline_.sign();
    for (auto& done : std::exchange(dialers_, {})) {
      if (sign.alive()) done(OkStatus());
    }
  }

  void Submit(Call& call) {
    const std::string timeout = call.options.timeout ? FormatTimeout(*call.options.timeout) : "";
    std::vector<nghttp2_nv> headers = {Header(":method", "POST"),
                                       Header(":scheme", "http"),
                                       Header(":path", call.method),
                                       Header(":authority", address_),
                                       Header("content-type", "application/grpc"),
                                       Header("te", "trailers"),
                                       Header("grpc-accept-encoding", "identity,gzip")};
    if (!timeout.empty()) headers.push_back(Header("grpc-timeout", timeout));
    for (const auto& [name, value] : call.options.metadata) headers.push_back(Header(name, value));
    nghttp2_data_provider provider{};
    provider.read_callback = ReadRequest;
    call.id =
        nghttp2_submit_request(h2_, nullptr, headers.data(), headers.size(), &provider, &call);
    if (call.id < 0) {
      call.id = 0;
      return EndCall(call, TakesNoCalls());
    }
    ScheduleFlush();
  }

  static ssize_t ReadRequest(nghttp2_session* h2, int32_t id, uint8_t* to, size_t room,
                             uint32_t* flags, nghttp2_data_source*, void*) {
    Call* call = CallOf(h2, id);
    if (call == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t done = 0;
    while (done < room && !call->out.empty()) {
      const std::string& chunk = call->out.front();
      const size_t n = std::min(room - done, chunk.size() - call->out_at);
      std::memcpy(to + done, chunk.data() + call->out_at, n);
      done += n;
      call->out_at += n;
      if (call->out_at < chunk.size()) continue;
      call->out.pop_front();
      call->out_at = 0;
    }
    if (call->out.empty() && call->half_closed)
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (done == 0) {
      call->deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(done);
  }

  static int OnHeader(nghttp2_session* h2, const nghttp2_frame* frame, const uint8_t* name_at,
                      size_t name_bytes, const uint8_t* value_at, size_t value_bytes, uint8_t,
                      void*) {
    Call* call = CallOf(h2, frame->hd.stream_id);
    if (call == nullptr) return 0;
    call->channel->early_probe_spent_ = false;
    const std::string_view name(reinterpret_cast<const char*>(name_at), name_bytes);
    const std::string value(reinterpret_cast<const char*>(value_at), value_bytes);
    if (name == ":status") call->http_status = value;
    if (name == "grpc-encoding") call->encoding = value;
    if (name == "grpc-status") call->grpc_status = value;
    if (name == "grpc-message") call->grpc_message = DecodeStatusMessage(value);
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    ChannelImpl& self = Of(user);
    if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
      self.greeted_ = true;
    if (frame->hd.type == NGHTTP2_GOAWAY) self.told_to_leave_ = true;
    return 0;
  }

  static int OnDataChunk(nghttp2_session* h2, uint8_t, int32_t id, const uint8_t* data, size_t size,
                         void* user) {
    Call* call = CallOf(h2, id);
    if (call == nullptr) return 0;
    ChannelImpl& self = Of(user);
    self.early_probe_spent_ = false;
    if (!call->reader)
      call->reader.emplace(self.options_.receive_message_bytes_max, call->encoding);
    call->reader->Append(std::string_view(reinterpret_cast<const char*>(data), size));
    while (!call->ended) {
      StatusOr<std::optional<std::string>> message = call->reader->Next();
      if (!message.ok()) {
        self.CancelCall(*call, message.status());
        return 0;
      }
      if (!*message) return 0;
      if (call->handler != nullptr)
        call->handler->OnMessage(**message);
      else
        call->answer = **std::move(message);
    }
    return 0;
  }

  static int OnStreamClose(nghttp2_session* h2, int32_t id, uint32_t error, void* user) {
    Call* call = CallOf(h2, id);
    if (call != nullptr) Of(user).EndCall(*call, StatusOf(*call, error));
    return 0;
  }

  static Status StatusOf(const Call& call, uint32_t error) {
    int code = 0;
    if (std::from_chars(call.grpc_status.data(), call.grpc_status.data() + call.grpc_status.size(),
                        code)
                .ec == std::errc() &&
        !call.grpc_status.empty()) {
      return Status(static_cast<StatusCode>(code), call.grpc_message);
    }
    if (error == NGHTTP2_REFUSED_STREAM)
      return absl::UnavailableError("the server refused the stream");
    if (error == NGHTTP2_CANCEL) return absl::CancelledError("the stream was cancelled");
    if (!call.http_status.empty() && call.http_status != "200") {
      return absl::UnknownError("unexpected HTTP status code received from server: " +
                                call.http_status);
    }
    return absl::InternalError("server closed the stream without sending trailers");
  }

  void EndCall(Call& call, const Status& status) {
    if (std::exchange(call.ended, true)) return;
    std::shared_ptr<Call> keep = calls_.at(&call);
    calls_.erase(&call);
    if (call.deadline.value != 0) loop_.Cancel(call.deadline);
    if (call.handler != nullptr) {
      call.handler->OnEnd(status);
    } else if (!status.ok()) {
      call.done(status);
    } else if (!call.answer) {
      call.done(absl::InternalError(
          "cardinality violation: received no response message from non-server-streaming RPC"));
    } else {
      call.done(*std::move(call.answer));
    }
  }

  // --- env::Connection::Handler ---
  void OnData(std::string_view data) override {
    if (h2_ == nullptr) return;  // given up already
    heard_ = true;
    const Lifeline::Sign sign = lifeline_.sign();
    const ssize_t used =
        nghttp2_session_mem_recv(h2_, reinterpret_cast<const uint8_t*>(data.data()), data.size());
    if (!sign.alive()) return;
    if (used >= 0 && greeted_ && state_ == State::kAwaitingGreeting) Greeted();
    if (!sign.alive()) return;
    if (told_to_leave_ && state_ == State::kReady) state_ = State::kLeaving;
    if (used < 0 || (state_ == State::kLeaving && calls_.empty()))
      return Lost(absl::UnavailableError("the connection was closed"));
    ScheduleFlush();
  }
  void OnDrained() override { ScheduleFlush(); }
  void OnClosed(Status why) override {
    if (h2_ != nullptr)
      Lost(absl::UnavailableError(why.ok() ? "error reading from server: EOF"
                                           : std::string(why.message())));
  }

  void Lost(const Status& status) {
    const bool was_greeted = state_ != State::kAwaitingGreeting;
    state_ = State::kIdle;
    greeted_ = told_to_leave_ = probing_ = early_probe_spent_ = false;
    next_probe_ = {};
    loop_.Cancel(std::exchange(keepalive_timer_, {}));
    loop_.Cancel(std::exchange(greeting_timer_, {}));
    nghttp2_session* h2 = std::exchange(h2_, nullptr);
    // Its callbacks may be on the stack.
    loop_.Post([connection = std::shared_ptr<env::Connection>(std::move(connection_)), h2] {
      nghttp2_session_del(h2);
    });
    if (!was_greeted) return NotConnected(std::string(status.message()));
    const Lifeline::Sign sign = lifeline_.sign();
    std::vector<std::shared_ptr<Call>> lost;
    for (auto& [call, owned] : calls_) {
      if (call->id != 0) lost.push_back(owned);
    }
    for (auto& call : lost) {
      if (sign.alive()) EndCall(*call, status);
    }
  }

  void ScheduleFlush() {
    if (flush_scheduled_) return;
    flush_scheduled_ = true;
    loop_.AtEndOfTurn(lifeline_.Tie([this] {
      flush_scheduled_ = false;
      Flush();
    }));
  }

  void Flush() {
    if (h2_ == nullptr) return;
    std::string out;
    const uint8_t* data;
    for (ssize_t size; (size = nghttp2_session_mem_send(h2_, &data)) > 0;) {
      out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    }
    if (!out.empty()) connection_->Write(std::move(out));
  }

  // A connection that says nothing for keepalive_time while calls are open is asked for a sign.
  void KeepaliveTimer() {
    loop_.Cancel(std::exchange(keepalive_timer_, {}));
    if (options_.keepalive_time.count() == 0) return;
    heard_ = false;
    keepalive_timer_ = loop_.RunAfter(options_.keepalive_time, [this] {
      keepalive_timer_ = {};
      if (heard_ || calls_.empty()) return KeepaliveTimer();
      Ping(options_.keepalive_timeout);
    });
  }

  // The whole patience passes before the next silence is measured, answered or not: servers end a
  // connection whose pings come too often.
  void Ping(env::Duration patience) {
    heard_ = false;
    probing_ = true;
    next_probe_ = loop_.clock().Now() + kProbeSpacing;
    nghttp2_submit_ping(h2_, NGHTTP2_FLAG_NONE, nullptr);
    ScheduleFlush();
    AwaitSign(patience);
  }

  void AwaitSign(env::Duration patience) {
    loop_.Cancel(keepalive_timer_);
    probe_ends_ = loop_.clock().Now() + patience;
    keepalive_timer_ = loop_.RunAfter(patience, [this] {
      keepalive_timer_ = {};
      if (!heard_) return Lost(absl::UnavailableError("keepalive ping not acknowledged"));
      probing_ = false;
      KeepaliveTimer();
    });
  }

  env::Env& env_;
  env::Executor& loop_;
  const std::string address_;
  const ChannelOptions options_;
  std::unique_ptr<env::Connection> connection_;
  nghttp2_session* h2_ = nullptr;  // from kAwaitingGreeting on
  State state_ = State::kIdle;
  env::Duration dial_deadline_{};
  env::TimerId greeting_timer_;
  bool greeted_ = false;        // seen while reading; acted on behind the read
  bool told_to_leave_ = false;  // likewise
  bool flush_scheduled_ = false;
  bool heard_ = false;    // anything, since the silence is measured or the ping left
  bool probing_ = false;  // a ping is out
  env::Duration probe_ends_{};
  env::Duration next_probe_{};      // from when on a ping is none too many
  bool early_probe_spent_ = false;  // since the last answer of a call
  env::TimerId keepalive_timer_;
  std::map<Call*, std::shared_ptr<Call>> calls_;
  std::vector<std::shared_ptr<Call>> waiting_;             // for the greeting
  std::vector<absl::AnyInvocable<void(Status)>> dialers_;  // likewise
  Lifeline lifeline_;
};

class StreamHandle final : public ClientStream {
 public:
  explicit StreamHandle(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  ~StreamHandle() override {
    static Handler& nobody = Nobody();
    if (call_->ended) return;
    call_->handler = &nobody;
    Cancel();
  }
  void Send(std::string message) override {
    if (call_->ended) return;
    call_->out.push_back(MessagePrefix(message.size()) + message);
    call_->channel->Resume(*call_);
  }
  void HalfClose() override {
    call_->half_closed = true;
    if (!call_->ended) call_->channel->Resume(*call_);
  }
  void Cancel() override {
    if (!call_->ended) call_->channel->CancelCall(*call_, absl::CancelledError("context canceled"));
  }

 private:
  // Takes the end of a stream whose user has gone.
  static Handler& Nobody() {
    class Ignore final : public Handler {
      void OnMessage(std::string_view) override {}
      void OnEnd(const Status&) override {}
    };
    static Ignore ignore;
    return ignore;
  }
  std::shared_ptr<Call> call_;
};

std::unique_ptr<ClientStream> ChannelImpl::Stream(std::string method, const CallOptions& options,
                                                  ClientStream::Handler& handler) {
  std::shared_ptr<Call> call = NewCall(std::move(method), options);
  call->handler = &handler;
  Begin(call);
  return std::make_unique<StreamHandle>(call);
}

}  // namespace

std::unique_ptr<Channel> Channel::New(env::Env& env, env::Executor& loop, std::string address,
                                      const ChannelOptions& options) {
  return std::make_unique<ChannelImpl>(env, loop, std::move(address), options);
}

}  // namespace quoin::rpc

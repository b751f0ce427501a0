#include "rpc/http2_call.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "rpc/http2_callbacks.h"
#include "rpc/http2_session.h"

namespace quoin::rpc {
namespace {

constexpr size_t kSharedChunkBytes = 4096;
// A call without its bytes: the object, nghttp2's stream, the handler.
constexpr size_t kCallBytes = 2560;
// A connection with no more calls than these may always begin one.
constexpr size_t kCallsAlwaysMax = 2;
// A request that waits and is no larger counts with its call: nobody is reset for its sake.
constexpr size_t kSmallRequestBytes = 1024;
// What one call may leave unsent when all together hold much.
constexpr size_t kTightUnsentBytesMax = 64 * 1024;

bool WastesMemory(const std::string& bytes) {
  return bytes.capacity() > bytes.size() + bytes.size() / 2 && bytes.capacity() > kSharedChunkBytes;
}

Status MalformedMethodName(std::string_view path) {
  return absl::UnimplementedError("malformed method name: \"" + std::string(path) + "\"");
}

}  // namespace

Http2Call::Http2Call(Http2Session& session, int32_t id)
    : session_(session),
      id_(id),
      answers_(session.account_),
      requests_(session.memory_->account()),
      waiting_(session.account_),
      standing_(session.standing_),
      open_(session.memory_->calls()) {
  open_.Set(kCallBytes);
}

Http2Call::~Http2Call() {
  if (deadline_timer_.value != 0) session_.loop_.Cancel(deadline_timer_);
}

std::string Http2Call::remote_address() const { return session_.connection_.remote_address(); }
env::Executor& Http2Call::executor() { return session_.loop_; }

void Http2Call::Begin() {
  open_.Set(kCallBytes + headers_.bytes());
  if (headers_.http_method() != "POST") {
    return Respond(405, absl::InternalError("http2Server.operateHeaders parsed a :method field: " +
                                            headers_.http_method() + " which should be POST"));
  }
  if (!IsGrpcContentType(headers_.content_type())) {
    return Respond(415, absl::InvalidArgumentError("invalid gRPC request content-type \"" +
                                                   headers_.content_type() + "\""));
  }
  if (headers_.timeout()) {
    StatusOr<env::Duration> timeout = ParseTimeout(*headers_.timeout());
    if (!timeout.ok()) return Respond(400, timeout.status());
    deadline_ = session_.loop_.clock().Now() + *timeout;
  }
  target_ = session_.context_.dispatcher == nullptr
                ? nullptr
                : session_.context_.dispatcher->Find(headers_.path());
  if (target_ == nullptr) {
    const std::string& path = headers_.path();
    const size_t slash = path.rfind('/');
    if (path.empty() || path[0] != '/' || slash == 0 || slash == std::string::npos) {
      return Finish(MalformedMethodName(path));
    }
    const std::string service = path.substr(1, slash - 1), method = path.substr(slash + 1);
    if (session_.context_.dispatcher != nullptr &&
        session_.context_.dispatcher->HasService(service)) {
      return Finish(
          absl::UnimplementedError("unknown method " + method + " for service " + service));
    }
    return Finish(absl::UnimplementedError("unknown service " + service));
  }
  if (session_.memory_->too_many_calls() && session_.calls_.size() > kCallsAlwaysMax)
    return Finish(absl::ResourceExhaustedError("too many calls are open"));
  reader_.emplace(session_.context_.options.receive_message_bytes_max, headers_.encoding());
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
  silent_sweeps_ = 0;
  if (!finished_ && reader_) reader_->Append(data);
  GoOn();
}

void Http2Call::ResumeRequests() {
  if (!requests_paused_) return;
  requests_paused_ = false;
  GoOn();
}

void Http2Call::CheckShare() {
  if (starved_ || messages_ > 0 || !OneOnly() || !session_.HoldsTooMuch()) return;
  starved_ = true;
  session_.starved_.push_back(id_);
}

void Http2Call::SetWaitingBytes(size_t bytes) {
  if (finished_ || given_up_) return;
  const bool small = bytes <= kSmallRequestBytes;
  const bool grows = !small && bytes > waiting_.bytes();
  open_.Set(kCallBytes + headers_.bytes() + (small ? bytes : 0));
  waiting_.Set(small ? 0 : bytes);
  Account();
  if (!grows) return;
  session_.memory_->Touch(*this);
  session_.memory_->NoteGrowth();
}

bool Http2Call::SetStandingBytes(size_t bytes) {
  const size_t before = standing_.bytes();
  if (bytes > before && !session_.MayStand(bytes - before)) return false;
  if (!finished_) standing_.Set(bytes);
  return true;
}

// Takes the requests that have come, as far as the handler and the answers not yet read allow.
void Http2Call::GoOn() {
  const size_t before = requests_.bytes();
  if (!finished_ && reader_) {
    CheckShare();
    DeliverMessages();
    if (reader_ && reader_->buffered_bytes() > 0) session_.memory_->Touch(*this);
  }
  Account();
  if (requests_.bytes() > before) session_.memory_->NoteGrowth();
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
    if (++messages_ > 1 && OneOnly()) {
      const Status status = absl::InternalError(
          "cardinality violation: received more than one message for a call that takes one");
      handler_->OnCancel(status);
      return Finish(status);
    }
    handler_->OnMessage(**message);
  }
  if (ended_by_client_) OnEnd();
}

bool Http2Call::AwaitsRequest() const {
  if (finished_ || ended_by_client_ || Holds()) return false;
  return target_ == nullptr || OneOnly() || messages_ == 0;
}

void Http2Call::OnEnd() {
  ended_by_client_ = true;
  if (finished_ || handler_ == nullptr || Holds() || half_close_told_) return;
  if (reader_->HasPartial() || (OneOnly() && messages_ == 0)) {
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
  RetireHandler();
}

void Http2Call::RetireHandler() {
  session_.Retire(std::move(handler_));
  waiting_.Set(0);
  standing_.Set(0);
  Account();
}

void Http2Call::Send(std::string message) {
  const std::string prefix = MessagePrefix(message.size());
  const size_t whole = prefix.size() + message.size();
  if (message.capacity() < whole && whole > kSharedChunkBytes) {  // insert would take twice as much
    std::string copy;
    copy.reserve(whole);
    copy.append(prefix).append(message);
    return QueueBytes(std::move(copy));
  }
  message.insert(0, prefix);
  QueueBytes(std::move(message));
}

void Http2Call::StartMessage(uint64_t total_bytes) {
  if (finished_) return;
  message_left_ = total_bytes;
  QueueBytes(MessagePrefix(total_bytes));
}

void Http2Call::AppendMessage(std::string part) { AppendToMessage(std::move(part)); }
void Http2Call::AppendMessage(SharedBytes part) { AppendToMessage(std::string(part.view())); }

void Http2Call::AppendToMessage(std::string bytes) {
  if (finished_) return;
  CHECK_LE(bytes.size(), message_left_);
  message_left_ -= bytes.size();
  QueueBytes(std::move(bytes));
}

void Http2Call::QueueBytes(std::string bytes) {
  if (finished_ || given_up_ || bytes.empty()) return;
  session_.guard_.NoteAnswer();
  const bool is_first = out_bytes_ == 0;
  out_bytes_ += bytes.size();
  const size_t unsent_max = session_.memory_->tight()
                                ? kTightUnsentBytesMax
                                : session_.context_.options.call_unsent_bytes_max;
  if (out_bytes_ > unsent_max) was_full_ = true;
  AddChunk(std::move(bytes));
  if (!headers_sent_) Respond(200, OkStatus());
  if (deferred_) {
    deferred_ = false;
    nghttp2_session_resume_data(session_.h2_, id_);
  }
  session_.ScheduleFlush();
  if (is_first) session_.memory_->Begin(*this);
  Account();
  session_.memory_->NoteGrowth();
}

void Http2Call::AddChunk(std::string bytes) {
  if (!out_.empty() && out_.back().size() + bytes.size() <= kSharedChunkBytes) {
    out_memory_ -= out_.back().capacity();
    out_.back() += bytes;
  } else {
    if (WastesMemory(bytes)) bytes.shrink_to_fit();
    out_.push_back(std::move(bytes));
  }
  out_memory_ += out_.back().capacity();
}

size_t Http2Call::TakeBytes(uint8_t* to, size_t room) {
  size_t done = 0;
  while (done < room && !out_.empty()) {
    const std::string& chunk = out_.front();
    const size_t n = std::min(room - done, chunk.size() - out_at_);
    std::memcpy(to + done, chunk.data() + out_at_, n);
    done += n;
    out_at_ += n;
    if (out_at_ < chunk.size()) break;
    out_memory_ -= chunk.capacity();
    out_.pop_front();
    out_at_ = 0;
  }
  out_bytes_ -= done;
  return done;
}

void Http2Call::Account() {
  answers_.Set(out_memory_);
  requests_.Set(reader_ ? reader_->buffered_bytes() : 0);
  if (answers_.bytes() + requests_.bytes() + waiting_.bytes() == 0) session_.memory_->Remove(*this);
}

// The client sees RESOURCE_EXHAUSTED, which is what gRPC makes of ENHANCE_YOUR_CALM: trailers could
// overtake nothing that waits for the stream's window.
void Http2Call::GiveUp() {
  LetGo();
  session_.given_up_calls_.push_back(id_);
  session_.ScheduleFlush();
}

void Http2Call::LetGo() {
  out_.clear();
  out_at_ = out_bytes_ = out_memory_ = 0;
  reader_.reset();
  waiting_.Set(0);  // its handler goes at the end of the turn
  given_up_ = true;
  Account();
}

// Response headers; with an error and nothing sent before, they are all there is.
void Http2Call::Respond(int http_status, const Status& status) {
  const std::string code = http_status == 200 ? "200" : std::to_string(http_status);
  const std::string& type = http_status == 200 && IsGrpcContentType(headers_.content_type())
                                ? headers_.content_type()
                                : "application/grpc";
  headers_sent_ = true;
  session_.guard_.NoteAnswer();
  if (http_status == 200 && status.ok()) {
    const nghttp2_nv headers[] = {HeaderField(":status", code), HeaderField("content-type", type)};
    nghttp2_data_provider provider{};
    provider.read_callback = Http2Callbacks::Read;
    nghttp2_submit_response(session_.h2_, id_, headers, 2, &provider);
  } else {
    finished_ = true;
    const std::string number = std::to_string(static_cast<int>(status.code()));
    const std::string text = EncodeStatusMessage(std::string(status.message()));
    const nghttp2_nv headers[] = {HeaderField(":status", code), HeaderField("content-type", type),
                                  HeaderField("grpc-status", number),
                                  HeaderField("grpc-message", text)};
    nghttp2_submit_response(session_.h2_, id_, headers, 4, nullptr);
  }
  session_.ScheduleFlush();
}

bool Http2Call::TakeMessageBack(const Status& status) {
  out_.clear();
  out_at_ = out_bytes_ = out_memory_ = 0;
  Account();
  if (!answered_) return true;
  finished_ = true;
  // gRPC makes of CANCEL what the client's own deadline says, where that has passed.
  const bool late = status.code() == StatusCode::kDeadlineExceeded;
  nghttp2_submit_rst_stream(session_.h2_, NGHTTP2_FLAG_NONE, id_,
                            late ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
  session_.ScheduleFlush();
  return false;
}

void Http2Call::Finish(const Status& status) {
  if (finished_) return;
  CHECK(message_left_ == 0 || !status.ok()) << "a message was not completed";
  if (handler_ != nullptr) RetireHandler();
  if (message_left_ > 0 && !TakeMessageBack(status)) return;
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

}  // namespace quoin::rpc

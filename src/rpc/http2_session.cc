#include "rpc/http2_session.h"

#include <algorithm>

#include "base/check.h"
#include "rpc/http2_callbacks.h"

namespace quoin::rpc {
namespace {

constexpr uint64_t kStandingAlwaysBytes = 16 << 10;  // per connection

constexpr int32_t kStreamWindowBytes = 1 << 20;
constexpr int32_t kConnectionWindowBytes = 16 << 20;
constexpr size_t kConnectionUnsentBytesMax =
    1 << 20;  // above it nothing more is produced, and reading stops
constexpr size_t kWriteChunkBytes = 64 * 1024;
// A request of which nothing comes for two sweeps is given up: after 30 to 45 s.
constexpr env::Duration kSweepInterval = std::chrono::seconds(15);
constexpr int kSilentSweepsMax = 3;

}  // namespace

Http2Session::Http2Session(const ServerContext& context, env::Connection& connection,
                           env::Executor& loop, SessionOwner& owner,
                           std::shared_ptr<LoopMemory> memory)
    : context_(context),
      connection_(connection),
      loop_(loop),
      owner_(owner),
      memory_(std::move(memory)),
      account_(memory_->account()),
      standing_(memory_->standing()),
      unsent_charge_(account_) {
  h2_ = Http2Callbacks::NewSession(*this);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, context.options.concurrent_streams_max},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindowBytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeaderListBytesMax}};
  nghttp2_submit_settings(h2_, NGHTTP2_FLAG_NONE, settings, 3);
  nghttp2_session_set_local_window_size(h2_, NGHTTP2_FLAG_NONE, 0, kConnectionWindowBytes);
  if (context_.options.keepalive_interval.count() > 0) KeepaliveTimer();
  ScheduleFlush();
}

Http2Session::~Http2Session() {
  lifeline_.Cut();
  if (keepalive_timer_.value != 0) loop_.Cancel(keepalive_timer_);
  if (sweep_timer_.value != 0) loop_.Cancel(sweep_timer_);
  for (auto& [id, call] : calls_) {
    call->finished_ = true;
    if (call->handler_ != nullptr) Retire(std::move(call->handler_));
  }
  DestroyRetired();
  calls_.clear();
  nghttp2_session_del(h2_);
}

bool Http2Session::Feed(std::string_view data) {
  if (!condemned_.empty() || lost_) return false;
  heard_ = true;
  const Lifeline::Sign sign = lifeline_.sign();
  Condemn(guard_.NoteUselessFrames(frames_.Take(data)));
  const ssize_t used = condemned_.empty()
                           ? nghttp2_session_mem_recv(
                                 h2_, reinterpret_cast<const uint8_t*>(data.data()), data.size())
                           : 0;
  if (!sign.alive()) return false;
  if (!condemned_.empty()) {
    SayGoodbye();
    return false;
  }
  ScheduleFlush();
  if (used < 0) {
    Flush();  // what nghttp2 has to say about it
    CancelCalls();
    return false;
  }
  return true;
}

// What nghttp2 has to send, as far as the connection takes it.
void Http2Session::WriteOut() {
  std::string out;
  while (connection_.unsent_bytes() + out.size() < kConnectionUnsentBytesMax) {
    const uint8_t* data;
    const ssize_t size = nghttp2_session_mem_send(h2_, &data);
    if (size <= 0) break;
    out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    if (out.size() >= kWriteChunkBytes) connection_.Write(std::exchange(out, {}));
  }
  // The last may wait in a socket that is not read.
  if (out.capacity() > kWriteChunkBytes / 2 && out.size() < out.capacity() / 4 * 3)
    out.shrink_to_fit();
  if (!out.empty()) connection_.Write(std::move(out));
}

// All that a turn produced leaves together.
void Http2Session::ScheduleFlush() {
  if (flush_scheduled_) return;
  flush_scheduled_ = true;
  loop_.AtEndOfTurn(lifeline_.Tie([this] {
    flush_scheduled_ = false;
    Flush();
  }));
}

void Http2Session::Flush() {
  DestroyRetired();
  if (lost_) return;
  ResetGivenUp();
  WriteOut();
  if (!condemned_.empty()) {  // by what was sent
    SayGoodbye();
    return owner_.CloseSession();
  }
  Account();
  const bool full = connection_.unsent_bytes() >= kConnectionUnsentBytesMax;
  if (full != reading_paused_) {
    reading_paused_ = full;
    full ? connection_.PauseReading() : connection_.ResumeReading();
  }
  TellDrained();
  DestroyRetired();
  const bool done = nghttp2_session_want_read(h2_) == 0 && nghttp2_session_want_write(h2_) == 0;
  if (done || (draining_ && calls_.empty())) owner_.CloseSession();
}

// Who waited for room may go on. Handlers may send, finish, or start nothing else here.
void Http2Session::TellDrained() {
  for (int32_t id : std::exchange(drained_, {})) {
    auto call = calls_.find(id);
    if (call == calls_.end() || !call->second->was_full_ || call->second->out_bytes_ > 0) continue;
    call->second->was_full_ = false;
    if (call->second->handler_ != nullptr) call->second->handler_->OnDrained();
    call->second->GoOn();
  }
  if (starved_.empty() || HoldsTooMuch()) return;
  for (int32_t id : std::exchange(starved_, {})) {
    auto call = calls_.find(id);
    if (call == calls_.end()) continue;
    call->second->starved_ = false;
    call->second->GoOn();
  }
}

bool Http2Session::HoldsTooMuch() const {
  const uint64_t most = memory_->over() ? kWriteChunkBytes : memory_->connection_bytes_max();
  return account_.used() > most;
}

bool Http2Session::MayStand(size_t more) const {
  // So little of each connection that a few greedy ones shut nobody out.
  if (standing_.used() + more <= kStandingAlwaysBytes) return true;
  const uint64_t bytes_max = standing_.budget().bytes_max();
  return standing_.used() + more <= bytes_max / 4 &&
         standing_.budget().used() + static_cast<int64_t>(more) <= static_cast<int64_t>(bytes_max);
}

void Http2Session::ResetGivenUp() {
  for (int32_t id : std::exchange(given_up_calls_, {})) {
    auto call = calls_.find(id);
    if (call == calls_.end()) continue;
    call->second->Cancel(absl::ResourceExhaustedError("the answers were not taken"));
    nghttp2_submit_rst_stream(h2_, NGHTTP2_FLAG_NONE, id, NGHTTP2_ENHANCE_YOUR_CALM);
  }
}

// What the kernel does not take, because the client does not.
void Http2Session::Account() {
  if (given_up_) return;
  const size_t before = unsent_charge_.bytes(), now = connection_.unsent_bytes();
  unsent_charge_.Set(now);
  if (now == 0) return memory_->Remove(*this);
  if (now < before || before == 0) memory_->Touch(*this);
  if (now > before) memory_->NoteGrowth();
}

// The whole connection goes: it cannot be told anything.
void Http2Session::GiveUp() {
  given_up_ = true;
  unsent_charge_.Set(0);
  for (const auto& [id, call] : calls_) call->LetGo();
  loop_.Post(lifeline_.Tie([this] { owner_.DropSession(); }));
}

void Http2Session::DestroyRetired() {
  retired_.clear();
  retired_calls_.clear();
}

void Http2Session::OnDrained() { ScheduleFlush(); }

void Http2Session::OnLost() {
  lost_ = true;
  CancelCalls();
  ScheduleFlush();  // which destroys the handlers
}

void Http2Session::CancelCalls() {
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

void Http2Session::Condemn(std::string_view why) {
  if (!condemned_.empty()) return;
  condemned_ = why;
  context_.log.Warn("closing a client connection",
                    {{"remote-addr", connection_.remote_address()}, {"reason", why}});
}

// The last that is sent. What its calls have begun is given up, as far as it can be.
void Http2Session::SayGoodbye() {
  if (lost_) return;
  CancelCalls();
  nghttp2_submit_goaway(h2_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2_),
                        NGHTTP2_ENHANCE_YOUR_CALM,
                        reinterpret_cast<const uint8_t*>(condemned_.data()), condemned_.size());
  WriteOut();
  lost_ = true;
  ScheduleFlush();  // which destroys the handlers
}

void Http2Session::NotePing() {
  const bool idle = calls_.empty() && !context_.options.keepalive_permit_without_stream;
  const env::Duration least = idle ? kIdlePingMin : context_.options.keepalive_min_time;
  Condemn(guard_.NotePing(loop_.clock().Now(), least));
}

// Requests that were begun and are not carried on. Runs while there are calls.
void Http2Session::SweepTimer() {
  if (sweep_timer_.value != 0 || lost_) return;
  sweep_timer_ = loop_.RunAfter(kSweepInterval, [this] {
    sweep_timer_ = {};
    for (const auto& [id, call] : calls_) {
      if (!call->AwaitsRequest() || ++call->silent_sweeps_ < kSilentSweepsMax) continue;
      nghttp2_submit_rst_stream(h2_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    }
    if (!calls_.empty()) SweepTimer();
    ScheduleFlush();
  });
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

std::unique_ptr<Session> NewHttp2Session(const ServerContext& context, env::Connection& connection,
                                         env::Executor& loop, SessionOwner& owner,
                                         std::shared_ptr<LoopMemory> memory) {
  return std::make_unique<Http2Session>(context, connection, loop, owner, std::move(memory));
}

}  // namespace quoin::rpc

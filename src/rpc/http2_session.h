// The server's half of one HTTP/2 connection. See session.h; its calls stand in http2_call.h, what
// nghttp2 tells in http2_callbacks.h.
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/lifeline.h"
#include "rpc/flood_guard.h"
#include "rpc/http2_call.h"
#include "rpc/loop_memory.h"
#include "rpc/session.h"

namespace quoin::rpc {

struct Http2Callbacks;

// See Session. Thread: its I/O loop.
class Http2Session final : public Session, private Holder {
 public:
  Http2Session(const ServerContext& context, env::Connection& connection, env::Executor& loop,
               SessionOwner& owner, std::shared_ptr<LoopMemory> memory);
  ~Http2Session() override;
  bool Feed(std::string_view data) override;
  void OnDrained() override;
  void OnLost() override;
  bool StartDrain() override;
  size_t calls() const override { return calls_.size(); }

 private:
  friend class Http2Call;
  friend struct Http2Callbacks;
  void ScheduleFlush();
  void Flush();
  void WriteOut();
  // Its call has ended, perhaps inside a callback of its own: both go at the end of the turn.
  void Retire(std::unique_ptr<CallHandler> handler) { retired_.push_back(std::move(handler)); }
  void DestroyRetired();
  // The client has gone too far: the connection ends with ENHANCE_YOUR_CALM once nghttp2 has
  // returned. Terminating the session in one of its callbacks is what CVE-2026-27135 needs.
  void Condemn(std::string_view why);
  void Condemn(std::optional<std::string_view> why) {
    if (why) Condemn(*why);
  }
  // What a callback returns: `otherwise`, or a failure that stops nghttp2 at once.
  int Outcome(int otherwise) const {
    return condemned_.empty() ? otherwise : NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  void SayGoodbye();
  void CancelCalls();
  void NotePing();
  void SweepTimer();
  void KeepaliveTimer();
  // Its clients' answers are more than one connection may leave, or are many while the server holds
  // too much.
  bool HoldsTooMuch() const;
  // So many more bytes of requests may stand, of this connection and of all.
  bool MayStand(size_t more) const;
  void ResetGivenUp();
  void TellDrained();
  void Account();
  void GiveUp() override;

  const ServerContext& context_;
  env::Connection& connection_;
  env::Executor& loop_;
  SessionOwner& owner_;
  const std::shared_ptr<LoopMemory> memory_;
  MemoryAccount account_;       // of the connection: answers not taken, requests that wait
  MemoryAccount standing_;      // of the connection: requests that stand
  MemoryCharge unsent_charge_;  // what the connection has not sent
  nghttp2_session* h2_ = nullptr;
  std::map<int32_t, std::unique_ptr<Http2Call>> calls_;
  Http2Call* heading_ = nullptr;  // of the request whose headers came last, while it is in calls_
  // What has ended in this turn. A handler goes before its call.
  std::vector<std::unique_ptr<Http2Call>> retired_calls_;
  std::vector<std::unique_ptr<CallHandler>> retired_;
  Lifeline lifeline_;
  // Calls: to reset; whose requests wait until the connection holds less; that had too much to send
  // and have nothing any more.
  std::vector<int32_t> given_up_calls_, starved_, drained_;
  bool flush_scheduled_ = false;
  bool reading_paused_ = false;
  bool draining_ = false;
  bool lost_ = false;
  bool given_up_ = false;  // holds nothing that counts, and is dropped in the next turn
  FrameMeter frames_;
  FloodGuard guard_;
  std::string_view condemned_;  // why; empty = not
  env::TimerId sweep_timer_;
  env::TimerId keepalive_timer_;
  bool ping_outstanding_ = false;
  bool heard_ = false;  // since the keepalive timer was set
};

}  // namespace quoin::rpc

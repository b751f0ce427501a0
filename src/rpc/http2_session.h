// The server's half of one HTTP/2 connection, and its gRPC calls. See session.h.
#pragma once

#include <nghttp2/nghttp2.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rpc/grpc_wire.h"
#include "rpc/session.h"

namespace quoin::rpc {

class Http2Session;
struct Http2Callbacks;

// One HTTP/2 stream that carries a gRPC call. Owned by its session. Thread: its I/O loop.
class Http2Call final : public ServerCall {
 public:
  Http2Call(Http2Session& session, int32_t id) : session_(session), id_(id) {}
  ~Http2Call() override;

  std::string_view method() const override { return path_; }
  std::optional<std::string_view> metadata(std::string_view name) const override;
  std::optional<env::Duration> deadline() const override { return deadline_; }
  std::string remote_address() const override;
  env::Executor& executor() override;
  void Send(std::string message) override;
  void StartMessage(uint64_t total_bytes) override;
  void AppendMessage(std::string part) override;
  void AppendMessage(SharedBytes part) override;
  size_t unsent_bytes() const override { return out_bytes_; }
  void Finish(const Status& status) override;
  void PauseRequests() override { requests_paused_ = true; }
  void ResumeRequests() override;

 private:
  friend class Http2Session;
  friend struct Http2Callbacks;
  void QueueBytes(std::string bytes);
  // Starts the handler once the headers are complete, or answers with an error.
  void Begin();
  void OnData(std::string_view data);
  void OnEnd();
  void GoOn();
  void DeliverMessages();
  // No request is taken: the handler wants none, or the client does not read the answers.
  bool Holds() const { return requests_paused_ || was_full_; }
  void Cancel(const Status& why);
  void Respond(int http_status, const Status& status);
  void ArmDeadline();

  Http2Session& session_;
  const int32_t id_;
  std::string path_, http_method_, content_type_, encoding_;
  std::optional<std::string> timeout_;
  std::vector<std::pair<std::string, std::string>> metadata_;
  std::optional<env::Duration> deadline_;
  env::TimerId deadline_timer_;
  Method* target_ = nullptr;
  std::unique_ptr<CallHandler> handler_;
  std::optional<MessageReader> reader_;
  int messages_ = 0;
  bool ended_by_client_ = false;
  bool half_close_told_ = false;
  bool requests_paused_ = false;
  size_t window_held_ = 0;  // bytes of the stream not yet given back to the client's window

  std::deque<std::string> out_;
  size_t out_at_ = 0;  // of the first chunk
  size_t out_bytes_ = 0;
  bool was_full_ = false;  // unsent_bytes went above the bound: OnDrained is owed
  bool headers_sent_ = false;
  bool deferred_ = false;  // nghttp2 waits for more data
  bool finished_ = false;
  std::string trailer_status_, trailer_message_;
};

// See Session. Thread: its I/O loop.
class Http2Session final : public Session {
 public:
  Http2Session(const ServerContext& context, env::Connection& connection, env::Executor& loop,
               SessionOwner& owner);
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
  void Retire(std::unique_ptr<CallHandler> handler) { retired_.push_back(std::move(handler)); }
  void GoAway(uint32_t error, std::string_view why);
  void NotePing();
  void NoteReset();
  void KeepaliveTimer();
  void CallEnded();

  const ServerContext& context_;
  env::Connection& connection_;
  env::Executor& loop_;
  SessionOwner& owner_;
  nghttp2_session* h2_ = nullptr;
  std::map<int32_t, std::unique_ptr<Http2Call>> calls_;
  std::vector<std::unique_ptr<CallHandler>>
      retired_;  // ended inside their own callbacks; destroyed at the flush
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool flush_scheduled_ = false;
  bool reading_paused_ = false;
  bool draining_ = false;
  bool lost_ = false;
  uint64_t completed_ = 0;
  uint64_t resets_ = 0;
  int ping_strikes_ = 0;
  env::Duration last_ping_{0};
  bool any_ping_ = false;
  bool answered_since_ping_ = false;
  env::TimerId keepalive_timer_;
  bool ping_outstanding_ = false;
  bool heard_ = false;  // since the keepalive timer was set
};

}  // namespace quoin::rpc

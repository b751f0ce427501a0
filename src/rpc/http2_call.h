// One gRPC call on an HTTP/2 stream: the server's half. See http2_session.h.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "rpc/grpc_wire.h"
#include "rpc/loop_memory.h"
#include "rpc/request_headers.h"
#include "rpc/server.h"

namespace quoin::rpc {

class Http2Session;
struct Http2Callbacks;

// One HTTP/2 stream that carries a gRPC call. Owned by its session. Once it is finished (by Finish,
// or because it was cancelled) it takes nothing more. Thread: its I/O loop.
class Http2Call final : public ServerCall, private Holder {
 public:
  Http2Call(Http2Session& session, int32_t id);
  ~Http2Call() override;

  std::string_view method() const override { return headers_.path(); }
  std::optional<std::string_view> metadata(std::string_view name) const override {
    return headers_.metadata(name);
  }
  std::optional<env::Duration> deadline() const override { return deadline_; }
  std::string remote_address() const override;
  env::Executor& executor() override;
  void Send(std::string message) override;
  void StartMessage(uint64_t total_bytes) override;
  void AppendMessage(std::string part) override;
  void AppendMessage(SharedBytes part) override;
  size_t unsent_bytes() const override { return out_bytes_; }
  bool has_room() const override { return !was_full_; }
  void Finish(const Status& status) override;
  void PauseRequests() override { requests_paused_ = true; }
  void ResumeRequests() override;
  void SetWaitingBytes(size_t bytes) override;
  bool SetStandingBytes(size_t bytes) override;

 private:
  friend class Http2Session;
  friend struct Http2Callbacks;
  void QueueBytes(std::string bytes);
  void AppendToMessage(std::string bytes);
  // An end amid a message: takes back what has not left. False: some of it has, and the call was
  // reset; a client takes a message that breaks off before trailers for a fault of the server.
  bool TakeMessageBack(const Status& status);
  // Behind those that wait. Small ones share a chunk; one that takes much more memory than it has
  // bytes is copied.
  void AddChunk(std::string bytes);
  // At most `room` of them.
  size_t TakeBytes(uint8_t* to, size_t room);
  // Starts the handler once the headers are complete, or answers with an error.
  void Begin();
  void OnData(std::string_view data);
  void OnEnd();
  void GoOn();
  void DeliverMessages();
  // No request is taken: the handler wants none, or the client does not read the answers, of this
  // call or of its connection's.
  bool Holds() const { return requests_paused_ || was_full_ || starved_ || given_up_; }
  // The method takes one request.
  bool OneOnly() const {
    return target_->kind == CallKind::kUnary || target_->kind == CallKind::kServerStream;
  }
  // New work of a connection that holds too much waits for it to let go.
  void CheckShare();
  // It has ended: its handler goes, and with it what that kept.
  void RetireHandler();
  // Tells the account what this call holds now.
  void Account();
  void GiveUp() override;
  // What it holds is gone, and nothing more is taken.
  void LetGo();
  // The first request has not come whole. (Behind it a stream of requests may be silent.)
  bool AwaitsRequest() const;
  void Cancel(const Status& why);
  void Respond(int http_status, const Status& status);
  void ArmDeadline();

  Http2Session& session_;
  const int32_t id_;
  RequestHeaders headers_;
  std::optional<env::Duration> deadline_;
  env::TimerId deadline_timer_;
  Method* target_ = nullptr;
  std::unique_ptr<CallHandler> handler_;
  std::optional<MessageReader> reader_;
  int messages_ = 0;
  bool ended_by_client_ = false;
  bool half_close_told_ = false;
  int silent_sweeps_ = 0;  // the request is not complete, and nothing of it came between sweeps
  bool requests_paused_ = false;
  bool starved_ = false;    // its session will call it
  bool given_up_ = false;   // its bytes are gone, and it is reset at the end of the turn
  size_t window_held_ = 0;  // bytes of the stream not yet given back to the client's window

  std::deque<std::string> out_;
  size_t out_at_ = 0;  // of the first chunk
  size_t out_bytes_ = 0;
  size_t out_memory_ = 0;      // of the chunks
  uint64_t message_left_ = 0;  // of the message that was started: not appended yet
  bool was_full_ = false;      // unsent_bytes went above the bound: OnDrained is owed
  bool headers_sent_ = false;
  bool answered_ = false;  // the client has been given bytes of an answer
  bool deferred_ = false;  // nghttp2 waits for more data
  bool finished_ = false;
  std::string trailer_status_, trailer_message_;
  MemoryCharge answers_;   // not taken: on the connection's account
  MemoryCharge requests_;  // as far as they wait: on the loop's
  MemoryCharge waiting_;   // that the handler keeps meanwhile: on the connection's
  MemoryCharge standing_;  // that it keeps for its client: on the connection's account of these
  MemoryCharge open_;      // the call itself, and small requests that wait
};

}  // namespace quoin::rpc

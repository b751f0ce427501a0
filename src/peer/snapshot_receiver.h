// SnapshotReceiver: one incoming MsgSnap with its tree file, from the first byte of the request to
// the answer.
//
// Thread: the peer loop. Owned by the HTTP session that carries it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "peer/context.h"

namespace quoin::peer {

class SnapshotReceiver final : public rpc::HttpStreamHandler {
 public:
  // Says whether a message may be taken (§ refusals of a POST), before its file is stored.
  using Admit = absl::AnyInvocable<Status(const raft::Message&)>;
  SnapshotReceiver(const Context& context, rpc::HttpExchange& exchange, Admit admit)
      : context_(context), exchange_(exchange), admit_(std::move(admit)) {
    WatchForStall();
  }
  ~SnapshotReceiver() override;

 private:
  void OnBody(std::string_view piece) override;
  void OnBodyEnd() override;
  void OnLost() override;

  // True once the message in front of the file is complete and admitted.
  bool TakeEnvelope();
  void WriteMore();
  // Ends the transfer when the sender has been silent for a while.
  void WatchForStall();
  void Stored();
  void Refuse(int status, const std::string& text);

  const Context& context_;
  rpc::HttpExchange& exchange_;
  Admit admit_;
  std::string buffer_;  // the envelope, then what the sink has not got yet
  std::optional<raft::Message> message_;
  std::unique_ptr<SnapshotSink> sink_;
  env::TimerId stall_timer_;
  bool heard_ = false;  // since the timer was set
  bool writing_ = false;
  bool body_ended_ = false;
  bool done_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace quoin::peer

// SnapshotReceiver: one incoming MsgSnap with its tree file, from the first byte of the request to
// the answer.
//
// Thread: the peer loop. Owned by the HTTP session that carries it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/lifeline.h"
#include "peer/context.h"

namespace quoin::peer {

class SnapshotReceiver final : public rpc::HttpStreamHandler {
 public:
  // Who keeps the receivers apart. Outlives them.
  class Owner {
   public:
    virtual ~Owner() = default;
    // Whether this message, brought by `sender`, may be taken; asked before its file is stored.
    virtual Status Admit(const raft::Message& message, NodeId sender) = 0;
    virtual void OnReceiverGone(SnapshotReceiver& receiver) = 0;
  };

  // `sender`: as the head of the request says.
  SnapshotReceiver(const Context& context, rpc::HttpExchange& exchange, NodeId sender, Owner& owner)
      : context_(context), exchange_(exchange), sender_(sender), owner_(owner) {
    WatchForStall();
  }
  ~SnapshotReceiver() override;

  NodeId sender() const { return sender_; }
  // Another one of the same sender takes its place.
  void Abandon();

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
  // The owner may be gone when this object goes: it hears of the end before.
  void End();

  const Context context_;
  rpc::HttpExchange& exchange_;
  const NodeId sender_;
  Owner& owner_;
  std::string buffer_;  // the envelope, then what the sink has not got yet
  std::optional<raft::Message> message_;
  std::unique_ptr<SnapshotSink> sink_;
  env::TimerId stall_timer_;
  bool heard_ = false;  // since the timer was set
  bool writing_ = false;
  bool body_ended_ = false;
  bool done_ = false;
  bool ended_ = false;
  Lifeline lifeline_;
};

}  // namespace quoin::peer

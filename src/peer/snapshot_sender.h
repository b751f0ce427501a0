// SnapshotSender: one MsgSnap with its tree file on its way to a member.
//
// Thread: the peer loop.
#pragma once

#include <memory>

#include "absl/functional/any_invocable.h"
#include "peer/context.h"

namespace quoin::peer {

class SnapshotSender final : private rpc::HttpStream::Handler {
 public:
  using Done = absl::AnyInvocable<void(const Status&)>;
  // `done` runs once, unless the sender is destroyed before; it may destroy the sender.
  SnapshotSender(const Context& context, const std::string& url, const raft::Message& message,
                 std::unique_ptr<SnapshotSource> source, Done done);
  ~SnapshotSender() override;

 private:
  void ReadMore();
  void OnPiece(StatusOr<std::string> piece);
  // Gives the receiver up when it takes nothing for a while, or does not answer what it has taken.
  void Watch();
  void Finish(const Status& status);
  // --- rpc::HttpStream::Handler ---
  void OnHead(int status, const rpc::HttpResponse& head) override;
  void OnBody(std::string_view piece) override;
  void OnDrained() override;
  void OnEnd(const Status& status) override;

  const Context context_;
  std::unique_ptr<SnapshotSource> source_;
  const env::Duration answer_timeout_;
  Done done_;
  std::unique_ptr<rpc::HttpStream> stream_;
  bool reading_ = false;
  bool all_sent_ = false;
  bool progress_ = true;  // since the last look
  int answer_ = 0;
  std::string answer_text_;
  env::TimerId timer_;
};

}  // namespace quoin::peer

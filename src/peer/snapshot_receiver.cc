#include "peer/snapshot_receiver.h"

#include <fmt/format.h>

#include <utility>

#include "peer/listener.h"
#include "raft_types/codec.h"

namespace quoin::peer {
namespace {

constexpr size_t kEnvelopeBytesMax = 64 << 20;
constexpr size_t kLengthBytes = 8;
constexpr size_t kBufferBytesMax = 1 << 20;
// As long as the sender waits for progress.
constexpr env::Duration kSilenceMax = std::chrono::seconds(30);
constexpr int kBadRequest = 400, kInternalError = 500;

}  // namespace

SnapshotReceiver::~SnapshotReceiver() {
  lifeline_.Cut();
  End();
}

void SnapshotReceiver::End() {
  if (std::exchange(ended_, true)) return;
  context_.loop.Cancel(stall_timer_);
  owner_.OnReceiverGone(*this);
}

void SnapshotReceiver::Abandon() {
  if (!done_) Refuse(kInternalError, "failed to save KV snapshot (its sender sends another one)");
}

void SnapshotReceiver::WatchForStall() {
  stall_timer_ = context_.loop.RunAfter(kSilenceMax, [this] {
    stall_timer_ = {};
    if (done_ || body_ended_) return;
    if (!std::exchange(heard_, false) && !writing_)
      return Refuse(kBadRequest, "failed to receive the snapshot (the sender fell silent)");
    WatchForStall();
  });
}

void SnapshotReceiver::OnBody(std::string_view piece) {
  if (done_) return;
  heard_ = true;
  buffer_.append(piece);
  if (!message_ && !TakeEnvelope()) return;
  if (buffer_.size() > kBufferBytesMax) exchange_.PauseBody();
  WriteMore();
}

bool SnapshotReceiver::TakeEnvelope() {
  if (buffer_.size() < kLengthBytes) return false;
  uint64_t size = 0;
  for (size_t i = 0; i < kLengthBytes; ++i)
    size = size << 8 | static_cast<unsigned char>(buffer_[i]);
  if (size > kEnvelopeBytesMax) {
    Refuse(kBadRequest, "failed to decode raft message (rafthttp: error limit exceeded)");
    return false;
  }
  if (buffer_.size() < kLengthBytes + size) return false;
  StatusOr<raft::Message> message =
      raft::DecodeMessage(std::string_view(buffer_).substr(kLengthBytes, size));
  if (!message.ok()) {
    Refuse(kBadRequest, "failed to decode raft message (proto: illegal wireType)");
    return false;
  }
  if (message->type != raft::MessageType::kSnap) {
    Refuse(kBadRequest, "wrong raft message type");
    return false;
  }
  buffer_.erase(0, kLengthBytes + size);
  if (Status status = owner_.Admit(*message, sender_); !status.ok()) {
    Refuse(kInternalError,
           fmt::format("failed to process raft message ({})", std::string(status.message())));
    return false;
  }
  StatusOr<std::unique_ptr<SnapshotSink>> sink = context_.host.ReceiveSnapshot(*message);
  if (!sink.ok()) {
    Refuse(kInternalError,
           "failed to save KV snapshot (" + std::string(sink.status().message()) + ")");
    return false;
  }
  context_.log.Info("receiving database snapshot",
                    {{"remote-peer-id", HexOf(message->from)},
                     {"incoming-snapshot-index", message->snapshot.metadata.index.value()}});
  message_ = *std::move(message);
  sink_ = *std::move(sink);
  return true;
}

void SnapshotReceiver::WriteMore() {
  if (writing_ || done_) return;
  if (buffer_.empty()) {
    if (body_ended_) Stored();
    return;
  }
  writing_ = true;
  auto written = lifeline_.Tie([this](const Status& status) {
    writing_ = false;
    if (!status.ok())
      return Refuse(kInternalError,
                    "failed to save KV snapshot (" + std::string(status.message()) + ")");
    exchange_.ResumeBody();
    WriteMore();
  });
  sink_->Write(std::exchange(buffer_, {}), std::move(written));
}

void SnapshotReceiver::OnBodyEnd() {
  if (done_) return;
  body_ended_ = true;
  if (!message_) return Refuse(kBadRequest, "failed to decode raft message (unexpected EOF)");
  WriteMore();
}

void SnapshotReceiver::Stored() {
  writing_ = true;
  sink_->Finish(lifeline_.Tie([this](const Status& status) {
    if (!status.ok())
      return Refuse(kInternalError,
                    "failed to save KV snapshot (" + std::string(status.message()) + ")");
    done_ = true;
    rpc::HttpResponse answer;
    answer.status = 204;
    answer.headers = {{"X-Etcd-Cluster-Id", HexOf(context_.options.cluster_id)}};
    End();
    exchange_.Reply(std::move(answer));
  }));
}

void SnapshotReceiver::Refuse(int status, const std::string& text) {
  done_ = true;
  sink_.reset();
  End();
  context_.log.Warn("failed to receive a snapshot",
                    {{"remote-peer-id", HexOf(sender_)}, {"error", text}});
  exchange_.Reply(ErrorResponse(context_.options, status, text));
}

// The sink goes with this object, and takes what was stored with it.
void SnapshotReceiver::OnLost() {
  if (!std::exchange(done_, true) && message_)
    context_.log.Warn("a snapshot broke off", {{"remote-peer-id", HexOf(message_->from)}});
  End();
}

}  // namespace quoin::peer

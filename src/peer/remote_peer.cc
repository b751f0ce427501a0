#include "peer/remote_peer.h"

#include <utility>

namespace quoin::peer {
RemotePeer::RemotePeer(const Context& context, Kind kind, NodeId id, std::vector<std::string> urls)
    : context_(context),
      id_(id),
      urls_(std::move(urls)),
      used_at_(context.loop.clock().Now()),
      pipeline_(context, urls_, *this) {
  if (kind == Kind::kRemote) return;
  StreamReader::User& self = *this;
  message_reader_ =
      std::make_unique<StreamReader>(context_, StreamKind::kMessage, id_, urls_, self);
  msgapp_reader_ = std::make_unique<StreamReader>(context_, StreamKind::kMsgApp, id_, urls_, self);
}

RemotePeer::~RemotePeer() { DetachWriters(); }

void RemotePeer::DetachWriters() {
  for (StreamWriter** writer : {&message_writer_, &msgapp_writer_}) {
    if (StreamWriter* detached = std::exchange(*writer, nullptr)) detached->Detach();
  }
}

bool RemotePeer::Send(const raft::Message& message) {
  Touch();
  if (message.type == raft::MessageType::kApp && msgapp_writer_ != nullptr)
    return msgapp_writer_->Send(message);
  if (message_writer_ != nullptr) return message_writer_->Send(message);
  return pipeline_.Send(message);
}

std::unique_ptr<StreamWriter> RemotePeer::Attach(StreamKind kind, rpc::HttpExchange& exchange) {
  StreamWriter*& writer = WriterOf(kind);
  if (writer != nullptr) writer->Detach();
  StreamWriterOwner& self = *this;
  auto attached = std::make_unique<StreamWriter>(context_, kind, exchange, self);
  writer = attached.get();
  Activate();
  return attached;
}

void RemotePeer::OnWriterLost(StreamWriter& writer) {
  StreamWriter*& at = WriterOf(writer.kind());
  if (at != &writer) return;
  at = nullptr;
  context_.host.OnUnreachable(id_);  // what was on its way is lost
}

void RemotePeer::OnStreamMessages(std::vector<raft::Message> messages) {
  context_.host.OnMessages(std::move(messages));
}

void RemotePeer::OnStreamUp() { Activate(); }

void RemotePeer::OnStreamDown(const Status& why) {
  // Who ended what it says hardly hears what it is told; that the other streams broke shows later.
  if (active_since_) context_.host.OnUnreachable(id_);
  Deactivate("stream", why);
  if (env::IsConnectionRefused(why) && !AnyStream()) context_.host.OnProcessGone(id_);
}

bool RemotePeer::AnyStream() const {
  return message_writer_ != nullptr || msgapp_writer_ != nullptr || message_reader_->is_up() ||
         msgapp_reader_->is_up();
}

void RemotePeer::OnPosted() { Activate(); }

void RemotePeer::OnPostFailed(const Status& why) {
  Deactivate("pipeline", why);
  context_.host.OnUnreachable(id_);
}

void RemotePeer::Activate() {
  told_down_ = false;
  if (active_since_) return;
  active_since_ = context_.loop.clock().Now();
  context_.log.Info("peer became active", {{"peer-id", HexOf(id_)}});
}

void RemotePeer::Deactivate(std::string_view source, const Status& why) {
  const bool was_active = std::exchange(active_since_, std::nullopt).has_value();
  if (!was_active && std::exchange(told_down_, true)) return;
  context_.log.Warn(
      "peer became inactive (message send to peer failed)",
      {{"peer-id", HexOf(id_)}, {"source", source}, {"error", std::string(why.message())}});
}

}  // namespace quoin::peer

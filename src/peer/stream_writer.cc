#include "peer/stream_writer.h"

#include <utility>

namespace quoin::peer {

StreamWriter::StreamWriter(const Context& context, StreamKind kind, rpc::HttpExchange& exchange,
                           StreamWriterOwner& owner)
    : context_(context), kind_(kind), exchange_(exchange), owner_(&owner), encoder_(kind) {
  rpc::HttpResponse head;
  head.headers = {{"X-Etcd-Cluster-Id", HexOf(context_.options.cluster_id)},
                  {"X-Server-Version", context_.options.server_version}};
  exchange_.StartResponse(std::move(head));
  timer_ = context_.loop.RunAfter(context_.options.stream_timeout / 3, [this] { Heartbeat(); });
}

StreamWriter::~StreamWriter() { context_.loop.Cancel(timer_); }

bool StreamWriter::Send(const raft::Message& message) {
  if (exchange_.unsent_bytes() > context_.options.queue_bytes_max) return false;
  std::string bytes;
  encoder_.Encode(message, bytes);
  exchange_.Write(std::move(bytes));
  return true;
}

void StreamWriter::Heartbeat() {
  std::string bytes;
  encoder_.EncodeLinkHeartbeat(bytes);
  // A reader that has stopped reading must not make us collect heartbeats.
  if (exchange_.unsent_bytes() < context_.options.queue_bytes_max) exchange_.Write(bytes);
  timer_ = context_.loop.RunAfter(context_.options.stream_timeout / 3, [this] { Heartbeat(); });
}

void StreamWriter::Detach() {
  if (std::exchange(owner_, nullptr) == nullptr) return;
  context_.loop.Cancel(std::exchange(timer_, {}));
  exchange_.Finish();
}

void StreamWriter::OnLost() {
  context_.loop.Cancel(std::exchange(timer_, {}));
  if (StreamWriterOwner* owner = std::exchange(owner_, nullptr)) owner->OnWriterLost(*this);
}

}  // namespace quoin::peer

// StreamWriter: our end of a stream that a member has opened to hear from us.
//
// Thread: the peer loop. Owned by the HTTP session that carries it.
#pragma once

#include "peer/context.h"
#include "peer/stream_codec.h"

namespace quoin::peer {

class StreamWriter;

// Who sends by it. Outlives it, or calls Detach.
class StreamWriterOwner {
 public:
  virtual ~StreamWriterOwner() = default;
  virtual void OnWriterLost(StreamWriter& writer) = 0;
};

class StreamWriter final : public rpc::HttpStreamHandler {
 public:
  StreamWriter(const Context& context, StreamKind kind, rpc::HttpExchange& exchange,
               StreamWriterOwner& owner);
  ~StreamWriter() override;

  StreamKind kind() const { return kind_; }
  // False: more is queued than the bound allows, the message is dropped.
  bool Send(const raft::Message& message);
  // Ends the stream; the owner hears nothing of it.
  void Detach();

 private:
  void OnLost() override;
  void Heartbeat();

  const Context context_;
  const StreamKind kind_;
  rpc::HttpExchange& exchange_;
  StreamWriterOwner* owner_;  // null: detached
  StreamEncoder encoder_;
  env::TimerId timer_;
};

}  // namespace quoin::peer

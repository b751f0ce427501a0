// RemotePeer: everything between this member and another: two streams each way and the
// pipeline.
//
// Thread: the peer loop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peer/context.h"
#include "peer/pipeline.h"
#include "peer/stream_reader.h"
#include "peer/stream_writer.h"

namespace quoin::peer {

class RemotePeer final : private StreamReader::User,
                         private StreamWriterOwner,
                         private Pipeline::User {
 public:
  // kRemote: not known as a member; hears answers by the pipeline and is not dialled.
  enum class Kind : uint8_t { kMember, kRemote };

  RemotePeer(const Context& context, Kind kind, NodeId id, std::vector<std::string> urls);
  ~RemotePeer() override;

  NodeId id() const { return id_; }
  // When something was last sent to it, or heard of it.
  env::Duration used_at() const { return used_at_; }
  void Touch() { used_at_ = context_.loop.clock().Now(); }
  // Ends the streams that the peer has opened. Before the server goes, which owns them.
  void DetachWriters();
  const std::string& url() const { return urls_.current(); }
  const std::vector<std::string>& urls() const { return urls_.all(); }
  void UpdateUrls(std::vector<std::string> urls) { urls_.Replace(std::move(urls)); }
  void UrlFailed(std::string_view url) { urls_.Failed(url); }

  // By the best way that is open; false: dropped.
  bool Send(const raft::Message& message);
  // The peer has opened a stream to hear from us: it takes the place of the one before.
  std::unique_ptr<StreamWriter> Attach(StreamKind kind, rpc::HttpExchange& exchange);

  std::optional<env::Duration> active_since() const { return active_since_; }
  void Activate();
  void Deactivate(std::string_view source, const Status& why);

 private:
  StreamWriter*& WriterOf(StreamKind kind) {
    return kind == StreamKind::kMsgApp ? msgapp_writer_ : message_writer_;
  }
  bool AnyStream() const;
  // --- StreamReader::User, StreamWriterOwner, Pipeline::User ---
  void OnStreamMessages(std::vector<raft::Message> messages) override;
  void OnStreamUp() override;
  void OnStreamDown(const Status& why) override;
  void OnWriterLost(StreamWriter& writer) override;
  void OnPosted() override;
  void OnPostFailed(const Status& why) override;

  const Context context_;
  const NodeId id_;
  UrlPicker urls_;
  std::optional<env::Duration> active_since_;
  env::Duration used_at_;
  bool told_down_ = false;                  // the log has said that it cannot be reached
  StreamWriter* message_writer_ = nullptr;  // owned by its session
  StreamWriter* msgapp_writer_ = nullptr;
  Pipeline pipeline_;
  std::unique_ptr<StreamReader> message_reader_, msgapp_reader_;
};

}  // namespace quoin::peer

// StreamReader: our end of a stream that we have opened to hear from a member: dials, decodes,
// dials again.
//
// Thread: the peer loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peer/context.h"
#include "peer/stream_codec.h"

namespace quoin::peer {

class StreamReader final : private rpc::HttpStream::Handler {
 public:
  // Who wants to hear. Outlives the reader.
  class User {
   public:
    virtual ~User() = default;
    virtual void OnStreamMessages(std::vector<raft::Message> messages) = 0;
    virtual void OnStreamUp() = 0;
    virtual void OnStreamDown(const Status& why) = 0;
  };

  // `urls` and `user` outlive the reader. Dials at once.
  StreamReader(const Context& context, StreamKind kind, NodeId peer, UrlPicker& urls, User& user);
  ~StreamReader() override;
  bool is_up() const { return up_; }

 private:
  void Dial();
  void Silence();
  void Failed(const Status& why);
  // --- rpc::HttpStream::Handler ---
  void OnHead(int status, const rpc::HttpResponse& head) override;
  void OnBody(std::string_view piece) override;
  void OnEnd(const Status& status) override;

  const Context context_;
  const StreamKind kind_;
  const NodeId peer_;
  UrlPicker& urls_;
  std::string dialled_;
  User& user_;
  std::unique_ptr<rpc::HttpStream> stream_;
  std::unique_ptr<StreamDecoder> decoder_;  // set while the stream is open
  bool up_ = false;
  int refused_ = 0;  // the HTTP status of a refusal, whose text is still to come
  std::string refusal_;
  env::TimerId timer_;  // the next dial, or silence
};

}  // namespace quoin::peer

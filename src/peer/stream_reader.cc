#include "peer/stream_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace quoin::peer {
namespace {

// At most ten dials a second and stream.
constexpr env::Duration kDialPause = std::chrono::milliseconds(100);
constexpr size_t kRefusalBytesMax = 1024;
constexpr int kOk = 200, kGone = 410;

}  // namespace

StreamReader::StreamReader(const Context& context, StreamKind kind, NodeId peer, UrlPicker& urls,
                           User& user)
    : context_(context), kind_(kind), peer_(peer), urls_(urls), user_(user) {
  Dial();
}

StreamReader::~StreamReader() { context_.loop.Cancel(timer_); }

void StreamReader::Dial() {
  rpc::HttpRequestHead head;
  head.url = dialled_ = urls_.current();
  head.target =
      fmt::format("/raft/stream/{}/{}", kind_ == StreamKind::kMsgApp ? "msgapp" : "message",
                  HexOf(context_.options.self));
  head.headers = RequestHeaders(context_.options);
  head.headers.emplace_back("X-Raft-To", HexOf(peer_));
  head.dial_timeout = std::chrono::seconds(1) + context_.options.election_timeout;
  refused_ = 0;
  stream_ = rpc::HttpStream::Open(context_.env, context_.loop, std::move(head), *this);
  Silence();
}

// Arms the timer that ends a stream on which nothing comes, not even link heartbeats.
void StreamReader::Silence() {
  context_.loop.Cancel(timer_);
  timer_ = context_.loop.RunAfter(context_.options.stream_timeout, [this] {
    timer_ = {};
    Failed(absl::UnavailableError("i/o timeout"));
  });
}

void StreamReader::OnHead(int status, const rpc::HttpResponse&) {
  if (status != kOk) {
    refused_ = status;
    refusal_.clear();
    return;
  }
  decoder_ = std::make_unique<StreamDecoder>(kind_, peer_, context_.options.self,
                                             context_.options.message_bytes_max);
  up_ = true;
  user_.OnStreamUp();
}

void StreamReader::OnBody(std::string_view piece) {
  if (decoder_ == nullptr) {
    refusal_.append(
        piece.substr(0, kRefusalBytesMax - std::min(kRefusalBytesMax, refusal_.size())));
    return;
  }
  Silence();
  std::vector<raft::Message> messages;
  Status status = decoder_->Feed(piece, messages);
  for (const raft::Message& message : messages) {
    if (Status forged = CheckAuthor(message, peer_, context_.options.self); !forged.ok()) {
      status = forged;
      messages.clear();
      break;
    }
  }
  if (!messages.empty()) user_.OnStreamMessages(std::move(messages));
  if (!status.ok()) Failed(status);
}

void StreamReader::OnEnd(const Status& status) {
  if (refused_ == kGone) context_.host.OnRemoved();
  if (refused_ != 0) {
    while (!refusal_.empty() && refusal_.back() == '\n') refusal_.pop_back();
    return Failed(absl::UnavailableError(fmt::format("{} ({})", refusal_, refused_)));
  }
  Failed(status.ok() ? absl::UnavailableError("EOF") : status);
}

void StreamReader::Failed(const Status& why) {
  stream_.reset();
  decoder_.reset();
  context_.loop.Cancel(timer_);
  timer_ = context_.loop.RunAfter(kDialPause, [this] {
    timer_ = {};
    Dial();
  });
  const bool was_up = std::exchange(up_, false);
  if (!was_up) urls_.Failed(dialled_);
  user_.OnStreamDown(why);
}

}  // namespace quoin::peer

#include "peer/snapshot_sender.h"

#include <fmt/format.h>

#include <utility>

#include "raft_types/codec.h"

namespace quoin::peer {
namespace {

constexpr size_t kPieceBytes = 128 * 1024;
constexpr size_t kUnsentBytesMax = 1 << 20;
constexpr size_t kAnswerBytesMax = 1024;
// Without any byte taken for so long the receiver is given up.
constexpr env::Duration kStallTimeout = std::chrono::seconds(30);
// With all bytes it syncs and checks the file, which may take so long at least, and a second for so
// many bytes.
constexpr env::Duration kAnswerTimeout = std::chrono::minutes(2);
constexpr uint64_t kCheckedPerSecond = 4 << 20;
constexpr int kNoContent = 204, kForbidden = 403;

env::Duration AnswerTimeout(uint64_t bytes) {
  return kAnswerTimeout + std::chrono::seconds(bytes / kCheckedPerSecond);
}

std::string Envelope(const raft::Message& message) {
  std::string body;
  raft::EncodeMessage(message, body);
  std::string out;
  for (int shift = 56; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(body.size() >> shift));
  return out + body;
}

}  // namespace

SnapshotSender::SnapshotSender(const Context& context, const std::string& url,
                               const raft::Message& message, std::unique_ptr<SnapshotSource> source,
                               Done done)
    : context_(context),
      source_(std::move(source)),
      answer_timeout_(AnswerTimeout(source_->size_bytes())),
      done_(std::move(done)) {
  rpc::HttpRequestHead head;
  head.url = url;
  head.method = "POST";
  head.target = "/raft/snapshot";
  head.headers = RequestHeaders(context_.options);
  head.headers.emplace_back("Content-Type", "application/octet-stream");
  head.chunked = true;
  head.dial_timeout = std::chrono::seconds(1) + context_.options.election_timeout;
  stream_ = rpc::HttpStream::Open(context_.env, context_.loop, std::move(head), *this);
  stream_->Write(Envelope(message));
  Watch();
  ReadMore();
}

SnapshotSender::~SnapshotSender() { context_.loop.Cancel(timer_); }

void SnapshotSender::Watch() {
  const bool answers = all_sent_ && stream_->unsent_bytes() == 0;
  timer_ = context_.loop.RunAfter(answers ? answer_timeout_ : kStallTimeout, [this, answers] {
    timer_ = {};
    if (!std::exchange(progress_, false)) {
      return Finish(absl::UnavailableError(answers ? "the receiver does not answer the snapshot"
                                                   : "the receiver takes no more of the snapshot"));
    }
    Watch();
  });
}

void SnapshotSender::ReadMore() {
  if (reading_ || all_sent_ || stream_->unsent_bytes() > kUnsentBytesMax) return;
  reading_ = true;
  source_->Read(kPieceBytes, [this](StatusOr<std::string> piece) { OnPiece(std::move(piece)); });
}

void SnapshotSender::OnPiece(StatusOr<std::string> piece) {
  reading_ = false;
  if (!piece.ok()) return Finish(piece.status());
  if (stream_ == nullptr) return;
  if (piece->empty()) {
    all_sent_ = true;
    return stream_->EndBody();
  }
  progress_ = true;
  stream_->Write(*std::move(piece));
  ReadMore();
}

void SnapshotSender::OnDrained() {
  progress_ = true;
  ReadMore();
}

void SnapshotSender::OnHead(int status, const rpc::HttpResponse&) { answer_ = status; }

void SnapshotSender::OnBody(std::string_view piece) {
  if (answer_text_.size() < kAnswerBytesMax) answer_text_ += piece.substr(0, kAnswerBytesMax);
}

void SnapshotSender::OnEnd(const Status& status) {
  if (answer_ == kForbidden) context_.host.OnRemoved();
  if (answer_ == kNoContent) return Finish(OkStatus());
  if (answer_ != 0)
    return Finish(absl::UnavailableError(fmt::format("{} ({})", answer_text_, answer_)));
  Finish(status.ok() ? absl::UnavailableError("no answer") : status);
}

void SnapshotSender::Finish(const Status& status) {
  if (done_ == nullptr) return;
  stream_.reset();
  std::exchange(done_, nullptr)(status);
}

}  // namespace quoin::peer

#include "peer/pipeline.h"

#include <fmt/format.h>

#include <utility>

#include "raft_types/codec.h"

namespace quoin::peer {
namespace {

constexpr size_t kPostsAtOnce = 4;
constexpr size_t kWaitingMax = 64;
constexpr int kNoContent = 204, kForbidden = 403;

}  // namespace

bool Pipeline::Send(const raft::Message& message) {
  if (waiting_.size() >= kWaitingMax) return false;
  std::string bytes;
  raft::EncodeMessage(message, bytes);
  waiting_.push_back(std::move(bytes));
  StartWaiting();
  return true;
}

void Pipeline::StartWaiting() {
  while (!waiting_.empty() && posts_.size() < kPostsAtOnce) {
    rpc::FetchRequest request;
    request.head.url = urls_.current();
    request.head.method = "POST";
    request.head.target = "/raft";
    request.head.headers = RequestHeaders(context_.options);
    request.head.headers.emplace_back("Content-Type", "application/protobuf");
    request.head.body = std::move(waiting_.front());
    waiting_.pop_front();
    request.head.dial_timeout = std::chrono::seconds(1) + context_.options.election_timeout;
    request.timeout = request.head.dial_timeout + context_.options.stream_timeout;
    const uint64_t id = next_id_++;
    posts_[id].url = request.head.url;
    posts_[id].fetch =
        rpc::StartFetch(context_.env, context_.loop, std::move(request),
                        [this, id](StatusOr<rpc::HttpResponse> answer) { OnAnswer(id, answer); });
  }
}

void Pipeline::OnAnswer(uint64_t id, const StatusOr<rpc::HttpResponse>& answer) {
  const std::string url = posts_.at(id).url;
  posts_.erase(id);
  if (answer.ok() && answer->status == kForbidden) context_.host.OnRemoved();
  if (answer.ok() && answer->status == kNoContent) {
    user_.OnPosted();
  } else {
    urls_.Failed(url);
    user_.OnPostFailed(
        answer.ok() ? absl::UnavailableError(fmt::format("{} ({})", answer->body, answer->status))
                    : answer.status());
  }
  StartWaiting();
}

}  // namespace quoin::peer

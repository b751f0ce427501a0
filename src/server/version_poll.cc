#include "server/version_poll.h"

#include <algorithm>
#include <utility>

namespace quoin::server {
namespace {

constexpr env::Duration kTimeout = std::chrono::seconds(1);

}  // namespace

VersionPoll::VersionPoll(env::Env& env, env::Executor& loop, const std::vector<std::string>& urls,
                         Version own, Done done)
    : done_(std::move(done)), missing_(urls.size()), range_({own, own}) {
  for (const std::string& url : urls) {
    rpc::FetchRequest request;
    request.head.url = url;
    request.head.target = "/version";
    request.timeout = kTimeout;
    fetches_.push_back(
        rpc::StartFetch(env, loop, std::move(request),
                        [this](StatusOr<rpc::HttpResponse> answer) { Take(answer); }));
  }
}

void VersionPoll::Take(const StatusOr<rpc::HttpResponse>& answer) {
  std::optional<Version> version;
  if (answer.ok() && answer->status == 200) {
    std::optional<std::string> text = cluster::ServerVersionOf(answer->body);
    if (text) version = ParseVersion(*text);
  }
  if (!version) range_.reset();
  if (range_) {
    range_->lowest = std::min(range_->lowest, *version);
    range_->highest = std::max(range_->highest, *version);
  }
  if (--missing_ == 0) std::exchange(done_, nullptr)(range_);  // may end this object
}

}  // namespace quoin::server

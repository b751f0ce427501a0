#include "server/peer_hashes.h"

#include <utility>

namespace quoin::server {
namespace {

constexpr size_t kAnswerBytesMax = 64 << 10;

StatusOr<cluster::KvHash> ReadAnswer(const StatusOr<rpc::HttpResponse>& answer) {
  RETURN_IF_ERROR(answer.status());
  if (answer->status != 200) {
    return absl::UnavailableError("HTTP status " + std::to_string(answer->status) + ": " +
                                  answer->body.substr(0, answer->body.find('\n')));
  }
  return cluster::ParseHashAnswerJson(answer->body);
}

}  // namespace

PeerHashes::PeerHashes(env::Env& env, env::Executor& loop, Question question, Done done)
    : env_(env),
      loop_(loop),
      question_(std::move(question)),
      done_(std::move(done)),
      missing_(question_.others.size()),
      asked_(question_.others.size()) {
  for (size_t i = 0; i < asked_.size(); ++i) {
    hashes_.push_back({question_.others[i].id, std::nullopt, "it has no peer URL"});
    Ask(i);
  }
  if (asked_.empty()) EndLater();
}

// Neither inside the constructor nor inside a fetch.
void PeerHashes::EndLater() {
  loop_.Post(lifeline_.Tie([this] { std::exchange(done_, nullptr)(std::move(hashes_)); }));
}

void PeerHashes::Ask(size_t i) {
  const std::vector<std::string>& urls = question_.others[i].peer_urls;
  if (asked_[i].next_url == urls.size()) {
    if (--missing_ == 0) EndLater();
    return;
  }
  rpc::FetchRequest request;
  request.head.url = urls[asked_[i].next_url++];
  request.head.target = "/members/hashkv";
  request.head.headers = {{"X-Etcd-Cluster-Id", cluster::HexId(question_.cluster_id)},
                          {"Content-Type", "application/json"}};
  request.head.body = cluster::HashRequestJson(question_.revision);
  request.timeout = question_.timeout;
  request.body_bytes_max = kAnswerBytesMax;
  asked_[i].fetch =
      rpc::StartFetch(env_, loop_, std::move(request),
                      [this, i](StatusOr<rpc::HttpResponse> answer) { Take(i, answer); });
}

void PeerHashes::Take(size_t i, const StatusOr<rpc::HttpResponse>& answer) {
  StatusOr<cluster::KvHash> hash = ReadAnswer(answer);
  if (hash.ok()) {
    hashes_[i].answer = *hash;
    asked_[i].next_url = question_.others[i].peer_urls.size();
  } else {
    hashes_[i].error = std::string(hash.status().message());
  }
  Ask(i);
}

}  // namespace quoin::server

#include "server/lease_host.h"

#include <utility>

#include "server/apply_loop.h"

namespace quoin::server {

void MemberLeaseHost::Propose(Term term, state::Operation operation, std::string_view payload,
                              OnStatus done) {
  auto shared = std::make_shared<OnStatus>(std::move(done));
  StatusOr<Frontend::Wait> wait = frontend_.ProposeAsLeader(
      term, operation, payload,
      [shared](const state::ApplyResult& result) { (*shared)(result.status); });
  wait.ok() ? std::move(*wait).Detach() : (*shared)(wait.status());
}

// What has been applied was posted to this loop before anybody could see that it was applied: so it
// is told before what is posted now.
void MemberLeaseHost::WaitReadable(OnStatus done) {
  auto behind = [&loop = frontend_.loop(), done = std::move(done)](Status status) mutable {
    loop.Post([done = std::move(done), status = std::move(status)]() mutable {
      done(std::move(status));
    });
  };
  frontend_.WaitReadable(std::move(behind)).Detach();
}

std::unique_ptr<rpc::Fetch> MemberLeaseHost::AskLeader(const std::string& target, std::string body,
                                                       env::Duration timeout, OnAnswer done) {
  if (frontend_.cluster() == nullptr) return nullptr;
  const uint64_t leader = frontend_.info().leader.load(std::memory_order_relaxed);
  if (leader == frontend_.info().member_id) return nullptr;
  for (const cluster::Member& member : frontend_.cluster()->members) {
    if (member.id != leader || member.peer_urls.empty()) continue;
    rpc::FetchRequest request;
    request.head.url = member.peer_urls.front();
    request.head.method = "POST";
    request.head.target = target;
    request.head.headers = {{"Content-Type", "application/protobuf"}};
    request.head.body = std::move(body);
    request.timeout = timeout;
    request.body_bytes_max = 64 << 20;  // the keys of a lease
    return rpc::StartFetch(env_, frontend_.loop(), std::move(request), std::move(done));
  }
  return nullptr;
}

void MemberLeaseHost::KeysOf(int64_t id, OnKeys done) {
  apply_loop_.Post(
      [&apply = apply_, &lease_loop = frontend_.loop(), id, done = std::move(done)]() mutable {
        std::vector<std::string> keys;
        if (const lease::Lease* lease = apply.machine().lessor().Find(LeaseId(id)))
          keys.assign(lease->keys.begin(), lease->keys.end());
        lease_loop.Post(
            [keys = std::move(keys), done = std::move(done)]() mutable { done(std::move(keys)); });
      });
}

}  // namespace quoin::server

#include "server/lease_host.h"

#include <utility>

#include "base/wire.h"
#include "server/apply_loop.h"
#include "server/slices.h"

namespace quoin::server {
namespace {

constexpr size_t kKeysOfSlice = 1000;

// Reads the keys of one lease bit by bit. Used on the apply loop.
class KeysInSlices {
 public:
  explicit KeysInSlices(int64_t id) : id_(id) {}

  // True at the end. The lease may have gone, or be another generation's, since the last slice.
  bool Slice(const lease::Lessor& lessor) {
    const lease::Lease* lease = lessor.Find(id_);
    if (lease == nullptr) return true;
    auto key = bytes_.empty() ? lease->keys.begin() : lease->keys.upper_bound(last_);
    for (size_t i = 0; i < kKeysOfSlice && key != lease->keys.end(); ++i, ++key) {
      wire::PutBytes(bytes_, 5, *key);
      last_ = *key;
    }
    return key == lease->keys.end();
  }
  std::string TakeBytes() { return std::move(bytes_); }

 private:
  const LeaseId id_;
  std::string last_;
  std::string bytes_;
};

}  // namespace

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
  RunInSlices(apply_loop_, [&apply = apply_, &lease_loop = frontend_.loop(),
                            keys = KeysInSlices(id), done = std::move(done)]() mutable {
    if (!keys.Slice(apply.machine().lessor())) return false;
    lease_loop.Post(
        [bytes = keys.TakeBytes(), done = std::move(done)]() mutable { done(SharedBytes(bytes)); });
    return true;
  });
}

}  // namespace quoin::server

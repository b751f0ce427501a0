// Locks and elections over gRPC, with leases that hold and leases that end on the way. Whoever is
// told that it has the lock was the first in the queue at the revision of the answer. Whoever is
// told that it leads had nobody in front at a moment between asking and hearing; as with etcd, its
// own lease may have ended by then.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proto/election.pb.h"
#include "proto/lock.pb.h"
#include "proto/rpc.pb.h"
#include "sim/workload.h"

namespace quoin::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kContendersMax = 8;
constexpr env::Duration kTimeout = seconds(20);

class LockLoad final : public Workload {
 public:
  explicit LockLoad(const Stage& stage)
      : fleet_(stage.fleet), observer_(stage.observer), clients_(stage.clients) {}

  void Start(Host& host) override;
  void Check() override;

 private:
  // Somebody was told that it is first. Value type.
  struct Grant {
    std::string queue, key;
    int64_t joined;    // the revision at which the key came; 0: as the store has it
    int64_t from, to;  // revisions at which it may have been the first
  };
  Prng& random() { return fleet_.random(); }
  void Contend(Host& host);
  void Lock(Host& host, int64_t lease);
  void Campaign(Host& host, int64_t lease);
  void Release(Host& host, const std::string& lock_key);
  void Resign(Host& host, const v3electionpb::LeaderKey& key);
  int64_t NewestRevision();
  template <typename Then>
  void Later(Then then) {
    clients_.loop().RunAfter(milliseconds(random().Below(3000)), std::move(then));
  }
  std::optional<std::string> Judge(const Grant& grant) const;
  bool IsFirst(const Grant& grant, int64_t revision) const;

  Fleet& fleet_;
  Observer& observer_;
  Clients& clients_;
  size_t contenders_ = 0;
  int64_t next_lease_ = 2'000'000;
  std::vector<Grant> grants_;
};

void LockLoad::Start(Host& host) {
  if (!host.machine->serving()) return;
  clients_.loop().Post([this, &host] {
    while (contenders_ < kContendersMax && random().Chance(0.6)) Contend(host);
  });
}

// Each with a lease of its own, which nobody renews.
void LockLoad::Contend(Host& host) {
  ++contenders_;
  etcdserverpb::LeaseGrantRequest request;
  request.set_id(next_lease_++);
  request.set_ttl(2 + static_cast<int64_t>(random().Below(12)));
  clients_.Call<etcdserverpb::LeaseGrantResponse>(host, "/etcdserverpb.Lease/LeaseGrant", request,
                                                  seconds(5), [this, &host](auto answer) {
                                                    if (!answer.ok()) {
                                                      --contenders_;
                                                    } else if (random().Chance(0.6)) {
                                                      Lock(host, answer->id());
                                                    } else {
                                                      Campaign(host, answer->id());
                                                    }
                                                  });
}

void LockLoad::Lock(Host& host, int64_t lease) {
  v3lockpb::LockRequest request;
  request.set_name("lock");
  request.set_lease(lease);
  clients_.Call<v3lockpb::LockResponse>(
      host, "/v3lockpb.Lock/Lock", request, kTimeout, [this, &host](auto answer) {
        --contenders_;
        if (!answer.ok()) return;
        ++fleet_.result().locks;
        const int64_t revision = answer->header().revision();
        grants_.push_back({"lock/", answer->key(), 0, revision, revision});
        if (random().Chance(0.7)) Later([this, &host, key = answer->key()] { Release(host, key); });
      });
}

void LockLoad::Release(Host& host, const std::string& lock_key) {
  v3lockpb::UnlockRequest request;
  request.set_key(lock_key);
  clients_.Call<v3lockpb::UnlockResponse>(host, "/v3lockpb.Lock/Unlock", request, kTimeout,
                                          [](auto) {});
}

void LockLoad::Campaign(Host& host, int64_t lease) {
  v3electionpb::CampaignRequest request;
  request.set_name("election");
  request.set_lease(lease);
  request.set_value("v" + std::to_string(lease));
  clients_.Call<v3electionpb::CampaignResponse>(
      host, "/v3electionpb.Election/Campaign", request, kTimeout, [this, &host](auto answer) {
        --contenders_;
        if (!answer.ok()) return;
        ++fleet_.result().locks;
        grants_.push_back({"election/", answer->leader().key(), answer->leader().rev(),
                           answer->header().revision(), NewestRevision()});
        if (random().Chance(0.7))
          Later([this, &host, key = answer->leader()] { Resign(host, key); });
      });
}

void LockLoad::Resign(Host& host, const v3electionpb::LeaderKey& key) {
  v3electionpb::ResignRequest request;
  *request.mutable_leader() = key;
  clients_.Call<v3electionpb::ResignResponse>(host, "/v3electionpb.Election/Resign", request,
                                              kTimeout, [](auto) {});
}

// No answer that was heard by now knows of a later one. A member that is gone may have known.
int64_t LockLoad::NewestRevision() {
  int64_t newest = 0;
  for (auto& host : fleet_.hosts()) {
    if (!host->machine->up()) return INT64_MAX;
    newest = std::max(newest, observer_.Revision(*host));
  }
  return newest;
}

bool LockLoad::IsFirst(const Grant& grant, int64_t revision) const {
  const Content& content = observer_.history().state(revision);
  const auto own = content.find(grant.key);
  if (own == content.end() && grant.joined == 0) return false;
  const int64_t joined = grant.joined != 0 ? grant.joined : own->second.mod_revision;
  for (auto at = content.lower_bound(grant.queue);
       at != content.end() && at->first.starts_with(grant.queue); ++at) {
    if (at->second.mod_revision < joined) return false;
  }
  return true;
}

std::optional<std::string> LockLoad::Judge(const Grant& grant) const {
  const int64_t known = observer_.history().known();
  if (grant.from > known) return "a lock at a revision that never was";
  for (int64_t revision = grant.from; revision <= std::min(grant.to, known); ++revision)
    if (IsFirst(grant, revision)) return std::nullopt;
  return grant.key + " was told to be first, and was not at revision " + std::to_string(grant.from);
}

void LockLoad::Check() {
  for (const Grant& grant : grants_)
    if (auto wrong = Judge(grant)) fleet_.Fail(*wrong);
}

}  // namespace

std::unique_ptr<Workload> NewLockLoad(const Stage& stage) {
  return std::make_unique<LockLoad>(stage);
}

}  // namespace quoin::sim

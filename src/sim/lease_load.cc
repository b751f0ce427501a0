// Leases with a key each are granted, renewed, revoked and left to end, over gRPC by way of any
// member. None ends before the time that was promised, counted from when the promise was asked for;
// none is left in the end.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "proto/rpc.pb.h"
#include "sim/workload.h"

namespace quoin::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kLeasesMax = 6;  // at once
constexpr env::Duration kTimeout = seconds(4);

class LeaseLoad final : public Workload {
 public:
  explicit LeaseLoad(const Stage& stage)
      : fleet_(stage.fleet), observer_(stage.observer), clients_(stage.clients) {}

  void Setup() override {
    renew_every_ = milliseconds(60 + random().Below(400));
    moves_chance_ = random().Chance(0.5) ? 0.02 : 0.4;
  }
  void Start(Host& host) override;
  bool hears_of_changes() const override { return true; }
  void OnChange(Host& host) override { Look(host); }
  void Settle() override { settling_ = true; }  // all are let go
  void Check() override;

 private:
  struct Lease {
    int64_t id = 0;
    env::Duration promised{0};     // it must be there until then
    env::Duration renew_until{0};  // for as long as its holder cares
    bool granted = false;
    bool revoked = false;  // somebody has asked for that
    bool key_seen = false;
    bool ended = false;
    env::Duration ended_at{0};  // the first moment at which anybody knew
    Host* asks = nullptr;
  };
  Prng& random() { return fleet_.random(); }
  std::string KeyOf(int64_t id) const { return "lease" + std::to_string(id); }
  size_t Living() const;

  void Grant(Host& host);
  void Put(Host& host, Lease& lease);
  void Revoke(Host& host, Lease& lease);
  void Ask(Host& host, Lease& lease);
  void Renew(Lease& lease);
  void RenewAt(Host& host, Lease& lease);
  void Promise(Lease& lease, env::Duration asked, int64_t ttl_seconds, const char* by);
  void Ended(Lease& lease, const std::string& by);
  void Look(Host& host);
  void EndOne(Host& host);

  // One renewal: a stream of one message.
  class Renewal;

  Fleet& fleet_;
  Observer& observer_;
  Clients& clients_;
  env::Duration renew_every_{0};
  double moves_chance_ = 0;
  int64_t next_id_ = 1;
  std::map<int64_t, Lease> leases_;
  std::map<Renewal*, std::unique_ptr<Renewal>> renewals_;  // under way; looked up only
  bool settling_ = false;
};

class LeaseLoad::Renewal final : public rpc::ClientStream::Handler {
 public:
  Renewal(LeaseLoad& load, Host& host, Lease& lease)
      : load_(load), lease_(lease), host_(host.machine->host()), asked_(load.clients_.Now()) {
    rpc::CallOptions options;
    options.timeout = kTimeout;
    stream_ = load.clients_.To(host).Stream("/etcdserverpb.Lease/LeaseKeepAlive", options, *this);
    etcdserverpb::LeaseKeepAliveRequest request;
    request.set_id(lease.id);
    stream_->Send(request.SerializeAsString());
    stream_->HalfClose();
  }
  void OnMessage(std::string_view message) override {
    etcdserverpb::LeaseKeepAliveResponse response;
    if (!response.ParseFromString(std::string(message)))
      return load_.fleet_.Fail("a response that does not parse");
    if (response.id() != lease_.id)
      return load_.fleet_.Fail("a renewal of lease " + std::to_string(lease_.id) +
                               " got the answer for " + std::to_string(response.id()));
    ++load_.fleet_.result().renewals;
    if (response.ttl() > 0)
      load_.Promise(lease_, asked_, response.ttl(), "a renewal");
    else if (lease_.granted)
      load_.Ended(lease_, "a renewal by " + host_);
  }
  void OnEnd(const Status&) override {
    load_.clients_.loop().Post([load = &load_, self = this] { load->renewals_.erase(self); });
  }

 private:
  LeaseLoad& load_;
  Lease& lease_;
  const std::string host_;
  const env::Duration asked_;
  std::unique_ptr<rpc::ClientStream> stream_;
};

size_t LeaseLoad::Living() const {
  return static_cast<size_t>(std::count_if(leases_.begin(), leases_.end(),
                                           [](const auto& each) { return !each.second.ended; }));
}

void LeaseLoad::Start(Host& host) {
  if (!host.machine->serving()) return;
  clients_.loop().Post([this, &host] {
    if (Living() < kLeasesMax && random().Chance(0.6)) Grant(host);
    for (auto& [id, lease] : leases_) {
      if (!lease.granted || lease.ended) continue;
      if (random().Chance(0.1)) Put(host, lease);
      if (random().Chance(0.1)) Ask(host, lease);
      if (random().Chance(0.02)) Revoke(host, lease);
    }
  });
  if (fleet_.options().mutant == Mutant::kEndsLeasesEarly) EndOne(host);
}

// The mistake of kEndsLeasesEarly: what a leader proposes when a lease's time is over.
void LeaseLoad::EndOne(Host& host) {
  for (auto& [id, lease] : leases_) {
    if (lease.ended || !lease.granted || !random().Chance(0.05)) continue;
    etcdserverpb::LeaseRevokeRequest request;
    request.set_id(id);
    host.machine->Propose(state::Operation::kLeaseRevoke, request.SerializeAsString(),
                          [](const state::ApplyResult&) {});
  }
}

void LeaseLoad::Grant(Host& host) {
  const int64_t id = next_id_++;
  Lease& lease = leases_[id];
  lease.id = id;
  lease.asks = &host;
  lease.renew_until = clients_.Now() + seconds(random().Below(20));
  etcdserverpb::LeaseGrantRequest request;
  request.set_id(id);
  request.set_ttl(1 + static_cast<int64_t>(random().Below(3)));
  const env::Duration asked = clients_.Now();
  clients_.Call<etcdserverpb::LeaseGrantResponse>(
      host, "/etcdserverpb.Lease/LeaseGrant", request, kTimeout,
      [this, &host, &lease, asked](auto answer) {
        if (!answer.ok()) {
          lease.ended = true;  // it may exist all the same, and then ends unseen
          return;
        }
        lease.granted = true;
        ++fleet_.result().leases;
        Promise(lease, asked, answer->ttl(), "its grant");
        Put(host, lease);
        Renew(lease);
      });
}

void LeaseLoad::Put(Host& host, Lease& lease) {
  etcdserverpb::PutRequest request;
  request.set_key(KeyOf(lease.id));
  request.set_value("leased");
  request.set_lease(lease.id);
  clients_.Call<etcdserverpb::PutResponse>(host, "/etcdserverpb.KV/Put", request, kTimeout,
                                           [this, &lease](auto answer) {
                                             if (absl::IsNotFound(answer.status()))
                                               Ended(lease, "a put");
                                           });
}

void LeaseLoad::Revoke(Host& host, Lease& lease) {
  lease.revoked = true;
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(lease.id);
  clients_.Call<etcdserverpb::LeaseRevokeResponse>(host, "/etcdserverpb.Lease/LeaseRevoke", request,
                                                   kTimeout, [](auto) {});
}

void LeaseLoad::Ask(Host& host, Lease& lease) {
  etcdserverpb::LeaseTimeToLiveRequest request;
  request.set_id(lease.id);
  clients_.Call<etcdserverpb::LeaseTimeToLiveResponse>(
      host, "/etcdserverpb.Lease/LeaseTimeToLive", request, kTimeout, [this, &lease](auto answer) {
        if (answer.ok() && answer->ttl() < 0) Ended(lease, "time to live");
      });
}

// Again and again, mostly by way of the same member.
void LeaseLoad::Renew(Lease& lease) {
  if (lease.ended || settling_ || clients_.Now() > lease.renew_until) return;
  if (random().Chance(moves_chance_)) {
    if (Host* other = fleet_.AnyUp()) lease.asks = other;
  }
  RenewAt(*lease.asks, lease);
  clients_.loop().RunAfter(renew_every_, [this, &lease] { Renew(lease); });
}

void LeaseLoad::RenewAt(Host& host, Lease& lease) {
  auto renewal = std::make_unique<Renewal>(*this, host, lease);
  renewals_.emplace(renewal.get(), std::move(renewal));
}

// Whether it was given before or after the end was known: it must not have ended sooner.
void LeaseLoad::Promise(Lease& lease, env::Duration asked, int64_t ttl_seconds, const char* by) {
  lease.promised = std::max(lease.promised, asked + seconds(ttl_seconds));
  if (lease.ended && lease.granted && !lease.revoked && lease.ended_at < lease.promised)
    fleet_.Fail("lease " + std::to_string(lease.id) + " had ended before what " + by + " promised");
}

void LeaseLoad::Ended(Lease& lease, const std::string& by) {
  if (lease.ended) return;
  lease.ended = true;
  lease.ended_at = clients_.Now();
  fleet_.Say("lease " + std::to_string(lease.id) + " has ended, says " + by);
  if (lease.revoked || lease.ended_at >= lease.promised) return;
  const auto early =
      std::chrono::duration_cast<milliseconds>(lease.promised - lease.ended_at).count();
  fleet_.Fail("lease " + std::to_string(lease.id) + " ended " + std::to_string(early) +
              " ms early, says " + by);
}

// A key that was there and is gone: its lease has ended.
void LeaseLoad::Look(Host& host) {
  if (!host.machine->up()) return;
  observer_.Learn(host);
  if (fleet_.failed()) return;
  const History& history = observer_.history();
  const Content& now = history.state(history.known());
  for (auto& [id, lease] : leases_) {
    if (lease.ended || !lease.granted) continue;
    if (now.contains(KeyOf(id)))
      lease.key_seen = true;
    else if (lease.key_seen)
      Ended(lease, "its key");
  }
}

void LeaseLoad::Check() {
  for (auto& host : fleet_.hosts()) Look(*host);
  // The longest time, what a new leader adds to it, and what the log takes.
  fleet_.world().RunFor(seconds(30));
  const History& history = observer_.history();
  for (auto& host : fleet_.hosts()) {
    if (!host->machine->up()) continue;
    observer_.Learn(*host);
    if (fleet_.failed()) return;
    for (const auto& [key, held] : history.state(history.known())) {
      if (key.starts_with("lease")) return fleet_.Fail("a lease lives for ever: " + key);
    }
  }
}

}  // namespace

std::unique_ptr<Workload> NewLeaseLoad(const Stage& stage) {
  return std::make_unique<LeaseLoad>(stage);
}

}  // namespace quoin::sim

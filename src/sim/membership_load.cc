// Members are added as learners or voters, promoted and removed, and come back under new ids; the
// lead is moved. A cluster may begin alone and end with all that there is.
#include <algorithm>
#include <string>
#include <vector>

#include "cluster/membership.h"
#include "server/member_changes.h"
#include "sim/workload.h"

namespace quoin::sim {
namespace {

using std::chrono::seconds;

class MembershipLoad final : public Workload {
 public:
  explicit MembershipLoad(const Stage& stage) : fleet_(stage.fleet) {}

  void Setup() override { eager_ = fleet_.random().Chance(0.5); }

  void Start(Host& host) override {
    Clear();
    if (!host.machine->ready()) return;
    if (fleet_.random().Chance(eager_ ? 0.7 : 0.25)) Change(host);
  }

  void Settle() override;
  void Check() override;

 private:
  struct Rows {
    std::vector<cluster::Member> voters, learners;
  };
  Prng& random() { return fleet_.random(); }
  Rows Now() const;
  Host* HostOf(uint64_t id);
  template <typename T>
  T& One(std::vector<T>& of) {
    return of[random().Below(of.size())];
  }

  void Change(Host& host);
  void Add(Host& host, Host& spare, bool learner);
  void Remove(Host& host, const Rows& rows);
  void Promote(Host& host, uint64_t id);
  void MoveLead(Host& host, uint64_t id);
  void Clear();
  bool IsStranded();
  server::OnChanged Hear(const std::string& what) {
    return [this, what](const Status& status) {
      fleet_.Say(what + ": " + status.ToString());
      if (status.ok()) ++fleet_.result().member_changes;
    };
  }

  Fleet& fleet_;
  bool eager_ = false;
  uint64_t next_id_ = 0x1000;
};

MembershipLoad::Rows MembershipLoad::Now() const {
  Rows rows;
  const auto newest = fleet_.Newest();
  if (newest == nullptr) return rows;
  for (const cluster::Member& member : newest->members)
    (member.learner ? rows.learners : rows.voters).push_back(member);
  return rows;
}

Host* MembershipLoad::HostOf(uint64_t id) {
  for (auto& host : fleet_.hosts())
    if (host->id == id) return host.get();
  return nullptr;
}

void MembershipLoad::Change(Host& host) {
  Rows rows = Now();
  const uint64_t what = random().Below(10);
  if (what < 4) {
    for (auto& other : fleet_.hosts()) {
      const bool may_join = other->id == 0 || (!other->lived && !fleet_.IsMember(*other) &&
                                               other->machine->config().initial_cluster.empty());
      if (may_join) return Add(host, *other, random().Chance(0.75));
    }
  }
  if (what < 7 && !rows.learners.empty()) return Promote(host, One(rows.learners).id);
  if (what < 9) return Remove(host, rows);
  if (!rows.voters.empty()) MoveLead(fleet_.LeaderOrAny(), One(rows.voters).id);
}

// Asked again under the same id for as long as nobody knows what became of it.
void MembershipLoad::Add(Host& host, Host& spare, bool learner) {
  if (spare.id == 0) spare.id = next_id_++;
  const std::string what = "add " + std::string(learner ? "learner " : "voter ") +
                           spare.machine->host() + " as " + cluster::HexId(spare.id);
  fleet_.Say(what + " by " + host.machine->host());
  host.machine->io().Post(
      [this, &host, id = spare.id, url = spare.machine->peer_url(), learner, what] {
        server::Node& node = host.machine->node();
        server::AddMember(node, node.frontend(0), id, {url}, learner, Hear(what));
      });
}

// Never the last voter, and never more than one of whom nobody knows yet that they are gone.
void MembershipLoad::Remove(Host& host, const Rows& rows) {
  std::vector<cluster::Member> all = rows.voters;
  if (rows.voters.size() < 2) all.clear();
  all.insert(all.end(), rows.learners.begin(), rows.learners.end());
  if (all.empty()) return;
  const uint64_t id = One(all).id;
  const std::string what = "remove " + cluster::HexId(id);
  fleet_.Say(what + " by " + host.machine->host());
  host.machine->io().Post([this, &host, id, what] {
    server::Node& node = host.machine->node();
    // Judged again where the proposal is made: another removal may have come first.
    size_t voters = 0;
    for (const cluster::Member& member : node.frontend(0).cluster()->members)
      voters += !member.learner;
    if (voters >= 2) server::RemoveMember(node, node.frontend(0), id, Hear(what));
  });
}

void MembershipLoad::Promote(Host& host, uint64_t id) {
  const std::string what = "promote " + cluster::HexId(id);
  fleet_.Say(what + " by " + host.machine->host());
  host.machine->io().Post([this, &host, id, what] {
    server::Node& node = host.machine->node();
    server::PromoteMember(node, node.frontend(0), id, Hear(what));
  });
}

void MembershipLoad::MoveLead(Host& host, uint64_t id) {
  if (!host.machine->ready()) return;
  host.machine->io().Post([this, &host, id] {
    server::Node& node = host.machine->node();
    const env::Duration until = host.machine->io().clock().Now() + seconds(3);
    server::MoveLeader(node, node.frontend(0), id, until, Hear("move the lead"));
  });
}

// Who is known to be removed leaves its disk sooner or later, and may come back as another member.
void MembershipLoad::Clear() {
  for (auto& host : fleet_.hosts()) {
    if (host->id != 0 && fleet_.IsRemoved(*host) && random().Chance(0.2)) fleet_.MakeSpare(*host);
  }
}

// For somebody who is up no quorum is left: it counts voters that know of their removal.
bool MembershipLoad::IsStranded() {
  return std::any_of(fleet_.hosts().begin(), fleet_.hosts().end(), [this](const auto& host) {
    const auto view = host->machine->up() ? host->machine->node().frontend(0).cluster() : nullptr;
    if (view == nullptr) return false;
    size_t voters = 0, gone = 0;
    for (const cluster::Member& member : view->members) {
      const Host* other = member.learner ? nullptr : HostOf(member.id);
      voters += !member.learner;
      gone += !member.learner && (other == nullptr || other->machine->removed());
    }
    return gone > 0 && voters - gone < voters / 2 + 1;
  });
}

// Who has been asked for starts as soon as somebody knows it.
void MembershipLoad::Settle() {
  auto all_up = [this] {
    const auto newest = fleet_.Newest();
    return newest != nullptr &&
           std::all_of(newest->members.begin(), newest->members.end(), [&](const auto& member) {
             Host* host = HostOf(member.id);
             return host != nullptr && host->machine->up() && host->machine->ready();
           });
  };
  for (int quiet = 0, round = 0; quiet < 6; ++round) {
    for (auto& host : fleet_.hosts()) {
      if (host->id != 0 && fleet_.IsRemoved(*host)) fleet_.MakeSpare(*host);
      if (host->id != 0 && !host->machine->up()) fleet_.Start(*host);
    }
    fleet_.world().RunFor(seconds(2));
    fleet_.Tend();
    if (fleet_.failed()) return;
    quiet = all_up() ? quiet + 1 : 0;
    if (round < 100) continue;
    if (!IsStranded()) return fleet_.Fail("never: all members are up");
    fleet_.Say("stranded");
    fleet_.result().stranded = 1;
    return;
  }
}

void MembershipLoad::Check() {
  for (auto& host : fleet_.hosts()) {
    if (host->machine->up() && host->machine->removed() && fleet_.IsMember(*host))
      fleet_.Fail(host->machine->host() + " was told that it is removed, and is a member");
  }
}

}  // namespace

std::unique_ptr<Workload> NewMembershipLoad(const Stage& stage) {
  return std::make_unique<MembershipLoad>(stage);
}

}  // namespace quoin::sim

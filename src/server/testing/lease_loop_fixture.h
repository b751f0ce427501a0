// What tests of the lease loop share: the loop by itself, on virtual time, against a scripted
// member.
//
// Thread: the test's, which lets the world's time pass.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/wire.h"
#include "env/sim/sim_world.h"
#include "proto/lease.pb.h"
#include "server/lease_loop.h"

namespace quoin::server {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = lease::Change::Kind;
using Elsewhere = LeaseLoop::Elsewhere;

// Notes what the loop asks for; the test answers when it likes.
class ScriptedHost final : public LeaseHost {
 public:
  struct Proposed {
    Term term;
    std::string what;
    OnStatus done;
  };
  struct Asked {
    std::string target, body;
    env::Duration timeout;
    OnAnswer done;
  };
  struct Handle final : rpc::Fetch {};

  explicit ScriptedHost(env::Executor& loop) : loop_(loop) {}

  void WaitReadable(OnStatus done) override {
    if (!confirms) return waits.push_back(std::move(done));
    loop_.Post([done = std::move(done)]() mutable { done(OkStatus()); });
  }
  void Propose(Term term, state::Operation operation, std::string_view payload,
               OnStatus done) override {
    proposals.push_back({term, Describe(operation, payload), std::move(done)});
  }
  std::unique_ptr<rpc::Fetch> AskLeader(const std::string& target, std::string body,
                                        env::Duration timeout, OnAnswer done) override {
    if (!knows_leader) return nullptr;
    asked.push_back({target, std::move(body), timeout, std::move(done)});
    return std::make_unique<Handle>();
  }
  void KeysOf(int64_t, OnKeys done) override { key_questions.push_back(std::move(done)); }

  bool confirms = true;  // at once; otherwise the test does, by `waits`
  bool knows_leader = true;
  std::deque<OnStatus> waits;
  std::deque<Proposed> proposals;
  std::deque<Asked> asked;
  std::deque<OnKeys> key_questions;

 private:
  env::Executor& loop_;

  static std::string Describe(state::Operation operation, std::string_view payload) {
    if (operation == state::Operation::kLeaseRevoke) {
      etcdserverpb::LeaseRevokeRequest request;
      EXPECT_TRUE(request.ParseFromString(std::string(payload)));
      return "revoke " + std::to_string(request.id());
    }
    EXPECT_EQ(operation, state::Operation::kLeaseCheckpoint);
    etcdserverpb::LeaseCheckpointRequest request;
    EXPECT_TRUE(request.ParseFromString(std::string(payload)));
    if (request.checkpoints_size() > 3)
      return std::to_string(request.checkpoints_size()) + " checkpoints";
    std::string out = "checkpoint";
    for (const auto& checkpoint : request.checkpoints()) {
      out +=
          " " + std::to_string(checkpoint.id()) + ":" + std::to_string(checkpoint.remaining_ttl());
    }
    return out;
  }
};

inline SharedBytes Keys(std::initializer_list<std::string_view> keys) {
  std::string out;
  for (std::string_view key : keys) wire::PutBytes(out, 5, key);
  return SharedBytes(out);
}

// What came of one request: "" while it waits.
template <typename T>
std::string Text(const StatusOr<T>& value) {
  if (!value.ok()) return std::string(value.status().message());
  if constexpr (std::is_same_v<T, LeaseTimes>) {
    std::string out =
        std::to_string(value->ttl_seconds) + " of " + std::to_string(value->granted_seconds);
    etcdserverpb::LeaseTimeToLiveResponse response;
    EXPECT_TRUE(response.ParseFromString(std::string(value->keys.view())));
    for (const std::string& key : response.keys()) out += " " + key;
    return out;
  } else {
    return std::to_string(value.value());
  }
}

class LeaseLoopTest : public testing::Test {
 protected:
  LeaseLoopTest() {
    config_.lease_checkpoint = true;
    info_.member_id = 1;
  }

  // Time passes, and the followers answer.
  void Pass(env::Duration time) {
    for (const env::Duration end = world_.Now() + time; world_.Now() < end;) {
      info_.lead_proved_at.store(world_.Now().count());
      world_.RunFor(std::min<env::Duration>(milliseconds(50), end - world_.Now()));
    }
  }
  // Time passes while the whole process stands still, or nobody answers it.
  void StandStill(env::Duration time) { world_.RunFor(time); }
  void On(std::function<void()> call) {
    loop_.Post(std::move(call));
    Pass(milliseconds(1));
  }

  void Lead(uint64_t term) {
    info_.term.store(term);
    info_.is_leader.store(true);
    On([this, term] { leases_.OnFirstEntry(Term(term)); });
  }
  void Follow(uint64_t term) {
    info_.term.store(term);
    info_.is_leader.store(false);
  }
  void Granted(int64_t id, int64_t ttl) { Changed({{Kind::kGranted, id, ttl, 0}}); }
  void Changed(std::vector<lease::Change> changes) {
    On([this, changes = std::move(changes)] { leases_.OnChanges(changes); });
  }
  // The log has carried out the oldest proposal that waits.
  void Carry(std::vector<lease::Change> changes, const Status& status = OkStatus()) {
    ASSERT_FALSE(host_.proposals.empty());
    On([&,
        proposed = std::make_shared<ScriptedHost::Proposed>(std::move(host_.proposals.front()))] {
      leases_.OnChanges(changes);
      proposed->done(status);
    });
    host_.proposals.pop_front();
  }
  void Refuse() { Carry({}, errors::ProposalDropped()); }
  void Confirm(const Status& status) {
    ASSERT_FALSE(host_.waits.empty());
    On([&] { host_.waits.front()(status); });
    host_.waits.pop_front();
  }
  void Answer(StatusOr<rpc::HttpResponse> answer) {
    ASSERT_FALSE(host_.asked.empty());
    On([&, asked = std::make_shared<ScriptedHost::Asked>(std::move(host_.asked.front()))] {
      asked->done(std::move(answer));
    });
    host_.asked.pop_front();
  }
  static rpc::HttpResponse Renewed(int64_t id, int64_t ttl) {
    etcdserverpb::LeaseKeepAliveResponse response;
    response.set_id(id);
    response.set_ttl(ttl);
    rpc::HttpResponse http;
    http.body = response.SerializeAsString();
    return http;
  }
  static rpc::HttpResponse Refused(int status) {
    rpc::HttpResponse http;
    http.status = status;
    return http;
  }

  // Where the answer will stand.
  const std::string& Renew(int64_t id, Elsewhere elsewhere = Elsewhere::kForward) {
    std::string& out = answers_.emplace_back();
    On([&] {
      leases_.Renew(id, world_.Now(), elsewhere, [&out](const StatusOr<int64_t>& ttl) {
        EXPECT_EQ(out, "") << "answered twice";
        out = Text(ttl);
      });
    });
    return out;
  }
  const std::string& TimeToLive(int64_t id, bool with_keys = false, Wanted wanted = nullptr) {
    std::string& out = answers_.emplace_back();
    On([&] {
      leases_.TimeToLive(
          id, with_keys, Elsewhere::kForward,
          [&out](const StatusOr<LeaseTimes>& times) {
            EXPECT_EQ(out, "") << "answered twice";
            out = Text(times);
          },
          wanted);
    });
    return out;
  }
  // Where the list will stand, once it is made.
  std::optional<std::vector<int64_t>>& List() {
    auto& out = lists_.emplace_back();
    loop_.Post([&] {
      leases_.List([&out](const SharedBytes& bytes) {
        EXPECT_FALSE(out) << "answered twice";
        etcdserverpb::LeaseLeasesResponse response;
        EXPECT_TRUE(response.ParseFromString(std::string(bytes.view())));
        out.emplace();
        for (const auto& lease : response.leases()) out->push_back(lease.id());
      });
    });
    return out;
  }
  std::vector<int64_t> ListNow() {
    auto& list = List();
    Pass(milliseconds(100));
    EXPECT_TRUE(list);
    return list.value_or(std::vector<int64_t>());
  }
  // What stands in the mailbox is carried out, and what that posts.
  void Steps(int count) {
    for (int i = 0; i < count; ++i) {
      bool done = false;
      loop_.Post([&] { done = true; });
      while (!done) ASSERT_TRUE(world_.Step());
    }
  }
  std::vector<std::string> Proposals() const {
    std::vector<std::string> out;
    for (const auto& proposed : host_.proposals) out.push_back(proposed.what);
    return out;
  }
  using Lines = std::vector<std::string>;

  NullLogger log_;
  env::SimWorld world_{1};
  NodeConfig config_;
  NodeInfo info_;
  env::SimExecutor loop_{world_};
  ScriptedHost host_{loop_};
  LeaseLoop leases_{config_, info_, loop_, host_, log_};
  std::deque<std::string> answers_;
  std::deque<std::optional<std::vector<int64_t>>> lists_;
};

}  // namespace quoin::server

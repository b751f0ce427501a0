// SimNetwork: byte streams between simulated machines, with drawn delays, cut links and resets.
// Bytes of one direction stay in order; they arrive in drawn pieces, as with TCP.
//
// A machine is named by its host, which its SimEnv (or SimExecutor) was given. A loopback, wildcard
// or unix address belongs to the machine of the loops that listen on it; every other address is
// the world's.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "env/dialer.h"
#include "env/network.h"

namespace quoin::env {

class SimWorld;
class SimExecutor;
class SimStream;

// Thread: one.
class SimNetwork final : public Network, private Dialer::World {
 public:
  explicit SimNetwork(SimWorld& world);
  ~SimNetwork() override;

  StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address,
                                             std::vector<Executor*> loops,
                                             const ListenOptions& options,
                                             OnAccept on_accept) override;
  void Connect(const std::string& address, Duration timeout, Executor& on,
               absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)> done) override;

  // What a look-up of `host` gives from now on, and how long it takes: names that are slow, wrong
  // or unknown. Names that nobody has set are unknown.
  void SetName(const std::string& host, StatusOr<std::vector<std::string>> addresses,
               Duration takes = Duration(0)) {
    names_.insert_or_assign(host, NameAnswer{std::move(addresses), takes});
  }
  // A mistake on purpose: a loop that dials waits for the name itself.
  void set_names_on_the_loop() { names_on_the_loop_ = true; }

  // From now on programs of this machine take at most so many bytes of a connection at a time, and
  // nothing for a while after that.
  void SetAppetite(const std::string& host, size_t bytes_most, Duration pause) {
    appetites_.insert_or_assign(host, Appetite{bytes_most, pause});
  }

  // --- faults ---

  // How long bytes are under way; for one direction of one link, or for all that have none of
  // their own.
  void set_delay(Duration least, Duration most) { delay_ = {least, most}; }
  void set_delay(const std::string& from, const std::string& to, Duration least, Duration most) {
    delays_[{from, to}] = {least, most};
  }
  // Nothing passes from one host to the other (the other direction stays): bytes wait, and arrive
  // after Heal.
  void Cut(const std::string& from, const std::string& to);
  void Heal(const std::string& from, const std::string& to);
  void HealAll();
  bool IsCut(const std::string& from, const std::string& to) const {
    return cuts_.contains({from, to});
  }
  // As a firewall that rejects: connections between the two hosts end at once, and new ones are
  // refused, until HealAll.
  void Reject(const std::string& one, const std::string& other);
  // Ends all connections between two hosts at once, at both ends, with what they carried.
  void Reset(const std::string& one, const std::string& other);
  // Listeners and connections of this host are gone without callbacks. The other ends see a reset
  // after a silence of up to a second, or as was set (or once the link heals).
  void CrashHost(const std::string& host);
  void set_silence_after_crash(Duration most) { silence_ = most; }

 private:
  friend class SimListener;
  friend class SimStream;
  using Link = std::pair<std::string, std::string>;  // from, to
  class Accepting;
  // A connection that is being made.
  struct Attempt;
  class AttemptHandle;
  struct NameAnswer {
    StatusOr<std::vector<std::string>> addresses;
    Duration takes;
  };

  NameAnswer AnswerOf(const std::string& host) const;
  void Lookup(const std::string& host, Executor& on, Dialer::Found found) override;
  std::unique_ptr<Dialer::Attempt> Dial(const std::string& address, Executor& on,
                                        Dialer::Done done) override;

  struct Appetite {
    size_t bytes_most = SIZE_MAX;
    Duration pause{0};
  };
  Appetite AppetiteOf(const std::string& host) const {
    const auto found = appetites_.find(host);
    return found == appetites_.end() ? Appetite() : found->second;
  }
  Duration DrawDelay(const Link& link);
  // Runs `task` on the other side of the link, once that is not cut.
  void Carry(const Link& link, Task task);
  void Knock(std::shared_ptr<Attempt> attempt);
  std::shared_ptr<Accepting> FindListener(const std::string& address, const std::string& from);
  void Resume(const Link& link);
  void Forget(uint64_t stream) { streams_.erase(stream); }

  SimWorld& world_;
  std::pair<Duration, Duration> delay_{std::chrono::microseconds(20),
                                       std::chrono::microseconds(400)};
  std::map<Link, std::pair<Duration, Duration>> delays_;
  std::map<std::string, NameAnswer> names_;
  bool names_on_the_loop_ = false;
  std::map<std::string, Appetite> appetites_;  // by host
  Duration silence_ = std::chrono::seconds(1);
  std::map<Link, std::vector<Task>> cuts_;                       // with what waits for them to heal
  std::map<std::string, std::shared_ptr<Accepting>> listeners_;  // by key
  std::map<uint64_t, std::shared_ptr<SimStream>> streams_;       // in the order of their making
  std::set<Link> rejected_;                                      // in both directions
  uint64_t next_id_ = 1;
  uint16_t next_port_ = 30000;
};

}  // namespace quoin::env

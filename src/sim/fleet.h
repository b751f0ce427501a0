// Fleet: the machines of one run and the network between them: who exists, who is a member, who is
// up. Faults and workloads act through it, and tell it what they find wrong.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "env/sim/sim_world.h"
#include "sim/machine.h"
#include "sim/run.h"

namespace quoin::sim {

// A machine and what the run knows of it. Value type, but for the machine.
struct Host {
  std::unique_ptr<Machine> machine;
  size_t number = 0;
  uint64_t id = 0;        // of the member that it is, or is to become; 0: none
  bool lived = false;     // since its disk was empty
  int64_t revision = 0;   // the highest seen of this life
  size_t calls = 0;       // of this life without an answer
  uint64_t life = 0;      // grows with every start
  bool stopping = false;  // in an orderly way
  uint64_t applied = 0;   // as it was when workloads last heard of a change
};

// Thread: one.
class Fleet {
 public:
  Fleet(const RunOptions& options, RunResult& result);
  ~Fleet();

  // `members` machines for a new cluster and `spares` that may join it later. None is started.
  void Make(int members, int spares, const server::NodeConfig& shape);
  // Before Make: members find each other by names.
  void set_named(bool named) { named_ = named; }

  env::SimWorld& world() { return world_; }
  env::SimNetwork& network() { return network_; }
  Prng& random() { return world_.random(); }
  const RunOptions& options() const { return options_; }
  RunResult& result() { return result_; }

  // --- what was found ---
  void Fail(std::string why);
  bool failed() const { return result_.failure.has_value(); }
  void Say(const std::string& what) const;
  // Lets events happen until `done`; fails when that never comes.
  bool Until(const std::function<bool()>& done, const std::string& what);

  // --- machines ---
  const std::vector<std::unique_ptr<Host>>& hosts() const { return hosts_; }
  Host& host(size_t number) { return *hosts_[number]; }
  // One with data, or that may start.
  Host& Any();
  Host* AnyUp();
  // One that is up and, as far as anybody knows, a voter.
  Host* AnyMemberUp();
  Host& LeaderOrAny();
  // Whether it has data, or is to join and somebody knows its cluster.
  bool MayStart(const Host& host) const;
  void Start(Host& host);
  void Crash(Host& host);
  // An orderly stop begins; Tend sees to its end.
  void Stop(Host& host);
  // A disk that is as fast as any, or slow, or stops for a while now and then; loops that are slow.
  void DrawTimes(Host& host);
  // Its name is slow to look up, or unknown, or has a wrong address in front of the right one.
  void DrawName(const Host& host);
  bool named() const { return named_; }
  // Some lives begin on a directory that etcd has had in between.
  void set_etcd_repairs(bool repairs) { etcd_repairs_ = repairs; }
  void set_slow_loops(bool slow) { slow_loops_ = slow; }
  void set_before_crash(std::function<void(Host&)> look) { before_crash_ = std::move(look); }
  void set_on_elected(std::function<void(Host&, uint64_t)> hear) { on_elected_ = std::move(hear); }

  void set_on_snapshot(std::function<void(Host&)> hear) { on_snapshot_ = std::move(hear); }

  // --- who is a member ---
  // As the member that is up and has applied most holds it; null when none is up.
  std::shared_ptr<const server::ClusterInfo> Newest() const;
  bool IsMember(const Host& host) const;
  // Its disk may be cleared: the others do without it.
  bool IsRemoved(const Host& host) const;
  // Ends what has stopped, and takes down who has heard that it was removed.
  void Tend();
  // The machine is to be no member any more, and has nothing on its disk.
  void MakeSpare(Host& host);

  // Network healed, everything fast, everybody up that belongs.
  void Heal();

 private:
  void Configure(Host& host, const server::NodeConfig& shape);
  void Join(Host& host);
  void SetRightName(const Host& host);

  const RunOptions options_;
  RunResult& result_;
  env::SimWorld world_;
  env::SimNetwork network_;
  std::vector<std::unique_ptr<Host>> hosts_;
  uint64_t cluster_id_ = 0;
  bool slow_loops_ = false;
  bool named_ = false;
  bool etcd_repairs_ = false;
  std::function<void(Host&)> before_crash_;
  std::function<void(Host&, uint64_t)> on_elected_;
  std::function<void(Host&)> on_snapshot_;
};

}  // namespace quoin::sim

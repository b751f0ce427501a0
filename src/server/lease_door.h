// LeaseDoor: one I/O loop's way to the lease loop: what one turn asks travels together, and so do
// the answers.
//
// Thread: its I/O loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/lifeline.h"
#include "env/executor.h"
#include "server/lease_loop.h"
#include "server/wanted.h"

namespace quoin::server {

class LeaseDoor {
 public:
  // Answers run on `loop`.
  using OnTimes = LeaseLoop::OnTimes;
  using OnList = LeaseLoop::OnList;

  // A stream of renewals. Its end is that of all its waits. Thread: the door's I/O loop.
  class Renewer {
   public:
    virtual ~Renewer() = default;
    // The answer to the renewal of this number; those of one renewer come in any order.
    virtual void OnRenewed(uint64_t number, const StatusOr<int64_t>& ttl_seconds) = 0;

   protected:
    // What was asked so far is not answered.
    void WantNoMore() { lifeline_.Cut(); }

   private:
    friend class LeaseDoor;
    Lifeline lifeline_;
  };

  // A question that waits for its answer. Its end is that of the wait, which the lease loop is told
  // of: it drops the question. Thread: the door's I/O loop.
  class [[nodiscard]] Question {
   public:
    void Cut() {
      line_.Cut();
      want_.reset();
    }

   private:
    friend class LeaseDoor;
    Lifeline line_;
    std::unique_ptr<Want> want_;
  };

  LeaseDoor(LeaseLoop& leases, env::Executor& lease_executor, env::Executor& loop)
      : leases_(leases), lease_executor_(lease_executor), loop_(loop) {}

  void Renew(int64_t id, Renewer& renewer, uint64_t number);
  // `done` runs while what is returned lives.
  Question TimeToLive(int64_t id, bool with_keys, OnTimes done);
  Question List(OnList done);

 private:
  struct Renewal {
    int64_t id;
    uint64_t number;
    env::Duration came_at;
    Renewer* renewer;
    Lifeline::Sign wanted;
    StatusOr<int64_t> ttl_seconds;
  };
  void Flush();
  // On the lease loop: what can be answered at once goes back together.
  static void RenewAll(LeaseLoop& leases, env::Executor& io, std::vector<Renewal> renewals);
  static void Answer(const Renewal& renewal);

  LeaseLoop& leases_;
  env::Executor& lease_executor_;
  env::Executor& loop_;
  std::vector<Renewal> gathered_;
};

}  // namespace quoin::server

// Frontend: one I/O loop's door to the member: proposals out, answers in, reads at the right
// moment.
//
// Thread: its I/O loop (one Frontend per loop; the apply loop has one for the member's own
// proposals).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "base/epoch.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/status.h"
#include "env/executor.h"
#include "mvcc/store.h"
#include "server/config.h"
#include "server/messages.h"
#include "server/node_info.h"
#include "state/command.h"

namespace quoin::server {

class RaftLoop;

// Where request ids come from. Ids name the member (high 16 bits), and the loop that waits (by
// remainder), so that an answer finds its way without a shared table.
struct RequestIds {
  uint64_t base = 0;
  uint64_t loops = 1;
  // The loop that waits for this id, if it was given out by this run of this member.
  std::optional<size_t> LoopOf(uint64_t id) const {
    if (id < base || (id >> 48) != (base >> 48)) return std::nullopt;
    return (id - base) % loops;
  }
};

class Frontend {
 public:
  using OnApplied = absl::AnyInvocable<void(state::ApplyResult)>;
  using OnReadable = absl::AnyInvocable<void(Status)>;

  // The right to one answer: destroyed, the callback runs no more. The frontend outlives it.
  // Thread: the frontend's loop, or any once that has ended. A value to move.
  class [[nodiscard]] Wait {
   public:
    Wait() = default;
    ~Wait() { Cancel(); }
    Wait(Wait&& other) noexcept : of_(std::exchange(other.of_, nullptr)), id_(other.id_) {}
    Wait& operator=(Wait&& other) noexcept {
      if (this == &other) return *this;
      Cancel();
      of_ = std::exchange(other.of_, nullptr);
      id_ = other.id_;
      return *this;
    }
    void Cancel() {
      if (of_ != nullptr) std::exchange(of_, nullptr)->Cancel(id_);
    }
    // The callback runs, or has run: there is nothing to cancel.
    void Over() { of_ = nullptr; }
    // The callback runs whatever becomes of the caller: for one that owns all that it touches, or
    // whose objects outlive the frontend's loop.
    void Detach() && { of_ = nullptr; }

   private:
    friend class Frontend;
    Wait(Frontend& of, uint64_t id) : of_(&of), id_(id) {}
    Frontend* of_ = nullptr;  // null: nothing waits
    uint64_t id_ = 0;
  };

  Frontend(size_t number, const RequestIds& ids, const NodeConfig& config, NodeInfo& info,
           env::Executor& loop, env::Executor& raft_executor, env::Executor& bulk, RaftLoop& raft,
           std::shared_ptr<Data> data);
  ~Frontend();

  // Proposes one operation; `done` is called once, later, on this loop, unless the wait is
  // cancelled first. A proposal that was cancelled in the turn in which it was made is not made at
  // all; a later one cannot be taken back. Errors at once: too large, too many requests, server
  // stopping.
  [[nodiscard]] StatusOr<Wait> Propose(state::Operation operation, std::string_view payload,
                                       OnApplied done);
  // The same, but only through this member as leader of `term`: refused when it no longer is.
  [[nodiscard]] StatusOr<Wait> ProposeAsLeader(Term term, state::Operation operation,
                                               std::string_view payload, OnApplied done);
  // An id that no other call gets.
  uint64_t TakeId() { return IdOf(next_sequence_++); }
  // Proposes a change of the membership (context as docs/formats/peer.md has it; the id is set
  // here). `done` as above; its frontend already shows the new membership in cluster() then.
  [[nodiscard]] StatusOr<Wait> ProposeConfChange(raft::ConfChange change, OnApplied done);
  // The quota check that stands before a write of `cost` bytes (0 always passes).
  bool HasSpace(int64_t cost) const;
  // For a write that does not pass: proposes the NOSPACE alarm; `done` gets the refusal afterwards.
  // Fails with that refusal when the alarm cannot be proposed.
  [[nodiscard]] StatusOr<Wait> RefuseForSpace(OnApplied done);

  // Everything acknowledged so far is visible here: a linearizable read need not wait. True only
  // where no other member could have acknowledged anything, and all that is committed is visible.
  bool ReadableNow() const;
  // Calls `done` later, when everything acknowledged before this call is visible here.
  [[nodiscard]] Wait WaitReadable(OnReadable done);

  // It serves clients: it refuses large proposals, and all of them while too much is not applied.
  // Before the loops start.
  void set_bounded() { bounded_ = true; }

  // --- reading ---
  // Of the present generation: not to be kept across turns.
  mvcc::Store& store() { return data_->machine->store(); }
  btree::Tree& tree() { return *data_->tree; }
  EpochDomain::ReaderSlot& slot() { return *slot_; }
  const std::shared_ptr<const ClusterInfo>& cluster() const { return cluster_; }
  const NodeInfo& info() const { return info_; }
  const NodeConfig& config() const { return config_; }
  env::Executor& loop() { return loop_; }

  // Called (here) after each batch that this loop is told of, with the store's revision: for
  // watchers. The batch is null when its events stand in the store alone.
  using OnEvents = std::function<void(int64_t revision, const watch::Batch* events)>;
  void set_on_events(OnEvents on_events) { on_events_ = std::move(on_events); }

  // Thread: any. Reads wait here for a batch, so this loop wants to be told of each one.
  bool WantsBatches() const { return reads_wait_.load(std::memory_order_seq_cst); }

  // --- from the other loops (posted to this one) ---
  void OnPublished(Published published);
  void OnReadReady(ReadReady ready);
  // The proposals could not enter raft; answers them with `status`.
  void OnRefused(std::vector<uint64_t> request_ids, const Status& status);
  // Another leader than before, or the same one again: reads that wait cannot be confirmed by it.
  void OnLeaderChanged();
  // Answers everything that waits with "server stopped".
  void Stop();

 private:
  using WaitId = uint64_t;  // of a proposal its request id, of a read one with kReadBit

  // Everything asked between two instants expires together, at `at`: proposals from
  // `first_proposal` (a sequence number) and reads from `first_read` up to those of the next
  // bucket.
  struct DeadlineBucket {
    env::Duration at;
    uint64_t first_proposal;
    WaitId first_read;
  };
  using Reads = std::vector<std::pair<WaitId, OnReadable>>;  // ascending
  struct ReadRound {
    std::vector<uint64_t> ids;  // asked so far; an answer to any of them counts
    env::Duration asked{0};     // the last time
    Reads reads;
    std::optional<Index> index;  // known: waits for it to be applied
  };
  struct Answering {
    WaitId wait;
    OnReadable done;
    Status status;
  };
  StatusOr<WaitId> Register(size_t bytes, OnApplied done);
  void Cancel(WaitId wait);
  void Account() { waiting_charge_.Set(waiting_.size() * limits::kWaitingCallBytes); }
  void FlushProposals();
  Index VisibleIndex() const;
  void StartReadRound();
  void AskForRound();
  void NoteRounds();
  void OnReadRetryTimer();
  Status TimeoutSince(env::Duration started) const;
  void ReleaseReads();
  void AnswerReads(Reads reads, const Status& status);
  void NoteDeadline();
  void OnDeadlineTimer();
  void ExpireBefore(uint64_t proposal_end, WaitId read_end, const Status& status);
  WaitId IdOf(uint64_t sequence) const { return ids_.base + sequence * ids_.loops + number_; }

  const size_t number_;
  const RequestIds ids_;
  const NodeConfig& config_;
  NodeInfo& info_;
  env::Executor& loop_;
  env::Executor& raft_executor_;
  RaftLoop& raft_;
  env::Executor& bulk_;
  std::shared_ptr<Data> data_;
  std::unique_ptr<EpochDomain::ReaderSlot> slot_;

  MemoryAccount account_{info_.unapplied};
  MemoryCharge waiting_charge_{account_};
  bool bounded_ = false;

  uint64_t next_sequence_ = 0;
  std::vector<Proposal> gathered_;                  // this turn's proposals
  bool gathered_cancelled_ = false;                 // nobody waits for some of them any more
  absl::flat_hash_map<WaitId, OnApplied> waiting_;  // looked up only
  std::deque<DeadlineBucket> deadlines_;            // ascending; a bucket per granule of time
  uint64_t expired_before_ = 0;                     // proposals below have been answered or expired
  env::TimerId deadline_timer_;

  Reads gathered_reads_;          // wait for the next round
  std::deque<ReadRound> rounds_;  // ascending; only the last may lack its index
  std::deque<Answering> answering_;
  env::TimerId read_retry_timer_;
  uint64_t next_read_ = 1;
  // There are rounds. The apply loop looks at it after it has stored applied_index; this loop looks
  // at applied_index after it has set it: so one of the two notices.
  std::atomic<bool> reads_wait_{false};
  Index applied_;  // as told
  uint64_t views_taken_ = 0;
  std::shared_ptr<const ClusterInfo> cluster_;
  OnEvents on_events_;
  bool stopping_ = false;
};

}  // namespace quoin::server

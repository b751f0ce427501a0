#include "utl/repair.h"

#include <fmt/format.h>

#include <algorithm>

#include "btree/tree.h"
#include "state/state_machine.h"
#include "utl/snapshot_file.h"
#include "wal/segment.h"
#include "wal/wal.h"

namespace quoin::utl {
namespace {

using Way = RepairPlan::Way;

StatusOr<AppliedState> ReadApplied(env::BlockingFileSystem& files, const std::string& path) {
  AppliedState out;
  const StatusOr<env::FileInfo> info = files.Stat(path);
  if (absl::IsNotFound(info.status()) || (info.ok() && info->size == 0)) return out;
  RETURN_IF_ERROR(CheckDatabase(files, path).status());
  btree::Options options;
  options.read_only = true;
  ASSIGN_OR_RETURN(const std::unique_ptr<btree::Tree> tree,
                   btree::Tree::Open(files, path, options));
  state::Options look;
  look.purpose = state::Options::Purpose::kLook;
  NullLogger quiet;
  ASSIGN_OR_RETURN(const std::unique_ptr<state::StateMachine> machine,
                   state::StateMachine::Open(*tree, look, quiet));
  out.index = machine->applied_index().value();
  out.term = machine->applied_term().value();
  out.members = machine->membership().ConfigurationState();
  return out;
}

// The entries of the old log that follow on the data file: they stand in the new one, too.
std::vector<raft::Entry> Following(const RepairPlan& plan) {
  const std::vector<raft::Entry>& entries = plan.salvage.entries;
  const Index applied(plan.applied.index);
  if (entries.empty() || entries.front().index > applied + 1 || entries.back().index <= applied)
    return {};
  const auto next = entries.begin() + static_cast<ptrdiff_t>(applied + 1 - entries.front().index);
  // Another history than the data file's does not follow on it.
  if (next != entries.begin() && std::prev(next)->term != Term(plan.applied.term)) return {};
  return {next, entries.end()};
}

// The last entry that the directory has after the repair, in the log or in the data file.
Index KeptTo(const RepairPlan& plan) {
  const bool log_stays = plan.way == Way::kCut || !Following(plan).empty();
  return log_stays ? plan.salvage.last_kept : Index(plan.applied.index);
}

// A term in which this member can have given no vote, as far as its log can be read.
Term TermOfItsOwn(const RepairPlan& plan) {
  Term term = std::max(plan.salvage.kept_state.term, Term(plan.applied.term));
  if (plan.salvage.lost_state) term = std::max(term, plan.salvage.lost_state->term);
  if (!plan.salvage.entries.empty()) term = std::max(term, plan.salvage.entries.back().term);
  return Term(term.value() + 1);
}

Status BeginNewLog(env::Env& env, const RepairPlan& plan, Logger& log) {
  env::BlockingFileSystem& files = env.files().blocking();
  const Index applied(plan.applied.index);
  const Index commit = std::clamp(plan.salvage.kept_state.commit, applied, KeptTo(plan));
  wal::Writer::Batch first;
  first.hard_state = raft::HardState{TermOfItsOwn(plan), NodeId(), commit};
  first.snapshot = wal::SnapshotRecord{applied, Term(plan.applied.term), plan.applied.members};
  first.entries = Following(plan);
  RETURN_IF_ERROR(files.Rename(plan.wal_dir, wal::FreeBrokenName(files, plan.wal_dir)));
  RETURN_IF_ERROR(files.SyncDirectory(wal::ParentOf(plan.wal_dir)));
  const std::unique_ptr<env::Executor> loop = env.NewExecutor("wal");
  return wal::Writer::Create(env.files(), plan.wal_dir, plan.salvage.metadata, first, {}, *loop,
                             log)
      .status();
}

std::string Count(uint64_t entries) {
  return fmt::format("{} {}", entries, entries == 1 ? "entry" : "entries");
}

std::string Entries(const wal::Salvage& salvage) {
  if (salvage.lost_entries == 0) return "no entry of it can be read";
  return fmt::format("{} of it can be read, from index {} to {}", Count(salvage.lost_entries),
                     salvage.lost_first.value(), salvage.lost_last.value());
}

// What is known of answers that clients got for what is lost.
std::string Acknowledged(const RepairPlan& plan) {
  const wal::Salvage& salvage = plan.salvage;
  const uint64_t kept = KeptTo(plan).value();
  uint64_t commit = salvage.kept_state.commit.value();
  if (salvage.lost_state) commit = std::max(commit, salvage.lost_state->commit.value());
  const uint64_t last = std::max({salvage.last_kept.value(), salvage.lost_to.value(), commit});
  if (last > kept) {
    const std::string known =
        commit > kept ? fmt::format(
                            "Up to {} they were committed: clients may have had answers for "
                            "them. Later ones may have been, too.",
                            commit)
                      : "The log does not say that they were committed; on a member that was alone "
                        "each may have been answered.";
    return fmt::format("entries {} to {} are lost. {}", kept + 1, last, known);
  }
  return fmt::format("every entry that can be read is kept: up to index {}.", kept);
}

}  // namespace

StatusOr<RepairPlan> PlanRepair(env::BlockingFileSystem& files, const std::string& data_dir,
                                const std::string& wal_dir) {
  RepairPlan plan;
  plan.wal_dir = wal_dir;
  ASSIGN_OR_RETURN(plan.applied, ReadApplied(files, data_dir + "/member/snap/db"));
  NullLogger quiet;
  const Status readable =
      wal::Recover(files, wal_dir, wal::ReadMode::kReadOnly, Index(plan.applied.index), quiet)
          .status();
  if (readable.ok()) return plan;
  if (!absl::IsDataLoss(readable)) return readable;
  plan.refusal = std::string(readable.message());
  ASSIGN_OR_RETURN(plan.salvage, wal::ReadSalvage(files, wal_dir, Index(plan.applied.index)));
  if (plan.salvage.stop && plan.salvage.kept.ok()) {
    plan.way = Way::kCut;
  } else if (plan.applied.index > 0 && !plan.applied.members.voters.empty()) {
    plan.way = Way::kNewLog;
  } else {
    return absl::DataLossError(plan.refusal +
                               ". There is no data file that could stand for what is missing");
  }
  return plan;
}

Status CarryOut(env::Env& env, const RepairPlan& plan, Logger& log) {
  env::BlockingFileSystem& files = env.files().blocking();
  if (plan.way == Way::kCut) {
    RETURN_IF_ERROR(wal::CutOff(files, plan.wal_dir, plan.salvage, TermOfItsOwn(plan), log));
  }
  if (plan.way == Way::kNewLog) RETURN_IF_ERROR(BeginNewLog(env, plan, log));
  NullLogger quiet;
  return wal::Recover(files, plan.wal_dir, wal::ReadMode::kReadOnly, Index(plan.applied.index),
                      quiet)
      .status();
}

std::string Describe(const RepairPlan& plan, Tense tense) {
  if (plan.way == Way::kNone) return "the log is sound: nothing to repair\n";
  const wal::Salvage& salvage = plan.salvage;
  std::string out = fmt::format("refused: {}\n", plan.refusal);
  out += fmt::format("the log: entries up to index {} can be read, term {}, commit {}\n",
                     salvage.last_kept.value(), salvage.kept_state.term.value(),
                     salvage.kept_state.commit.value());
  if (salvage.stop) {
    out += fmt::format("it stops at {}, offset {}: {}\n", salvage.stop->path, salvage.stop->offset,
                       salvage.stop->reason);
    out += fmt::format("behind that stand {} bytes; {}\n", salvage.lost_bytes, Entries(salvage));
  }
  for (const std::string& path : salvage.later_segments)
    out += fmt::format("nothing of {} can be kept\n", path);
  out += fmt::format("the data file: what came up to entry {}\n", plan.applied.index);
  const size_t following = Following(plan).size();
  out += plan.way == Way::kCut
             ? fmt::format("the way: cut the log off where it stops, and go on in term {}\n",
                           TermOfItsOwn(plan).value())
             : fmt::format("the way: a new log that begins behind entry {}, in term {}{}\n",
                           plan.applied.index, TermOfItsOwn(plan).value(),
                           following == 0 ? ""
                                          : fmt::format(", with the {} that follow in the old one",
                                                        Count(following)));
  out += "the price: " + Acknowledged(plan) + "\n";
  if (plan.applied.members.voters.size() > 1) {
    out +=
        "this cluster has other members: remove this one and add it anew instead, which loses "
        "nothing and cannot give a vote twice\n";
  }
  return out + (tense == Tense::kDone
                    ? "done; what was replaced is kept under names that end in .broken\n"
                    : "nothing was changed; --cut does this\n");
}

}  // namespace quoin::utl

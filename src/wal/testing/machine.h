// For tests of the log: one machine whose disk outlives the programs on it, a model of what its log
// must hold, and batches as a member's life gives them.
//
// Thread: one.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "env/sim/sim_disk.h"
#include "env/sim/sim_world.h"
#include "wal/wal.h"

namespace quoin::wal {

constexpr char kDir[] = "/data/member/wal";
constexpr Metadata kWho{7, 9};

// Logger that counts warnings. Thread: one.
class CountingLog final : public Logger {
 public:
  void Write(LogLevel level, std::source_location, std::string_view, const LogField*,
             size_t) override {
    warnings += level == LogLevel::kWarn;
  }
  bool Enabled(LogLevel) const override { return true; }
  int warnings = 0;
};

// What a reader of the log must find: entries by index, and the newest hard state. Value type.
struct Model {
  std::map<uint64_t, std::pair<uint64_t, std::string>> entries;  // index → term, data
  raft::HardState hard_state;

  void Take(const Writer::Batch& batch);
  // After the first `entries` of a write whose rest did not get there, its state included.
  Model WithFrontOf(const Writer::Batch& batch, size_t entries) const;
  friend bool operator==(const Model&, const Model&) = default;
  friend void PrintTo(const Model& model, std::ostream* out) {
    *out << model.entries.size() << " entries, term " << model.hard_state.term << ", commit "
         << model.hard_state.commit;
  }
};
Model ModelOf(const Recovered& recovered);

raft::Entry MakeEntry(uint64_t term, uint64_t index, std::string data);
raft::HardState MakeState(uint64_t term, uint64_t commit);
std::string SegmentPath(uint64_t sequence, uint64_t first_index);
// Where a segment's records end.
size_t EndOfRecords(std::string_view segment);

// One machine. Thread: one.
class Machine {
 public:
  explicit Machine(uint64_t seed = 1, uint64_t segment_bytes = 16384);
  ~Machine() { Stop(); }

  env::SimDisk& disk() { return disk_; }
  env::SimWorld& world() { return world_; }
  Writer& writer() { return *writer_; }
  CountingLog& log() { return log_; }

  Status Create(const Writer::Batch& first);
  StatusOr<Recovered> Read(ReadMode mode = ReadMode::kReadOnly, Index floor = Index()) {
    return Recover(disk_, kDir, mode, floor, log_);
  }
  // A program starts: recovers, and writes on.
  StatusOr<Recovered> Open(Index floor = Index());
  // Hands a batch to the writer; `answer` is set when it is done.
  void Append(Writer::Batch batch, std::optional<Status>& answer);
  Status AppendAndWait(Writer::Batch batch);
  void Settle();
  Status Close();
  // The program is gone; what it wrote is there.
  void Stop();
  // The power fails and comes back.
  void Crash(uint64_t seed);

  std::string Bytes(const std::string& path);
  void Replace(const std::string& path, const std::string& bytes);
  std::vector<std::string> Names() { return disk_.List(kDir).value(); }
  // Every file of the log with its content.
  std::map<std::string, std::string> Image();

 private:
  env::SimWorld world_;
  env::SimDisk disk_;
  CountingLog log_;
  Options options_;
  std::unique_ptr<env::SimExecutor> loop_;
  std::unique_ptr<Writer> writer_;
};

// Random batches as a member's life gives them: appends, overwritten tails, commits. Thread: one.
class Life {
 public:
  explicit Life(uint64_t seed) : random_(seed) {}
  Writer::Batch First() { return {{Put(60)}, MakeState(term_, last_), std::nullopt, true}; }
  Writer::Batch Next();
  uint64_t commit() const { return commit_; }
  uint64_t term() const { return term_; }

 private:
  raft::Entry Put(size_t bytes);

  std::mt19937_64 random_;
  uint64_t term_ = 1, last_ = 0, commit_ = 1;
};

}  // namespace quoin::wal

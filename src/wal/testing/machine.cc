#include "wal/testing/machine.h"

#include "wal/record.h"
#include "wal/segment.h"

namespace quoin::wal {

void Model::Take(const Writer::Batch& batch) {
  for (const raft::Entry& entry : batch.entries) {
    entries.erase(entries.lower_bound(entry.index.value()), entries.end());
    entries[entry.index.value()] = {entry.term.value(), std::string(entry.data.view())};
  }
  if (batch.hard_state) hard_state = *batch.hard_state;
}

Model Model::WithFrontOf(const Writer::Batch& batch, size_t n) const {
  Model out = *this;
  const auto begin = batch.entries.begin();
  out.Take({{begin, begin + static_cast<ptrdiff_t>(n)}, std::nullopt, std::nullopt, true});
  if (n == 0) return out;
  const Term term = batch.entries[n - 1].term;
  if (term > out.hard_state.term) out.hard_state = {term, NodeId(), out.hard_state.commit};
  return out;
}

Model ModelOf(const Recovered& recovered) {
  Model out;
  out.Take({recovered.entries, recovered.hard_state, std::nullopt, true});
  return out;
}

raft::Entry MakeEntry(uint64_t term, uint64_t index, std::string data) {
  return {Term(term), Index(index), raft::EntryType::kNormal, SharedBytes(data)};
}

raft::HardState MakeState(uint64_t term, uint64_t commit) {
  return {Term(term), NodeId(7), Index(commit)};
}

std::string SegmentPath(uint64_t sequence, uint64_t first_index) {
  return std::string(kDir) + "/" + SegmentName{sequence, Index(first_index)}.text();
}

size_t EndOfRecords(std::string_view segment) {
  size_t at = 0;
  for (Frame frame; (frame = ParseFrame(segment.substr(at))).kind == Frame::Kind::kRecord;) {
    at += frame.bytes;
  }
  return at;
}

Machine::Machine(uint64_t seed, uint64_t segment_bytes) : world_(seed), disk_(&world_) {
  options_.segment_bytes = segment_bytes;
  EXPECT_TRUE(disk_.MakeDirectory("/data/member", 0700).ok());
  EXPECT_TRUE(disk_.SyncDirectory("/data").ok());
}

Status Machine::Create(const Writer::Batch& first) {
  loop_ = std::make_unique<env::SimExecutor>(world_);
  ASSIGN_OR_RETURN(writer_, Writer::Create(disk_, kDir, kWho, first, options_, *loop_, log_));
  return OkStatus();
}

StatusOr<Recovered> Machine::Open(Index floor) {
  Stop();
  ASSIGN_OR_RETURN(Recovered recovered, Read(ReadMode::kRepair, floor));
  loop_ = std::make_unique<env::SimExecutor>(world_);
  ASSIGN_OR_RETURN(writer_, Writer::Open(disk_, kDir, recovered, options_, *loop_, log_));
  return recovered;
}

void Machine::Append(Writer::Batch batch, std::optional<Status>& answer) {
  loop_->Post([this, batch = std::move(batch), &answer]() mutable {
    writer_->Append(std::move(batch), [&answer](Status status) { answer = std::move(status); });
  });
}

Status Machine::AppendAndWait(Writer::Batch batch) {
  std::optional<Status> answer;
  Append(std::move(batch), answer);
  world_.RunUntil([&] { return answer.has_value(); }, 100000);
  Settle();
  return answer.value_or(absl::InternalError("no answer"));
}

void Machine::Settle() {
  while (world_.Step()) {
  }
}

Status Machine::Close() {
  std::optional<Status> answer;
  loop_->Post([&] { writer_->Close([&](Status status) { answer = std::move(status); }); });
  world_.RunUntil([&] { return answer.has_value(); }, 100000);
  Settle();
  Stop();
  return answer.value_or(absl::InternalError("no answer"));
}

void Machine::Stop() {
  Settle();
  writer_.reset();
  loop_.reset();
}

void Machine::Crash(uint64_t seed) {
  Stop();
  Prng random(seed);
  disk_.set_power_fails_at(UINT64_MAX);
  disk_.Crash(random);
}

std::string Machine::Bytes(const std::string& path) {
  auto file = disk_.Open(path, env::OpenMode::kRead, 0600);
  EXPECT_TRUE(file.ok()) << file.status();
  std::string out((*file)->blocking().Size().value(), '\0');
  EXPECT_TRUE((*file)->blocking().Read(0, out).ok());
  return out;
}

void Machine::Replace(const std::string& path, const std::string& bytes) {
  auto file = disk_.Open(path, env::OpenMode::kCreateTrunc, 0600);
  ASSERT_TRUE(file.ok() && (*file)->blocking().Write(0, bytes).ok());
  ASSERT_TRUE((*file)->blocking().Sync().ok());
}

std::map<std::string, std::string> Machine::Image() {
  std::map<std::string, std::string> out;
  for (const std::string& name : Names()) out[name] = Bytes(std::string(kDir) + "/" + name);
  return out;
}

Writer::Batch Life::Next() {
  if (last_ > commit_ && random_() % 8 == 0) {  // a new leader's log wins
    ++term_;
    last_ = commit_ + random_() % (last_ - commit_);
  }
  Writer::Batch batch;
  for (uint64_t n = 1 + random_() % 4; n > 0; --n) batch.entries.push_back(Put(random_() % 900));
  if (random_() % 2 == 0) commit_ += random_() % (last_ - commit_ + 1);
  batch.hard_state = MakeState(term_, commit_);
  return batch;
}

raft::Entry Life::Put(size_t bytes) {
  // Some values are zeros: they must not look like what was never written.
  std::string data(bytes, random_() % 5 == 0 ? '\0' : 'x');
  if (!data.empty() && data[0] != '\0') {
    for (char& c : data) c = static_cast<char>(random_());
  }
  return MakeEntry(term_, ++last_, data);
}

}  // namespace quoin::wal

// What an entry costs on its way into the log's buffer, and out of it.

#include <benchmark/benchmark.h>

#include "raft_types/codec.h"
#include "wal/record.h"

namespace quoin::wal {
namespace {

raft::Entry MakeEntry(size_t bytes) {
  return {Term(7), Index(123456789), raft::EntryType::kNormal,
          SharedBytes(std::string(bytes, 'v'))};
}

void EncodeEntries(benchmark::State& state) {
  const raft::Entry entry = MakeEntry(static_cast<size_t>(state.range(0)));
  FrameWriter frames;
  std::string buffer, scratch;
  for (auto unused : state) {
    scratch.clear();
    raft::EncodeEntry(entry, scratch);
    frames.Append(RecordType::kEntry, scratch, buffer);
    if (buffer.size() > 1 << 20) buffer.clear();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(EncodeEntries)->Arg(16)->Arg(128)->Arg(300)->Arg(1024);

void DecodeEntries(benchmark::State& state) {
  FrameWriter frames;
  std::string segment, scratch;
  raft::EncodeEntry(MakeEntry(static_cast<size_t>(state.range(0))), scratch);
  frames.Append(RecordType::kEntry, scratch, segment);
  for (auto unused : state) {
    const Frame frame = ParseFrame(segment);
    benchmark::DoNotOptimize(raft::DecodeEntry(frame.record.data));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(DecodeEntries)->Arg(128)->Arg(1024);

}  // namespace
}  // namespace quoin::wal

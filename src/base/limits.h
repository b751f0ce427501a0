// Every bound of the server in one place, and how they relate. etcd's defaults unless the comment
// says otherwise.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace quoin::limits {

inline constexpr size_t kRequestBytesMax =
    1572864;  // --max-request-bytes: one marshalled log request
inline constexpr size_t kGrpcOverheadBytes = 512 * 1024;  // what a gRPC message may add to it
inline constexpr size_t kTxnOpsMax = 128;                 // --max-txn-ops
inline constexpr uint64_t kApplyLagMax =
    5000;  // committed − applied, above it proposals are refused
inline constexpr uint64_t kSnapshotCount = 10000;     // --snapshot-count
inline constexpr uint64_t kCatchUpEntries = 5000;     // log kept in memory for followers, …
inline constexpr size_t kLogTailBytesMax = 32 << 20;  // … ours: and never more of what is applied
inline constexpr int64_t kQuotaBytesDefault = 2147483648;  // --quota-backend-bytes 0
inline constexpr size_t kWalSegmentBytes = 64000000;
inline constexpr size_t kSnapshotChunkBytes = 32768;     // Maintenance.Snapshot blobs
inline constexpr size_t kAppendBatchBytesMax = 8 << 20;  // ours: one write to the WAL
inline constexpr size_t kMessageBytesMax = 1 << 20;      // raft MaxSizePerMsg
inline constexpr size_t kInflightMessagesMax = 512;      // raft MaxInflightMsgs
inline constexpr size_t kWatchResponseBytes = 2 << 20;   // ours: revisions sent together
inline constexpr size_t kCallUnsentBytesMax = 1 << 20;   // ours: response bytes buffered per call
// Ours: how long a compaction waits for a reader without progress, and for readers at all.
inline constexpr std::chrono::nanoseconds kPinIdleMax = std::chrono::seconds(30);
inline constexpr std::chrono::nanoseconds kCompactionWaitMax = std::chrono::minutes(5);
inline constexpr std::chrono::nanoseconds kSnapshotIdleMax = std::chrono::seconds(30);  // ours
inline constexpr size_t kFrozenImagesMax = 8;  // ours: of clients, members have theirs besides
inline constexpr size_t kHeldProposalBytesMax = 64 << 20;  // ours: waiting for a leader
inline constexpr size_t kHeldProposalBatchesMax = 100'000;

// --memory-limit, ours: what clients can make the server hold, in all. A fifth of it is for answers
// that are not taken and requests that wait; their bytes may be a tenth of all, since they cost
// more than themselves. The rest is for proposals and the log in memory.
inline constexpr uint64_t kMemoryLimitDefault = uint64_t{320} << 20;
inline constexpr uint64_t kMemoryLimitMin = uint64_t{64} << 20;
constexpr uint64_t UnreadBytes(uint64_t memory_limit) { return memory_limit / 10; }
constexpr uint64_t LogBytes(uint64_t memory_limit) { return memory_limit / 5 * 4; }
// Proposals that are not applied yet, with what they cost beside their bytes; above it further ones
// are refused. At least one batch of the log, so that raft takes more while that is written …
constexpr uint64_t UnappliedBytes(uint64_t memory_limit) {
  return std::max<uint64_t>(LogBytes(memory_limit) / 32 * 3, kAppendBatchBytesMax);
}
// … and what one follower may lack the acknowledgement of.
constexpr uint64_t InflightBytes(uint64_t memory_limit) { return LogBytes(memory_limit) / 4; }
inline constexpr uint64_t kUnreadBytesMax = UnreadBytes(kMemoryLimitDefault);
inline constexpr uint64_t kUnappliedBytesMax = UnappliedBytes(kMemoryLimitDefault);
inline constexpr uint64_t kInflightBytesMax = InflightBytes(kMemoryLimitDefault);
// An entry of the log beside its bytes: the allocations, its places in raft's queues.
inline constexpr size_t kLogEntryOverheadBytes = 256;
// A proposal that its caller waits for: the call, its handler, the callback.
inline constexpr size_t kWaitingCallBytes = 2048;

inline constexpr size_t kProtobufDepthMax = 1000;  // nested txns: 128 levels are legal

static_assert(kRequestBytesMax + kGrpcOverheadBytes < kAppendBatchBytesMax,
              "one request fits one WAL batch");
static_assert(kPinIdleMax < kCompactionWaitMax);
static_assert(kCatchUpEntries < kSnapshotCount);
static_assert(kUnreadBytesMax == 32 << 20);
static_assert(UnreadBytes(kMemoryLimitMin) / 4 > kCallUnsentBytesMax,
              "one call that waits for its client fits the share of its connection");
static_assert(InflightBytes(kMemoryLimitMin) >= 4 * kMessageBytesMax,
              "a follower is kept busy while it acknowledges");
static_assert(kUnappliedBytesMax + kHeldProposalBytesMax + kInflightBytesMax + kLogTailBytesMax <=
                  LogBytes(kMemoryLimitDefault),
              "proposals and log keep to their part");
static_assert(kProtobufDepthMax > 2 * kTxnOpsMax, "a legal nested txn must parse");

}  // namespace quoin::limits

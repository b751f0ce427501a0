#include "utl/wal_dump.h"

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include <optional>

#include "base/crc32c.h"
#include "cluster/membership.h"
#include "proto/raft_internal.pb.h"
#include "raft_types/codec.h"
#include "state/command.h"
#include "state/v2_request.h"
#include "utl/text.h"
#include "wal/mark.h"
#include "wal/record.h"
#include "wal/segment.h"
#include "wal/wal.h"

namespace quoin::utl {
namespace {

constexpr int64_t kShownTextMax = 64;

void HideSecrets(etcdserverpb::InternalRaftRequest& request) {
  if (request.has_authenticate()) {
    request.mutable_authenticate()->clear_password();
    request.mutable_authenticate()->clear_simple_token();
  }
  if (request.has_auth_user_add()) {
    request.mutable_auth_user_add()->clear_password();
    request.mutable_auth_user_add()->clear_hashedpassword();
  }
  if (request.has_auth_user_change_password()) {
    request.mutable_auth_user_change_password()->clear_password();
    request.mutable_auth_user_change_password()->clear_hashedpassword();
  }
}

std::string DescribeRequest(std::string_view data) {
  if (data.empty()) return "nothing: a leader's first";
  const StatusOr<state::Command> command = state::ParseCommand(data);
  if (!command.ok()) return "no request: " + Quoted(data);
  if (command->operation == state::Operation::kLegacy) {
    const std::optional<state::V2Request> request = state::ParseV2Request(command->payload);
    if (!request) return "a v2 request of " + std::to_string(data.size()) + " bytes";
    return fmt::format("v2 {} {} {}", request->method, request->path, Quoted(request->value));
  }
  etcdserverpb::InternalRaftRequest request;
  if (!state::ParseDeep(data, request)) return "no request: " + Quoted(data);
  HideSecrets(request);
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  printer.SetTruncateStringFieldLongerThan(kShownTextMax);
  std::string text;
  if (!printer.PrintToString(request, &text)) return "a request that cannot be printed";
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

std::string_view NameOf(raft::ConfChangeType type) {
  switch (type) {
    case raft::ConfChangeType::kAddNode:
      return "add member";
    case raft::ConfChangeType::kRemoveNode:
      return "remove member";
    case raft::ConfChangeType::kUpdateNode:
      return "update member";
    case raft::ConfChangeType::kAddLearnerNode:
      return "add learner";
  }
  return "unknown change";
}

std::string DescribeConfChange(const raft::Entry& entry) {
  if (entry.type == raft::EntryType::kConfChange) {
    const StatusOr<raft::ConfChange> change = raft::DecodeConfChange(entry.data);
    if (!change.ok()) return "no configuration change: " + Quoted(entry.data);
    return fmt::format("{} {} {}", NameOf(change->type), cluster::HexId(change->node_id.value()),
                       change->context);
  }
  const StatusOr<raft::ConfChangeV2> changes = raft::DecodeConfChangeV2(entry.data);
  if (!changes.ok()) return "no configuration change: " + Quoted(entry.data);
  std::string out = "joint change";
  for (const raft::ConfChangeSingle& change : changes->changes) {
    out += fmt::format(", {} {}", NameOf(change.type), cluster::HexId(change.node_id.value()));
  }
  return out;
}

std::string Ids(const std::vector<NodeId>& ids) {
  std::string out;
  for (const NodeId id : ids) out += (out.empty() ? "" : " ") + cluster::HexId(id.value());
  return out;
}

std::string DescribeSnapshot(const wal::SnapshotRecord& snapshot) {
  std::string out = fmt::format("term {}, index {}", snapshot.term.value(), snapshot.index.value());
  if (!snapshot.conf_state) return out;
  out += ", voters " + Ids(snapshot.conf_state->voters);
  if (!snapshot.conf_state->learners.empty())
    out += ", learners " + Ids(snapshot.conf_state->learners);
  return out;
}

// Type and content of a record, in columns.
std::string DescribeRecord(const wal::Record& record) {
  constexpr char kMalformed[] = "malformed";
  switch (record.type) {
    case wal::RecordType::kMetadata: {
      const std::optional<wal::Metadata> metadata = wal::DecodeMetadata(record.data);
      if (!metadata) return fmt::format("{:<9} {}", "metadata", kMalformed);
      return fmt::format("{:<9} member {}, cluster {}", "metadata",
                         cluster::HexId(metadata->node_id), cluster::HexId(metadata->cluster_id));
    }
    case wal::RecordType::kEntry: {
      const StatusOr<raft::Entry> entry = raft::DecodeEntry(record.data);
      if (!entry.ok()) return fmt::format("{:<9} {}", "entry", kMalformed);
      return fmt::format("{:<9} term {}, index {}, {}", "entry", entry->term.value(),
                         entry->index.value(),
                         entry->type == raft::EntryType::kNormal ? DescribeRequest(entry->data)
                                                                 : DescribeConfChange(*entry));
    }
    case wal::RecordType::kState: {
      const StatusOr<raft::HardState> state = raft::DecodeHardState(record.data);
      if (!state.ok()) return fmt::format("{:<9} {}", "state", kMalformed);
      return fmt::format("{:<9} term {}, vote {}, commit {}", "state", state->term.value(),
                         cluster::HexId(state->vote.value()), state->commit.value());
    }
    case wal::RecordType::kCrc:
      return fmt::format("{:<9} {:08x}", "crc", record.crc);
    case wal::RecordType::kSnapshot: {
      const std::optional<wal::SnapshotRecord> snapshot = wal::DecodeSnapshotRecord(record.data);
      return fmt::format("{:<9} {}", "snapshot",
                         snapshot ? DescribeSnapshot(*snapshot) : std::string(kMalformed));
    }
  }
  return "";
}

// Prints one segment's records, up to the first that is damaged. `crc`: the chain's value.
void DumpSegment(const wal::SegmentName& name, std::string_view content, uint32_t& crc,
                 absl::FunctionRef<void(std::string_view)> print) {
  size_t at = 0;
  const auto line = [&](std::string_view text) {
    print(fmt::format("{} {:>8}  {}", name.text(), at, text));
  };
  const auto damaged = [&](std::string_view why) {
    line(fmt::format("{:<9} {}", "damaged", why));
    crc = 0;  // the next segment begins its own
  };
  while (true) {
    const wal::Frame frame = wal::ParseFrame(content.substr(at));
    switch (frame.kind) {
      case wal::Frame::Kind::kEnd:
        if (content.find_first_not_of('\0', at) != std::string_view::npos)
          damaged("the length is zero, but something follows");
        return;
      case wal::Frame::Kind::kOverrun:
        return damaged("the length leads out of the file");
      case wal::Frame::Kind::kMalformed:
        return damaged("no record");
      case wal::Frame::Kind::kRecord:
        break;
    }
    const wal::Record& record = frame.record;
    const bool is_crc = record.type == wal::RecordType::kCrc;
    const uint32_t wanted =
        is_crc && crc == 0 ? record.crc : Crc32c(crc, is_crc ? "" : record.data);
    if (wanted != record.crc)
      return damaged(fmt::format("crc {:08x}, computed {:08x}", record.crc, wanted));
    crc = record.crc;
    if (const std::optional<wal::Mark> mark = wal::ReadMark(frame, name.sequence, at)) {
      line(fmt::format("{:<9} a write of {} bytes", "mark", mark->end - mark->records_at));
    } else {
      line(DescribeRecord(record));
    }
    at += frame.bytes;
  }
}

}  // namespace

Status DumpLog(env::BlockingFileSystem& files, const std::string& dir, Logger& log,
               absl::FunctionRef<void(std::string_view line)> print) {
  ASSIGN_OR_RETURN(const std::vector<wal::SegmentName> segments, wal::ListSegments(files, dir));
  uint32_t crc = 0;
  for (const wal::SegmentName& segment : segments) {
    ASSIGN_OR_RETURN(const std::string content, wal::ReadWhole(files, dir + "/" + segment.text()));
    DumpSegment(segment, content, crc, print);
  }
  ASSIGN_OR_RETURN(const wal::Recovered recovered,
                   wal::Recover(files, dir, wal::ReadMode::kReadOnly, Index(), log));
  print(fmt::format("{} at offset {}: term {}, commit {}, start {}, {} entries behind it",
                    recovered.repaired ? "torn" : "ends", recovered.end.offset,
                    recovered.hard_state.term.value(), recovered.hard_state.commit.value(),
                    recovered.start.index.value(), recovered.entries.size()));
  return OkStatus();
}

}  // namespace quoin::utl

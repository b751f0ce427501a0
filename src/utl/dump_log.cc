// The log, record by record, as it stands in the segments: overwritten entries included.

#include <boost/json.hpp>
#include <map>
#include <ostream>

#include "base/crc32c.h"
#include "cluster/membership.h"
#include "raft_types/codec.h"
#include "state/command.h"
#include "state/v2_request.h"
#include "utl/dump.h"
#include "utl/text.h"
#include "wal/record.h"
#include "wal/segment.h"

namespace quoin::utl {
namespace {

namespace json = boost::json;

// Names as the envelope's fields have them.
const char* OperationName(state::Operation operation) {
  using state::Operation;
  switch (operation) {
    case Operation::kNone:
      return "empty";
    case Operation::kLegacy:
      return "v2";
    case Operation::kRange:
      return "range";
    case Operation::kPut:
      return "put";
    case Operation::kDeleteRange:
      return "delete_range";
    case Operation::kTxn:
      return "txn";
    case Operation::kCompaction:
      return "compaction";
    case Operation::kLeaseGrant:
      return "lease_grant";
    case Operation::kLeaseRevoke:
      return "lease_revoke";
    case Operation::kAlarm:
      return "alarm";
    case Operation::kLeaseCheckpoint:
      return "lease_checkpoint";
    case Operation::kAuthEnable:
      return "auth_enable";
    case Operation::kAuthDisable:
      return "auth_disable";
    case Operation::kAuthenticate:
      return "authenticate";
    case Operation::kAuthStatus:
      return "auth_status";
    case Operation::kAuthUserAdd:
      return "auth_user_add";
    case Operation::kAuthUserDelete:
      return "auth_user_delete";
    case Operation::kAuthUserGet:
      return "auth_user_get";
    case Operation::kAuthUserChangePassword:
      return "auth_user_change_password";
    case Operation::kAuthUserGrantRole:
      return "auth_user_grant_role";
    case Operation::kAuthUserRevokeRole:
      return "auth_user_revoke_role";
    case Operation::kAuthUserList:
      return "auth_user_list";
    case Operation::kAuthRoleList:
      return "auth_role_list";
    case Operation::kAuthRoleAdd:
      return "auth_role_add";
    case Operation::kAuthRoleDelete:
      return "auth_role_delete";
    case Operation::kAuthRoleGet:
      return "auth_role_get";
    case Operation::kAuthRoleGrantPermission:
      return "auth_role_grant_permission";
    case Operation::kAuthRoleRevokePermission:
      return "auth_role_revoke_permission";
    case Operation::kClusterVersionSet:
      return "cluster_version_set";
    case Operation::kClusterMemberAttributesSet:
      return "cluster_member_attr_set";
    case Operation::kDowngradeInfoSet:
      return "downgrade_info_set";
    case Operation::kDowngradeVersionTest:
      return "downgrade_version_test";
  }
  return "unknown";
}

std::string KindOf(const raft::Entry& entry) {
  if (entry.type == raft::EntryType::kConfChange) return "conf_change";
  if (entry.type == raft::EntryType::kConfChangeV2) return "conf_change_v2";
  if (entry.data.size() == 0) return "empty";
  if (state::IsBareV2Request(entry.data)) return "v2";
  StatusOr<state::Command> command = state::ParseCommand(entry.data);
  return command.ok() ? OperationName(command->operation) : "malformed";
}

const char* TypeName(wal::RecordType type) {
  switch (type) {
    case wal::RecordType::kMetadata:
      return "metadata";
    case wal::RecordType::kEntry:
      return "entry";
    case wal::RecordType::kState:
      return "state";
    case wal::RecordType::kCrc:
      return "crc";
    case wal::RecordType::kSnapshot:
      return "snapshot";
  }
  return "unknown";
}

class LogDump {
 public:
  LogDump(env::BlockingFileSystem& files, bool json, std::ostream& out)
      : files_(files), json_(json), out_(out) {}

  Status Run(const std::string& dir) {
    ASSIGN_OR_RETURN(std::vector<wal::SegmentName> segments, wal::ListSegments(files_, dir));
    if (segments.empty()) return absl::NotFoundError(dir + ": no log segments");
    for (const wal::SegmentName& segment : segments) RETURN_IF_ERROR(Segment(dir, segment.text()));
    return problem_;
  }

 private:
  Status Segment(const std::string& dir, const std::string& name) {
    const std::string path = dir + "/" + name;
    ASSIGN_OR_RETURN(std::unique_ptr<env::File> file, files_.Open(path, env::OpenMode::kRead));
    ASSIGN_OR_RETURN(uint64_t size, file->blocking().Size());
    std::string content(size, '\0');
    ASSIGN_OR_RETURN(size_t got, file->blocking().Read(0, content));
    content.resize(got);
    const std::string_view bytes = content;
    size_t at = 0, records = 0;
    std::string end;
    while (end.empty()) {
      const wal::Frame frame = wal::ParseFrame(bytes.substr(at));
      end = EndAt(frame, bytes, at);
      if (!end.empty()) break;
      Line(name, at, Record(frame.record));
      at += frame.bytes;
      ++records;
    }
    Line(name, at, {{"type", "end"}, {"reason", end}, {"records", records}, {"bytes", got}});
    if (end == "zero length field" || end == "eof") return OkStatus();
    if (problem_.ok())
      problem_ =
          absl::DataLossError(path + " at offset " + std::to_string(at) + ": " + end);
    return OkStatus();
  }

  // Why the segment ends at this frame; empty when it does not.
  std::string EndAt(const wal::Frame& frame, std::string_view bytes, size_t at) {
    switch (frame.kind) {
      case wal::Frame::Kind::kEnd:
        if (at == bytes.size()) return "eof";
        return bytes.find_first_not_of('\0', at) == std::string_view::npos
                   ? "zero length field"
                   : "zero length field, but not all zeros behind it";
      case wal::Frame::Kind::kOverrun:
        return "the length leads out of the file";
      case wal::Frame::Kind::kMalformed:
        return "not a record";
      case wal::Frame::Kind::kRecord:
        break;
    }
    const wal::Record& record = frame.record;
    if (record.type == wal::RecordType::kCrc) {
      if (crc_ != 0 && record.crc != crc_) return "the segment does not continue the one before it";
      crc_ = record.crc;
      return "";
    }
    const uint32_t crc = Crc32c(crc_, record.data);
    if (crc != record.crc) {
      return "crc mismatch: expected " + std::to_string(record.crc) + ", computed " +
             std::to_string(crc);
    }
    crc_ = crc;
    return "";
  }

  json::object Record(const wal::Record& record) {
    json::object row{{"type", TypeName(record.type)}};
    const json::object malformed{{"type", TypeName(record.type)}, {"kind", "malformed"}};
    switch (record.type) {
      case wal::RecordType::kCrc:
        row["crc"] = record.crc;
        return row;
      case wal::RecordType::kMetadata: {
        std::optional<wal::Metadata> metadata = wal::DecodeMetadata(record.data);
        if (!metadata) return malformed;
        row["node_id"] = cluster::HexId(metadata->node_id);
        row["cluster_id"] = cluster::HexId(metadata->cluster_id);
        return row;
      }
      case wal::RecordType::kState: {
        StatusOr<raft::HardState> state = raft::DecodeHardState(record.data);
        if (!state.ok()) return malformed;
        row["term"] = state->term.value();
        row["vote"] = cluster::HexId(state->vote.value());
        row["commit"] = state->commit.value();
        return row;
      }
      case wal::RecordType::kSnapshot: {
        std::optional<wal::SnapshotRecord> snapshot = wal::DecodeSnapshotRecord(record.data);
        if (!snapshot) return malformed;
        row["index"] = snapshot->index.value();
        row["term"] = snapshot->term.value();
        json::array voters;
        if (snapshot->conf_state) {
          for (NodeId id : snapshot->conf_state->voters)
            voters.emplace_back(cluster::HexId(id.value()));
        }
        row["voters"] = std::move(voters);
        return row;
      }
      case wal::RecordType::kEntry:
        break;
    }
    StatusOr<raft::Entry> entry = raft::DecodeEntry(record.data);
    if (!entry.ok()) return malformed;
    row["index"] = entry->index.value();
    row["term"] = entry->term.value();
    row["kind"] = KindOf(*entry);
    row["bytes"] = entry->data.size();
    return row;
  }

  void Line(const std::string& segment, size_t offset, const json::object& row) {
    if (json_) {
      json::object line{{"segment", segment}, {"offset", offset}};
      for (const auto& [name, value] : row) line[name] = value;
      out_ << json::serialize(line) << '\n';
      return;
    }
    out_ << segment << ' ' << offset;
    for (const auto& [name, value] : row) {
      const json::string* text = value.if_string();
      if (name != "type") out_ << ' ' << std::string_view(name.data(), name.size());
      out_ << ' ';
      if (text != nullptr) {
        out_ << std::string_view(text->data(), text->size());
      } else {
        out_ << json::serialize(value);
      }
    }
    out_ << '\n';
  }

  env::BlockingFileSystem& files_;
  const bool json_;
  std::ostream& out_;
  uint32_t crc_ = 0;
  Status problem_;  // the first
};

}  // namespace

Status DumpLog(env::BlockingFileSystem& files, const std::string& dir, bool json,
               std::ostream& out) {
  return LogDump(files, json, out).Run(dir);
}

}  // namespace quoin::utl

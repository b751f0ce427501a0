// Whatever messages a member gets, and in whatever order its host reports back: it neither crashes
// nor breaks the order of its own indexes.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "raft/raft.h"
#include "raft_types/codec.h"

namespace quoin::raft {
namespace {

class Host {
 public:
  Host() : raft_(Config_(), Recovered(), 1) {}

  void Do(uint8_t what, std::string_view data) {
    switch (what % 8) {
      case 0:
        raft_.Tick();
        break;
      case 1:
        if (raft_.HasReady()) Take();
        break;
      case 2:
        raft_.Persisted(taken_);
        break;
      case 3:
        (void)raft_.Propose({SharedBytes(data)});
        break;
      case 4:
        (void)raft_.ReadIndex(std::string(data));
        break;
      default:
        if (const StatusOr<Message> message = DecodeMessage(data); message.ok()) {
          raft_.Step(*message);
        }
    }
    const RaftStatus status = raft_.Status();
    CHECK_LE(status.applied, status.commit);
    CHECK_LE(status.commit, status.last_index);
    CHECK_GE(status.term, term_);
    CHECK_GE(status.commit, commit_);
    term_ = status.term;
    commit_ = status.commit;
  }

 private:
  static Config Config_() {
    Config config;
    config.id = NodeId(1);
    return config;
  }
  static RecoveredState Recovered() {
    RecoveredState recovered;
    recovered.snapshot.conf_state.voters = {NodeId(1), NodeId(2), NodeId(3)};
    return recovered;
  }
  void Take() {
    Ready ready = raft_.TakeReady();
    if (ready.persist_id.value() != 0) taken_ = ready.persist_id;
    for (const Entry& entry : ready.committed) {
      if (entry.type == EntryType::kConfChange) {
        const StatusOr<ConfChange> change = DecodeConfChange(entry.data.view());
        raft_.ConfChangeApplied(entry.index,
                                change.ok() ? std::optional(AsV2(*change)) : std::nullopt);
      } else if (entry.type == EntryType::kConfChangeV2) {
        const StatusOr<ConfChangeV2> change = DecodeConfChangeV2(entry.data.view());
        raft_.ConfChangeApplied(entry.index, change.ok() ? std::optional(*change) : std::nullopt);
      }
      raft_.Applied(entry.index);
    }
  }

  Raft raft_;
  PersistId taken_;
  Term term_;
  Index commit_;
};

}  // namespace
}  // namespace quoin::raft

// input := (operation:1 length:1 data)*
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quoin::raft::Host host;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (rest.size() >= 2) {
    const auto what = static_cast<uint8_t>(rest[0]);
    const size_t length = std::min<size_t>(static_cast<uint8_t>(rest[1]), rest.size() - 2);
    host.Do(what, rest.substr(2, length));
    rest.remove_prefix(2 + length);
  }
  return 0;
}

#include "raft/testing/script_env.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "raft/testing/core_access.h"

namespace quoin::raft::testing {
namespace {

std::optional<uint64_t> ParseNumber(const std::string& text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  if (!std::all_of(text.begin(), text.end(), ::isdigit)) return std::nullopt;
  return std::stoull(text);
}

std::vector<NodeId> Ids(const Argument* argument) {
  std::vector<NodeId> ids;
  if (argument == nullptr) return ids;
  for (const std::string& value : argument->values) {
    if (const auto id = ParseNumber(value)) ids.push_back(NodeId(*id));
  }
  return ids;
}

bool IsTrue(const Case& one, const char* key) { return one.Value(key) == "true"; }

bool IsThread(NodeId id) { return id == kAppendThread || id == kApplyThread; }

std::string ErrorText(ProposeResult result) {
  const bool taken = result == ProposeResult::kAccepted || result == ProposeResult::kForwarded;
  return taken ? "" : "raft proposal dropped\n";
}

// What etcd's scripts start from.
Config DefaultConfig() {
  Config config;
  config.election_ticks = 3;
  config.heartbeat_ticks = 1;
  config.message_bytes_max = SIZE_MAX;
  config.inflight_messages_max = std::numeric_limits<int32_t>::max();
  config.committed_bytes_per_ready_max = SIZE_MAX;
  config.check_quorum = false;
  config.pre_vote = false;
  return config;
}

ScriptNodeOptions OptionsOf(const Case& one) {
  ScriptNodeOptions options;
  options.config = DefaultConfig();
  Config& config = options.config;
  if (const auto inflight = one.Value("inflight")) {
    config.inflight_messages_max = ParseNumber(*inflight).value_or(1);
  }
  if (const auto bytes = one.Value("max-message-size")) {  // ours
    config.message_bytes_max = ParseNumber(*bytes).value_or(1);
  }
  if (const auto bytes = one.Value("max-committed-size-per-ready")) {
    config.committed_bytes_per_ready_max = ParseNumber(*bytes).value_or(1);
  }
  config.pre_vote = IsTrue(one, "prevote");
  config.check_quorum = IsTrue(one, "checkquorum");
  config.disable_conf_change_validation = IsTrue(one, "disable-conf-change-validation");
  config.step_down_on_removal = IsTrue(one, "step-down-on-removal");
  if (one.Value("read-only") == "lease-based") config.read_only = ReadOnlyMode::kLeaseBased;
  options.async_storage_writes = IsTrue(one, "async-storage-writes");

  SnapshotMetadata& metadata = options.bootstrap.metadata;
  metadata.conf_state.voters = Ids(one.Find("voters"));
  metadata.conf_state.learners = Ids(one.Find("learners"));
  if (const auto index = one.Value("index"))
    metadata.index = Index(ParseNumber(*index).value_or(0));
  if (metadata.index.value() != 0) metadata.term = Term(1);
  if (const auto content = one.Value("content")) options.bootstrap.data = SharedBytes(*content);
  return options;
}

}  // namespace

ScriptEnv::ScriptEnv()
    : handlers_{
          {"add-nodes", &ScriptEnv::AddNodes},
          {"campaign", &ScriptEnv::CampaignNode},
          {"compact", &ScriptEnv::Compact},
          {"compare-logs", &ScriptEnv::CompareLogs},
          {"deliver-msgs", &ScriptEnv::DeliverMsgs},
          {"forget-leader", &ScriptEnv::ForgetLeader},
          {"heal", &ScriptEnv::Heal},
          {"log-level", &ScriptEnv::LogLevel},
          {"partition", &ScriptEnv::Partition},
          {"process-append-thread", &ScriptEnv::ProcessAppendThread},
          {"process-apply-thread", &ScriptEnv::ProcessApplyThread},
          {"process-ready", &ScriptEnv::ProcessReady},
          {"propose", &ScriptEnv::Propose},
          {"propose-conf-change", &ScriptEnv::ProposeConfChange},
          {"raft-log", &ScriptEnv::RaftLog},
          {"raft-state", &ScriptEnv::RaftState},
          {"read-index", &ScriptEnv::ReadIndex},
          {"report-unreachable", &ScriptEnv::ReportUnreachable},
          {"restart", &ScriptEnv::Restart},
          {"send-snapshot", &ScriptEnv::SendSnapshot},
          {"set-randomized-election-timeout", &ScriptEnv::SetElectionTimeout},
          {"stabilize", &ScriptEnv::Stabilize},
          {"state", &ScriptEnv::State},
          {"status", &ScriptEnv::ProgressOf},
          {"tick-election", &ScriptEnv::TickElection},
          {"tick-heartbeat", &ScriptEnv::TickHeartbeat},
          {"transfer-leadership", &ScriptEnv::TransferLeadership},
      } {}

std::string ScriptEnv::Handle(const Case& one) {
  const bool was_quiet = quiet_;
  if (const auto level = one.Value("log-level")) quiet_ = *level == "none";
  auto handler = handlers_.find(one.command);
  std::string out =
      handler == handlers_.end() ? "unknown command\n" : (this->*handler->second)(one);
  const bool quiet = quiet_;
  if (one.command != "log-level") quiet_ = was_quiet;
  return out.empty() || quiet ? "ok\n" : out;
}

// ---- arguments ----

ScriptNode* ScriptEnv::Node(const std::string& id) {
  const std::optional<uint64_t> number = ParseNumber(id);
  if (!number || *number == 0 || *number > nodes_.size()) return nullptr;
  return nodes_[*number - 1].get();
}

ScriptNode* ScriptEnv::FirstNode(const Case& one) {
  const std::vector<std::string> plain = one.Plain();
  return plain.empty() ? nullptr : Node(plain[0]);
}

std::vector<ScriptNode*> ScriptEnv::Selected(const Case& one) {
  std::vector<ScriptNode*> selected;
  for (const std::string& id : one.Plain()) {
    if (ScriptNode* node = Node(id)) selected.push_back(node);
  }
  if (!selected.empty()) return selected;
  for (const auto& node : nodes_) selected.push_back(node.get());
  return selected;
}

// One node's output stands as it is, that of several under a title each.
std::string ScriptEnv::ForEach(const Case& one, const char* doing,
                               const std::function<std::string(ScriptNode&)>& run) {
  const std::vector<ScriptNode*> nodes = Selected(one);
  if (nodes.size() == 1) return run(*nodes[0]);
  std::string out;
  for (ScriptNode* node : nodes) {
    out += "> " + std::to_string(node->id().value()) + " " + doing + "\n" + Indent(run(*node));
  }
  return out;
}

#define NODE_OR_RETURN(node, one)    \
  ScriptNode* node = FirstNode(one); \
  if (node == nullptr) return "no such node\n"

// ---- nodes ----

std::string ScriptEnv::AddNodes(const Case& one) {
  const std::vector<std::string> plain = one.Plain();
  const uint64_t count = plain.empty() ? 0 : ParseNumber(plain[0]).value_or(0);
  ScriptNodeOptions options = OptionsOf(one);
  for (uint64_t i = 0; i < count; ++i) {
    options.config.id = NodeId(nodes_.size() + 1);
    nodes_.push_back(std::make_unique<ScriptNode>(options));
  }
  return "";
}

std::string ScriptEnv::Restart(const Case& one) {
  NODE_OR_RETURN(node, one);
  const NodeId id = node->id();
  // What it was about to tell its own threads, and they it, is gone with it.
  std::erase_if(messages_, [id](const ScriptMessage& m) {
    return m.message.to == id && (m.message.from == id || IsThread(m.message.from));
  });
  node->Restart();
  return "";
}

std::string ScriptEnv::LogLevel(const Case& one) {
  const std::vector<std::string> plain = one.Plain();
  quiet_ = !plain.empty() && plain[0] == "none";
  return "";
}

std::string ScriptEnv::CampaignNode(const Case& one) {
  NODE_OR_RETURN(node, one);
  node->raft().Campaign();
  return "";
}

std::string ScriptEnv::ForgetLeader(const Case& one) {
  NODE_OR_RETURN(node, one);
  node->raft().ForgetLeader();
  return "";
}

std::string ScriptEnv::TransferLeadership(const Case& one) {
  ScriptNode* from = Node(one.Value("from").value_or(""));
  ScriptNode* to = Node(one.Value("to").value_or(""));
  if (from == nullptr || to == nullptr) return "no such node\n";
  from->raft().TransferLeadership(to->id());
  return "";
}

std::string ScriptEnv::ReportUnreachable(const Case& one) {
  NODE_OR_RETURN(node, one);
  const std::vector<std::string> plain = one.Plain();
  if (plain.size() == 2 && Node(plain[1]) != nullptr) {
    node->raft().ReportUnreachable(Node(plain[1])->id());
  }
  return "";
}

std::string ScriptEnv::SetElectionTimeout(const Case& one) {
  NODE_OR_RETURN(node, one);
  const auto ticks = ParseNumber(one.Value("timeout").value_or(""));
  if (ticks) CoreAccess::SetElectionTimeout(node->raft(), static_cast<int>(*ticks));
  return "";
}

std::string ScriptEnv::TickElection(const Case& one) {
  NODE_OR_RETURN(node, one);
  for (int i = 0; i < node->config().election_ticks; ++i) node->raft().Tick();
  return "";
}

std::string ScriptEnv::TickHeartbeat(const Case& one) {
  NODE_OR_RETURN(node, one);
  for (int i = 0; i < node->config().heartbeat_ticks; ++i) node->raft().Tick();
  return "";
}

std::string ScriptEnv::Propose(const Case& one) {
  NODE_OR_RETURN(node, one);
  const std::vector<std::string> plain = one.Plain();
  const std::string data = plain.size() > 1 ? plain[1] : "";
  return ErrorText(node->raft().Propose({SharedBytes(data)}));
}

std::string ScriptEnv::ProposeConfChange(const Case& one) {
  NODE_OR_RETURN(node, one);
  const auto changes = ParseChanges(one.input);
  if (!changes) return "malformed changes\n";
  if (IsTrue(one, "v1")) {
    if (changes->size() != 1) return "one change exactly in the v1 form\n";
    return ErrorText(node->raft().ProposeConfChange(
        {.type = changes->front().type, .node_id = changes->front().node_id}));
  }
  ConfChangeV2 change;
  change.changes = *changes;
  const std::string transition = one.Value("transition").value_or("auto");
  if (transition == "implicit") change.transition = ConfChangeTransition::kJointImplicit;
  if (transition == "explicit") change.transition = ConfChangeTransition::kJointExplicit;
  return ErrorText(node->raft().ProposeConfChangeV2(change));
}

std::string ScriptEnv::ReadIndex(const Case& one) {
  NODE_OR_RETURN(node, one);
  const std::vector<std::string> plain = one.Plain();
  return ErrorText(node->raft().ReadIndex(plain.size() > 1 ? plain[1] : "read"));
}

// ---- looking ----

std::string ScriptEnv::DescribeLog(const ScriptNode& node) const {
  if (!node.stored().empty()) return Describe(node.stored());
  const Index first = node.first_stored();
  return "log is empty: first index=" + std::to_string(first.value()) +
         ", last index=" + std::to_string((first - 1).value()) + "\n";
}

std::string ScriptEnv::RaftLog(const Case& one) {
  NODE_OR_RETURN(node, one);
  return DescribeLog(*node);
}

std::string ScriptEnv::Compact(const Case& one) {
  NODE_OR_RETURN(node, one);
  const std::vector<std::string> plain = one.Plain();
  const auto index = plain.size() > 1 ? ParseNumber(plain[1]) : std::nullopt;
  if (!index || Index(*index) < node->first_stored() ||
      Index(*index) > CoreAccess::log(node->raft()).applied()) {
    return "not an applied entry of the log\n";
  }
  node->CompactStorage(Index(*index));
  return DescribeLog(*node);
}

std::string ScriptEnv::ProgressOf(const Case& one) {
  NODE_OR_RETURN(node, one);
  if (node->raft().role() != Role::kLeader) return "";
  return Describe(CoreAccess::members(node->raft()).progress);
}

std::string ScriptEnv::RaftState(const Case&) {
  std::string out;
  for (const auto& node : nodes_) {
    const Raft& raft = node->raft();
    const bool voter = CoreAccess::members(raft).configuration.voters.Contains(node->id());
    out += std::to_string(node->id().value()) + ": " + Describe(raft.role()) +
           (voter ? " (Voter)" : " (Non-Voter)") + " Term:" + std::to_string(raft.term().value()) +
           " Lead:" + std::to_string(raft.leader().value()) + "\n";
  }
  return out;
}

// What the state machines hold.
std::string ScriptEnv::State(const Case& one) {
  std::string out;
  for (ScriptNode* node : Selected(one)) {
    out += std::to_string(node->id().value()) + ": applied " +
           std::to_string(node->state().metadata.index.value()) + " \"" +
           std::string(node->state().data.view()) + "\"\n";
  }
  return out;
}

std::string ScriptEnv::CompareLogs(const Case& one) {
  const std::vector<ScriptNode*> nodes = Selected(one);
  for (ScriptNode* node : nodes) {
    if (node->stored() == nodes[0]->stored()) continue;
    return "different: " + std::to_string(nodes[0]->id().value()) + " and " +
           std::to_string(node->id().value()) + "\n";
  }
  return "equal\n";
}

// ---- messages ----

// partition (1,2) (3,4,5): messages between the groups get lost when they are delivered.
std::string ScriptEnv::Partition(const Case& one) {
  side_.clear();
  int side = 0;
  for (const Argument& argument : one.arguments) {
    ++side;
    std::string digits = argument.key;
    for (char& c : digits) c = std::isdigit(static_cast<unsigned char>(c)) ? c : ' ';
    for (size_t at = 0; at < digits.size();) {
      const size_t end = std::min(digits.find(' ', at), digits.size());
      if (const auto id = ParseNumber(digits.substr(at, end - at))) side_[NodeId(*id)] = side;
      at = end + 1;
    }
  }
  return "";
}

std::string ScriptEnv::Heal(const Case&) {
  side_.clear();
  return "";
}

bool ScriptEnv::Cut(const Message& message) const {
  auto from = side_.find(message.from);
  auto to = side_.find(message.to);
  return from != side_.end() && to != side_.end() && from->second != to->second;
}

bool ScriptEnv::HasMessages(NodeId to) const {
  return std::any_of(messages_.begin(), messages_.end(),
                     [to](const ScriptMessage& m) { return m.message.to == to; });
}

std::vector<ScriptMessage> ScriptEnv::TakeMessages(NodeId to, std::optional<MessageType> type,
                                                   bool drop) {
  std::vector<ScriptMessage> taken;
  std::vector<ScriptMessage> rest;
  for (ScriptMessage& message : messages_) {
    const Message& m = message.message;
    const bool local = m.from == m.to || IsThread(m.from) || IsThread(m.to);
    const bool matches = m.to == to && !(drop && local) && (!type || m.type == *type);
    (matches ? taken : rest).push_back(std::move(message));
  }
  messages_ = std::move(rest);
  return taken;
}

std::string ScriptEnv::Deliver(std::optional<MessageType> type,
                               const std::vector<Recipient>& recipients, size_t& count) {
  std::string out;
  for (const Recipient& recipient : recipients) {
    for (const ScriptMessage& message : TakeMessages(recipient.id, type, recipient.drop)) {
      ++count;
      ScriptNode* node = Node(std::to_string(recipient.id.value()));
      const bool drop = recipient.drop || Cut(message.message) || node == nullptr;
      out += (drop ? "dropped: " : "") + Describe(message) + "\n";
      if (drop) continue;
      const std::string error = node->Step(message);
      if (!error.empty()) out += error + "\n";
    }
  }
  return out;
}

std::string ScriptEnv::DeliverMsgs(const Case& one) {
  std::vector<Recipient> recipients;
  std::optional<MessageType> type;
  for (const Argument& argument : one.arguments) {
    if (argument.key == "type" && argument.values.size() == 1) {
      type = ParseMessageType(argument.values[0]);
    } else if (argument.key == "drop") {
      for (NodeId id : Ids(&argument)) recipients.push_back({id, true});
    } else if (const auto id = ParseNumber(argument.key)) {
      recipients.push_back({NodeId(*id), false});
    }
  }
  size_t count = 0;
  const std::string out = Deliver(type, recipients, count);
  return count == 0 ? "no messages\n" : out;
}

std::string ScriptEnv::SendSnapshot(const Case& one) {
  NODE_OR_RETURN(from, one);
  const std::vector<std::string> plain = one.Plain();
  ScriptNode* to = plain.size() > 1 ? Node(plain[1]) : nullptr;
  if (to == nullptr) return "no such node\n";
  ScriptMessage message;
  message.message = {.type = MessageType::kSnap,
                     .to = to->id(),
                     .from = from->id(),
                     .term = from->raft().term(),
                     .snapshot = from->state()};
  messages_.push_back(message);
  return Describe(message) + "\n";
}

std::string ScriptEnv::ProcessReady(const Case& one) {
  return ForEach(one, "handling Ready",
                 [this](ScriptNode& node) { return node.ProcessReady(messages_); });
}

std::string ScriptEnv::ProcessAppendThread(const Case& one) {
  return ForEach(one, "processing append thread",
                 [this](ScriptNode& node) { return node.ProcessAppendThread(messages_); });
}

std::string ScriptEnv::ProcessApplyThread(const Case& one) {
  return ForEach(one, "processing apply thread",
                 [this](ScriptNode& node) { return node.ProcessApplyThread(messages_); });
}

// ---- until nothing moves ----

std::string ScriptEnv::Stabilize(const Case& one) {
  const std::vector<ScriptNode*> nodes = Selected(one);
  std::string out;
  constexpr int kRoundsMax = 10000;
  for (int round = 0; round < kRoundsMax; ++round) {
    if (!StabilizeOnce(nodes, out)) return out;
  }
  return out + "does not come to rest\n";
}

bool ScriptEnv::StabilizeOnce(const std::vector<ScriptNode*>& nodes, std::string& out) {
  bool moved = false;
  auto title = [&](ScriptNode* node, const char* doing) {
    moved = true;
    out += "> " + std::to_string(node->id().value()) + " " + doing + "\n";
  };
  for (ScriptNode* node : nodes) {
    if (!node->raft().HasReady()) continue;
    title(node, "handling Ready");
    out += Indent(node->ProcessReady(messages_));
  }
  for (ScriptNode* node : nodes) {
    if (!HasMessages(node->id())) continue;
    title(node, "receiving messages");
    size_t count = 0;
    out += Indent(Deliver(std::nullopt, {{node->id(), false}}, count));
  }
  for (ScriptNode* node : nodes) {
    if (node->HasAppendWork()) title(node, "processing append thread");
    while (node->HasAppendWork()) out += Indent(node->ProcessAppendThread(messages_));
  }
  for (ScriptNode* node : nodes) {
    if (node->HasApplyWork()) title(node, "processing apply thread");
    while (node->HasApplyWork()) out += Indent(node->ProcessApplyThread(messages_));
  }
  return moved;
}

}  // namespace quoin::raft::testing

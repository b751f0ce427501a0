// ScriptEnv: a small cluster that a script drives command by command. One per file; state carries
// over between cases.
//
// Thread: one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/testing/datadriven.h"
#include "raft/testing/script_node.h"

namespace quoin::raft::testing {

class ScriptEnv {
 public:
  ScriptEnv();
  // Runs one case and returns what came out ("ok" for nothing).
  std::string Handle(const Case& one);

 private:
  using Handler = std::string (ScriptEnv::*)(const Case&);
  struct Recipient {
    NodeId id;
    bool drop = false;
  };

  // etcd's commands
  std::string AddNodes(const Case& one);
  std::string CampaignNode(const Case& one);
  std::string Compact(const Case& one);
  std::string DeliverMsgs(const Case& one);
  std::string ForgetLeader(const Case& one);
  std::string LogLevel(const Case& one);
  std::string ProcessReady(const Case& one);
  std::string ProcessAppendThread(const Case& one);
  std::string ProcessApplyThread(const Case& one);
  std::string Propose(const Case& one);
  std::string ProposeConfChange(const Case& one);
  std::string RaftLog(const Case& one);
  std::string RaftState(const Case& one);
  std::string ReportUnreachable(const Case& one);
  std::string SendSnapshot(const Case& one);
  std::string SetElectionTimeout(const Case& one);
  std::string Stabilize(const Case& one);
  std::string ProgressOf(const Case& one);
  std::string TickElection(const Case& one);
  std::string TickHeartbeat(const Case& one);
  std::string TransferLeadership(const Case& one);
  // ours
  std::string CompareLogs(const Case& one);
  std::string Heal(const Case& one);
  std::string Partition(const Case& one);
  std::string ReadIndex(const Case& one);
  std::string Restart(const Case& one);
  std::string State(const Case& one);

  // A node of a plain argument; unknown ones end the case with an error text.
  ScriptNode* Node(const std::string& id);
  ScriptNode* FirstNode(const Case& one);
  std::vector<ScriptNode*> Selected(const Case& one);
  std::string ForEach(const Case& one, const char* doing,
                      const std::function<std::string(ScriptNode&)>& run);
  std::vector<ScriptMessage> TakeMessages(NodeId to, std::optional<MessageType> type, bool drop);
  bool HasMessages(NodeId to) const;
  std::string Deliver(std::optional<MessageType> type, const std::vector<Recipient>& recipients,
                      size_t& count);
  bool StabilizeOnce(const std::vector<ScriptNode*>& nodes, std::string& out);
  bool Cut(const Message& message) const;
  std::string DescribeLog(const ScriptNode& node) const;

  const std::map<std::string, Handler> handlers_;
  std::vector<std::unique_ptr<ScriptNode>> nodes_;
  std::vector<ScriptMessage> messages_;  // on their way, in order
  std::map<NodeId, int> side_;           // of the partition; empty = none
  bool quiet_ = false;
};

}  // namespace quoin::raft::testing

#include "api/debug_vars.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <utility>

#include "server/raft_loop.h"

namespace quoin::api {
namespace {

std::string Quoted(const std::string& text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

std::string Id(NodeId id) { return fmt::format("{:x}", id.value()); }

template <typename Role>
std::string_view StateName(Role role) {
  switch (role) {
    case Role::kFollower:
      return "StateFollower";
    case Role::kPreCandidate:
      return "StatePreCandidate";
    case Role::kCandidate:
      return "StateCandidate";
    case Role::kLeader:
      return "StateLeader";
  }
  return "StateFollower";
}

template <typename RaftStatus>
std::string RaftJson(const RaftStatus& status) {
  std::string progress;
  for (const auto& peer : status.progress) {
    progress += fmt::format(R"({}"{}":{{"match":{},"next":{},"state":"{}"}})",
                            progress.empty() ? "" : ",", Id(peer.id), peer.match.value(),
                            peer.next.value(), peer.answers ? "StateReplicate" : "StateProbe");
  }
  return fmt::format(
      R"({{"id":"{}","term":{},"vote":"{}","commit":{},"lead":"{}","raftState":"{}","applied":{},)"
      R"("progress":{{{}}},"leadtransferee":"0"}})",
      Id(status.id), status.term.value(), Id(status.vote), status.commit.value(), Id(status.leader),
      StateName(status.role), status.applied.value(), progress);
}

std::string ProcessJson(const Context& context, const std::vector<std::string>& arguments) {
  const ProcessStats stats = context.ReadProcessStats();
  std::string words;
  for (const std::string& argument : arguments)
    words += (words.empty() ? "" : ",") + Quoted(argument);
  return fmt::format(
      "\"cmdline\": [{0}],\n\"file_descriptor_limit\": {1},\n"
      R"("memstats": {{"Alloc":{2},"TotalAlloc":{2},"Sys":{3},"HeapAlloc":{2},"HeapSys":{3},)"
      R"("HeapInuse":{2},"NumGC":0}})",
      words, stats.files_max, stats.resident_bytes, stats.virtual_bytes);
}

}  // namespace

void RenderDebugVars(const Context& context, const std::vector<std::string>& arguments,
                     env::Executor& loop, absl::AnyInvocable<void(std::string)> done) {
  std::string process = ProcessJson(context, arguments);
  server::Node& node = context.node();
  node.raft_executor().Post([&node, &loop, process = std::move(process),
                             done = std::move(done)]() mutable {
    std::string body =
        "{\n" + process + ",\n\"raft.status\": " + RaftJson(node.raft_loop().status()) + "\n}\n";
    loop.Post(
        [body = std::move(body), done = std::move(done)]() mutable { done(std::move(body)); });
  });
}

}  // namespace quoin::api

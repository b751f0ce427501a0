#include "api/debug_vars.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <utility>

#include "server/raft_loop.h"
#include "server/raft_status.h"

namespace quoin::api {
namespace {

std::string Quoted(const std::string& text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
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
    std::string body = "{\n" + process +
                       ",\n\"raft.status\": " + server::RaftStatusJson(node.raft_loop().status()) +
                       "\n}\n";
    loop.Post(
        [body = std::move(body), done = std::move(done)]() mutable { done(std::move(body)); });
  });
}

}  // namespace quoin::api

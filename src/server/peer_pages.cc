#include "server/peer_pages.h"

#include "server/node.h"

namespace quoin::server {
namespace {

rpc::HttpResponse Page(std::string content_type, std::string body) {
  rpc::HttpResponse response;
  response.headers = {{"Content-Type", std::move(content_type)}};
  response.body = std::move(body);
  return response;
}

rpc::HttpResponse MethodNotAllowed() {
  rpc::HttpResponse response = Page("text/plain; charset=utf-8", "Method Not Allowed\n");
  response.status = 405;
  response.headers.emplace_back("Allow", "GET");
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return response;
}

std::string MembersJson(const ClusterInfo* cluster) {
  std::string out = "[";
  if (cluster != nullptr) {
    for (const cluster::Member& member : cluster->members) {
      if (out.size() > 1) out += ',';
      out += cluster::MemberJson(member);
    }
  }
  return out + "]\n";
}

std::string VersionJson(const ClusterInfo* cluster) {
  const bool decided = cluster != nullptr && !cluster->cluster_version.empty();
  const bool stored = cluster != nullptr && !cluster->storage_version.empty();
  return std::string("{\"etcdserver\":\"") + kServerVersion + "\",\"etcdcluster\":\"" +
         (decided ? cluster->cluster_version : "not_decided") + "\",\"storage\":\"" +
         (stored ? cluster->storage_version : "3.5.0") + "\"}";
}

}  // namespace

void ServePeerPages(PeerHost& host, const NodeInfo& info) {
  host.Serve("/members", [&host, &info](rpc::HttpRequest request, rpc::HttpHandler::Reply reply) {
    if (request.method != "GET") return reply(MethodNotAllowed());
    rpc::HttpResponse response = Page("application/json", MembersJson(host.cluster().get()));
    response.headers.emplace_back("X-Etcd-Cluster-Id", cluster::HexId(info.cluster_id));
    reply(std::move(response));
  });
  host.Serve("/version", [&host](rpc::HttpRequest request, rpc::HttpHandler::Reply reply) {
    if (request.method != "GET") return reply(MethodNotAllowed());
    reply(Page("application/json", VersionJson(host.cluster().get())));
  });
}

}  // namespace quoin::server

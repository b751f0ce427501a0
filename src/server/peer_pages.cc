#include "server/peer_pages.h"

#include <charconv>
#include <string_view>

#include "base/errors.h"
#include "cluster/hashes.h"
#include "server/member_changes.h"
#include "server/server_version.h"

namespace quoin::server {
namespace {

rpc::HttpResponse Page(std::string content_type, std::string body) {
  rpc::HttpResponse response;
  response.headers = {{"Content-Type", std::move(content_type)}};
  response.body = std::move(body);
  return response;
}

rpc::HttpResponse ErrorPage(int status, std::string_view text) {
  rpc::HttpResponse response = Page("text/plain; charset=utf-8", std::string(text) + "\n");
  response.status = status;
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return response;
}

rpc::HttpResponse MethodNotAllowed(const char* allowed) {
  rpc::HttpResponse response = ErrorPage(405, "Method Not Allowed");
  response.headers.emplace_back("Allow", allowed);
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

void AddClusterId(const NodeInfo& info, rpc::HttpResponse& response) {
  response.headers.emplace_back("X-Etcd-Cluster-Id", cluster::HexId(info.cluster_id));
}

rpc::HttpResponse PromotionPage(const Status& status, const ClusterInfo* cluster) {
  if (status.ok()) return Page("application/json", MembersJson(cluster));
  const std::string text(status.message());
  if (status == errors::MemberNotFound()) return ErrorPage(404, "membership: ID not found");
  if (status == errors::MemberNotLearner())
    return ErrorPage(412, "membership: can only promote a learner member");
  if (status == errors::LearnerNotReady()) return ErrorPage(412, text);
  if (text.starts_with("etcdserver: request timed out")) return ErrorPage(408, text);
  return ErrorPage(500, text);
}

void ServePromotion(Node& node, PeerHost& host, Frontend& own) {
  constexpr std::string_view kPath = "/members/promote/";
  host.Serve(std::string(kPath), [&node, &own, kPath](rpc::HttpRequest request,
                                                      rpc::HttpHandler::Reply reply) {
    if (request.method != "POST") {
      rpc::HttpResponse response = MethodNotAllowed("POST");
      AddClusterId(node.info(), response);
      return reply(std::move(response));
    }
    const std::string text = request.target.substr(kPath.size());
    uint64_t id = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size()) {
      rpc::HttpResponse response = ErrorPage(404, "member " + text + " not found in cluster");
      AddClusterId(node.info(), response);
      return reply(std::move(response));
    }
    own.loop().Post([&node, &own, id, reply = std::move(reply)]() mutable {
      auto answer = [&node, &own, reply = std::move(reply)](Status status) mutable {
        rpc::HttpResponse response = PromotionPage(status, own.cluster().get());
        AddClusterId(node.info(), response);
        node.peer_executor().Post(
            [reply = std::move(reply), response]() mutable { reply(std::move(response)); });
      };
      // Not passed on once more: whoever asked looks for the leader itself.
      if (!node.info().is_leader.load()) return answer(errors::NotLeader());
      PromoteMember(node, own, id, std::move(answer));
    });
  });
}

// The hash of the keys up to a revision, for others to compare theirs with.
void ServeHashes(Node& node, PeerHost& host) {
  host.Serve("/members/hashkv", [&node](rpc::HttpRequest request, rpc::HttpHandler::Reply reply) {
    if (request.method != "GET") return reply(MethodNotAllowed("GET"));
    const std::string cluster_id = cluster::HexId(node.info().cluster_id);
    const std::string_view asked = request.header("X-Etcd-Cluster-Id").value_or("");
    if (!asked.empty() && asked != cluster_id) return reply(ErrorPage(412, "cluster ID mismatch"));
    StatusOr<int64_t> revision = cluster::ParseHashRequestJson(request.body);
    if (!revision.ok()) return reply(ErrorPage(400, "error unmarshalling request"));
    node.hashes().HashKeys(
        *revision, nullptr,
        [&node, reply = std::move(reply)](StatusOr<mvcc::HashResult> hash) mutable {
          rpc::HttpResponse response =
              hash.ok()
                  ? Page("application/json",
                         cluster::HashAnswerJson({hash->hash, hash->compact_revision,
                                                  hash->hash_revision, hash->current_revision}))
                  : ErrorPage(400, std::string(hash.status().message()));
          if (hash.ok()) AddClusterId(node.info(), response);
          node.peer_executor().Post(
              [reply = std::move(reply), response = std::move(response)]() mutable {
                reply(std::move(response));
              });
        });
  });
}

}  // namespace

void ServePeerPages(Node& node, PeerHost& host, Frontend& own) {
  host.Serve("/members", [&node, &host](rpc::HttpRequest request, rpc::HttpHandler::Reply reply) {
    rpc::HttpResponse response = request.method == "GET"
                                     ? Page("application/json", MembersJson(host.cluster().get()))
                                     : MethodNotAllowed("GET");
    AddClusterId(node.info(), response);
    reply(std::move(response));
  });
  host.Serve("/version", [&host](rpc::HttpRequest request, rpc::HttpHandler::Reply reply) {
    if (request.method != "GET") return reply(MethodNotAllowed("GET"));
    reply(Page("application/json", VersionJson(host.cluster().get())));
  });
  // Linearizable in etcd; here this member's own view, which the one who asks compares with
  // others'.
  host.Serve("/downgrade/enabled", [&node, &host](rpc::HttpRequest request,
                                                  rpc::HttpHandler::Reply reply) {
    const bool enabled = host.cluster() != nullptr && host.cluster()->downgrade.enabled;
    rpc::HttpResponse response = request.method == "GET"
                                     ? Page("text/plain; charset=utf-8", enabled ? "true" : "false")
                                     : MethodNotAllowed("GET");
    AddClusterId(node.info(), response);
    reply(std::move(response));
  });
  ServeHashes(node, host);
  ServePromotion(node, host, own);
}

}  // namespace quoin::server

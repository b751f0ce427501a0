#include "server/lease_pages.h"

#include <memory>
#include <utility>

#include "proto/lease.pb.h"

namespace quoin::server {
namespace {

constexpr size_t kBodyBytesMax = 64 << 10;

rpc::HttpResponse Text(int status, const std::string& text) {
  rpc::HttpResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"},
                      {"X-Content-Type-Options", "nosniff"}};
  response.body = text + "\n";
  return response;
}

rpc::HttpResponse Message(const google::protobuf::MessageLite& message) {
  rpc::HttpResponse response;
  response.headers = {{"Content-Type", "application/protobuf"}};
  response.body = message.SerializeAsString();
  return response;
}

// Method, size and form of a request; false: it has been answered.
template <typename Request>
bool Take(const rpc::HttpRequest& http, Request& request, rpc::HttpHandler::Reply& reply) {
  if (http.method != "POST") {
    reply(Text(405, "Method Not Allowed"));
  } else if (http.body.size() > kBodyBytesMax) {
    reply(Text(413, "request body too large"));
  } else if (!request.ParseFromString(http.body)) {
    reply(Text(400, "error unmarshalling request"));
  } else {
    return true;
  }
  return false;
}

// Sends the answer from the peer loop.
auto ReplyOn(env::Executor& peer, rpc::HttpHandler::Reply reply) {
  return [&peer, reply = std::make_shared<rpc::HttpHandler::Reply>(std::move(reply))](
             rpc::HttpResponse response) {
    peer.Post([reply, response = std::move(response)]() mutable { (*reply)(std::move(response)); });
  };
}

}  // namespace

void ServeLeasePages(PeerHost& host, LeaseLoop& leases, env::Executor& lease_executor,
                     env::Executor& peer_executor) {
  host.Serve("/leases", [&](rpc::HttpRequest http, rpc::HttpHandler::Reply reply) {
    etcdserverpb::LeaseKeepAliveRequest request;
    if (!Take(http, request, reply)) return;
    lease_executor.Post(
        [&leases, id = request.id(), answer = ReplyOn(peer_executor, std::move(reply))]() mutable {
          leases.Renew(id, LeaseLoop::Elsewhere::kRefuse,
                       [id, answer = std::move(answer)](StatusOr<int64_t> ttl) mutable {
                         if (!ttl.ok())
                           return answer(Text(400, std::string(ttl.status().message())));
                         if (*ttl == 0) return answer(Text(404, "lease not found"));
                         etcdserverpb::LeaseKeepAliveResponse response;
                         response.set_id(id);
                         response.set_ttl(*ttl);
                         answer(Message(response));
                       });
        });
  });
  host.Serve("/leases/internal", [&](rpc::HttpRequest http, rpc::HttpHandler::Reply reply) {
    leasepb::LeaseInternalRequest request;
    if (!Take(http, request, reply)) return;
    const auto& asked = request.leasetimetoliverequest();
    lease_executor.Post([&leases, id = asked.id(), keys = asked.keys(),
                         answer = ReplyOn(peer_executor, std::move(reply))]() mutable {
      leases.TimeToLive(id, keys, LeaseLoop::Elsewhere::kRefuse,
                        [id, answer = std::move(answer)](StatusOr<LeaseTimes> times) mutable {
                          if (!times.ok())
                            return answer(Text(500, std::string(times.status().message())));
                          if (times->ttl_seconds == -1 && times->granted_seconds == 0)
                            return answer(Text(404, "lease not found"));
                          leasepb::LeaseInternalResponse response;
                          auto& out = *response.mutable_leasetimetoliveresponse();
                          out.mutable_header();  // there, and empty
                          out.set_id(id);
                          out.set_ttl(times->ttl_seconds);
                          out.set_grantedttl(times->granted_seconds);
                          for (std::string& key : times->keys) out.add_keys(std::move(key));
                          answer(Message(response));
                        });
    });
  });
}

}  // namespace quoin::server

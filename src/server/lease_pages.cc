#include "server/lease_pages.h"

#include <memory>
#include <utility>

#include "base/wire.h"
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

// leasepb.LeaseInternalResponse {1 LeaseTimeToLiveResponse}, by hand: the keys are there as bytes.
rpc::HttpResponse Times(int64_t id, const LeaseTimes& times) {
  std::string inner;
  wire::PutBytes(inner, 1, "");  // the header: there, and empty
  wire::PutUintNonZero(inner, 2, static_cast<uint64_t>(id));
  wire::PutUintNonZero(inner, 3, static_cast<uint64_t>(times.ttl_seconds));
  wire::PutUintNonZero(inner, 4, static_cast<uint64_t>(times.granted_seconds));
  rpc::HttpResponse response;
  response.headers = {{"Content-Type", "application/protobuf"}};
  response.body.reserve(inner.size() + times.keys.size() + 16);
  wire::PutTag(response.body, 1, wire::Type::kBytes);
  wire::PutVarint(response.body, inner.size() + times.keys.size());
  response.body.append(inner).append(times.keys.view());
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
    lease_executor.Post([&leases, id = request.id(), came_at = peer_executor.clock().Now(),
                         answer = ReplyOn(peer_executor, std::move(reply))]() mutable {
      leases.Renew(id, came_at, LeaseLoop::Elsewhere::kRefuse,
                   [id, answer = std::move(answer)](StatusOr<int64_t> ttl) mutable {
                     if (!ttl.ok()) return answer(Text(400, std::string(ttl.status().message())));
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
                          answer(Times(id, *times));
                        });
    });
  });
}

}  // namespace quoin::server

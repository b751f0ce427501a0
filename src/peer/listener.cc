#include "peer/listener.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "base/version.h"
#include "raft_types/codec.h"

namespace quoin::peer {
namespace {

constexpr std::string_view kRaft = "/raft", kStreams = "/raft/stream", kSnapshot = "/raft/snapshot",
                           kProbing = "/raft/probing";
constexpr Version kOldestVersion{3, 0, 0};
// Snapshots that come at the same time. They come from leaders, of which there is one.
constexpr size_t kReceivingMax = 4;
// A body that is taken whole: one message, or a small question to another member.
constexpr size_t kMessageBytesMax = 64 << 20, kQuestionBytesMax = 256 << 10;
constexpr int kNoContent = 204, kBadRequest = 400, kNotFound = 404, kNotAllowed = 405, kGone = 410,
              kPrecondition = 412, kTooLarge = 413, kInternalError = 500;

rpc::HttpResponse PlainError(int status, const std::string& text) {
  rpc::HttpResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"},
                      {"X-Content-Type-Options", "nosniff"}};
  response.body = text + "\n";
  return response;
}

rpc::HttpResponse MethodNotAllowed(const char* allowed) {
  rpc::HttpResponse response = PlainError(kNotAllowed, "Method Not Allowed");
  response.headers.emplace_back("Allow", allowed);
  return response;
}

NodeId SenderOf(const rpc::HttpRequest& request) {
  return NodeId(ParseHex(request.header("X-Server-From").value_or("")).value_or(0));
}

bool IsStream(std::string_view path) { return path.starts_with(kStreams); }

bool HasBody(const rpc::HttpRequest& head) {
  return head.header("Transfer-Encoding") || head.header("Content-Length").value_or("0") != "0";
}

// How much of a body the page at `target` reads. The others answer whatever comes with a question.
size_t BodyBytesMax(std::string_view target) {
  if (target == kRaft) return kMessageBytesMax;
  return target.starts_with("/leases") || target.starts_with("/members") ? kQuestionBytesMax : 0;
}

}  // namespace

rpc::HttpResponse ErrorResponse(const Options& options, int status, const std::string& text) {
  rpc::HttpResponse response = PlainError(status, text);
  response.headers.emplace_back("X-Etcd-Cluster-Id", HexOf(options.cluster_id));
  return response;
}

std::optional<rpc::HttpResponse> Listener::CheckSender(const rpc::HttpRequest& request) const {
  const std::string server(request.header("X-Server-Version").value_or("2.0.0"));
  const std::string least(request.header("X-Min-Cluster-Version").value_or("2.0.0"));
  const std::optional<Version> theirs = ParseVersion(server), needs = ParseVersion(least);
  const std::optional<Version> ours = ParseVersion(context_.options.server_version);
  if (!theirs || !needs || *theirs < kOldestVersion || needs->Minor() > ours->Minor()) {
    context_.log.Warn(
        "request received was ignored due to incompatible versions",
        {{"remote-peer-server-version", server}, {"remote-peer-min-cluster-version", least}});
    return ErrorResponse(context_.options, kPrecondition, "incompatible version");
  }
  const std::string cluster(request.header("X-Etcd-Cluster-ID").value_or(""));
  if (cluster != HexOf(context_.options.cluster_id)) {
    context_.log.Warn("request cluster ID mismatch",
                      {{"remote-peer-cluster-id", cluster},
                       {"local-member-cluster-id", HexOf(context_.options.cluster_id)}});
    return ErrorResponse(context_.options, kPrecondition, "cluster ID mismatch");
  }
  return std::nullopt;
}

std::optional<rpc::HttpResponse> Listener::CheckStream(const rpc::HttpRequest& request,
                                                       StreamTarget& target) {
  if (request.method != "GET") return MethodNotAllowed("GET");
  const auto refuse = [this](int status, const char* text) {
    rpc::HttpResponse response = ErrorResponse(context_.options, status, text);
    response.headers.emplace_back("X-Server-Version", context_.options.server_version);
    return response;
  };
  if (auto refusal = CheckSender(request)) {
    refusal->headers.emplace_back("X-Server-Version", context_.options.server_version);
    return refusal;
  }
  const size_t slash = request.target.rfind('/');
  const std::string_view kind = std::string_view(request.target).substr(0, slash);
  if (kind == "/raft/stream/msgapp") {
    target.kind = StreamKind::kMsgApp;
  } else if (kind != "/raft/stream/message") {
    return refuse(kNotFound, "invalid path");
  }
  const std::optional<uint64_t> from = ParseHex(std::string_view(request.target).substr(slash + 1));
  if (!from) return refuse(kNotFound, "invalid from");
  if (context_.host.IsRemoved(NodeId(*from))) return refuse(kGone, "removed member");
  target.peer = peers_.FindPeer(NodeId(*from));
  if (target.peer == nullptr) {
    if (auto urls = request.header("X-PeerURLs"))
      peers_.NoteRemote(NodeId(*from), std::string(*urls));
    return refuse(kNotFound, "error sender not found");
  }
  if (request.header("X-Raft-To").value_or("") != HexOf(context_.options.self)) {
    context_.log.Warn(
        "ignored streaming request; ID mismatch",
        {{"local-member-id", HexOf(context_.options.self)}, {"remote-peer-id-from", HexOf(*from)}});
    return refuse(kPrecondition, "to field mismatch");
  }
  return std::nullopt;
}

std::optional<rpc::HttpResponse> Listener::CheckPost(const rpc::HttpRequest& request) {
  if (request.method != "POST") return MethodNotAllowed("POST");
  if (auto refusal = CheckSender(request)) return refusal;
  const NodeId from = SenderOf(request);
  const auto urls = request.header("X-PeerURLs");
  if (from != NodeId() && urls && peers_.FindPeer(from) == nullptr &&
      !context_.host.IsRemoved(from)) {
    peers_.NoteRemote(from, std::string(*urls));
  }
  return std::nullopt;
}

std::unique_ptr<rpc::HttpStreamHandler> Listener::Stream(const rpc::HttpRequest& head,
                                                         rpc::HttpExchange& exchange) {
  // Refused with the head alone: no body is waited for, however long it is said to be.
  const auto refuse = [&exchange](rpc::HttpResponse refusal) {
    exchange.Reply(std::move(refusal));
    return std::make_unique<rpc::HttpStreamHandler>();
  };
  if (head.target == kSnapshot) {
    if (auto refusal = CheckPost(head)) return refuse(*std::move(refusal));
    const NodeId sender = SenderOf(head);
    if (!receiving_.contains(sender) && receiving_.size() >= kReceivingMax) {
      context_.log.Warn("refused a snapshot; others are being received",
                        {{"remote-peer-id", HexOf(sender)}, {"receiving", receiving_.size()}});
      return refuse(ErrorResponse(context_.options, kInternalError,
                                  "failed to save KV snapshot (others are being received)"));
    }
    return TakeSnapshot(sender, exchange);
  }
  if (head.target == kRaft) {
    if (auto refusal = CheckPost(head)) return refuse(*std::move(refusal));
  }
  if (!IsStream(head.target)) return HasBody(head) ? TakeBody(head, exchange) : nullptr;
  StreamTarget target;
  if (auto refusal = CheckStream(head, target)) return refuse(*std::move(refusal));
  return target.peer->Attach(target.kind, exchange);
}

std::unique_ptr<rpc::HttpStreamHandler> Listener::TakeBody(const rpc::HttpRequest& head,
                                                           rpc::HttpExchange& exchange) {
  const size_t bytes_max = BodyBytesMax(head.target);
  const std::string_view stated = head.header("Content-Length").value_or("");
  size_t length = 0;  // unknown for what comes in chunks
  std::from_chars(stated.data(), stated.data() + stated.size(), length);
  if (bytes_max > 0 && length > bytes_max) {
    exchange.Reply(PlainError(kTooLarge, "Payload Too Large"));
    return std::make_unique<rpc::HttpStreamHandler>();
  }
  auto receiver = std::make_unique<BodyReceiver>(
      context_, bodies_, head, bytes_max, exchange, [this](rpc::HttpRequest request, Reply reply) {
        Handle(std::move(request), context_.loop, std::move(reply));
      });
  if (bytes_max == 0) receiver->TakeWithoutBody();
  return receiver;
}

// A sender that comes again has given up what it sent before, whether we have heard of that or not.
std::unique_ptr<rpc::HttpStreamHandler> Listener::TakeSnapshot(NodeId sender,
                                                               rpc::HttpExchange& exchange) {
  SnapshotReceiver::Owner& self = *this;
  auto receiver = std::make_unique<SnapshotReceiver>(context_, exchange, sender, self);
  if (SnapshotReceiver* before = std::exchange(receiving_[sender], receiver.get()))
    before->Abandon();
  return receiver;
}

void Listener::OnReceiverGone(SnapshotReceiver& receiver) {
  auto found = receiving_.find(receiver.sender());
  if (found != receiving_.end() && found->second == &receiver) receiving_.erase(found);
}

void Listener::Handle(rpc::HttpRequest request, env::Executor&, Reply reply) {
  if (request.target == kRaft) return reply(TakeMessage(request));  // Stream has seen its head
  if (request.target == kProbing) return reply(Probing());
  context_.host.HandleHttp(std::move(request), std::move(reply));
}

Status Listener::AdmitMessage(const raft::Message& message, NodeId sender) {
  if (context_.host.IsRemoved(message.from))
    return absl::PermissionDeniedError("cannot process message from removed member");
  if (message.to != context_.options.self)
    return absl::PermissionDeniedError("cannot process message to mismatch member");
  return CheckAuthor(message, sender, context_.options.self);
}

rpc::HttpResponse Listener::TakeMessage(const rpc::HttpRequest& request) {
  StatusOr<raft::Message> message = raft::DecodeMessage(request.body);
  if (!message.ok())
    return ErrorResponse(context_.options, kBadRequest, "error unmarshalling raft message");
  Status status = AdmitMessage(*message, SenderOf(request));
  if (request.body.empty()) status = absl::InvalidArgumentError("a local message");
  if (!status.ok()) {
    context_.log.Warn("failed to process Raft message",
                      {{"from", HexOf(message->from)}, {"error", std::string(status.message())}});
    return ErrorResponse(context_.options, kInternalError, "error processing raft message");
  }
  std::vector<raft::Message> messages;
  messages.push_back(*std::move(message));
  context_.host.OnMessages(std::move(messages));
  rpc::HttpResponse taken;
  taken.status = kNoContent;
  taken.headers = {{"X-Etcd-Cluster-Id", HexOf(context_.options.cluster_id)}};
  return taken;
}

rpc::HttpResponse Listener::Probing() const {
  const int64_t nanoseconds = context_.env.clock().WallNow().count();
  rpc::HttpResponse response;
  response.headers = {{"Content-Type", "text/plain; charset=utf-8"}};
  response.body = fmt::format("{{\"OK\":true,\"Now\":\"{:%Y-%m-%dT%H:%M:%S}.{:09}Z\"}}\n",
                              fmt::gmtime(static_cast<std::time_t>(nanoseconds / 1000000000)),
                              nanoseconds % 1000000000);
  return response;
}

}  // namespace quoin::peer

#include "peer/body_receiver.h"

#include <utility>

#include "peer/listener.h"

namespace quoin::peer {
namespace {

// As long as a sender of etcd's waits for progress.
constexpr env::Duration kSilenceMax = std::chrono::seconds(30);
constexpr int kRequestTimeout = 408, kTooLarge = 413, kUnavailable = 503;

}  // namespace

void HeldBodies::Grew(Place place, size_t bytes) {
  bytes_ += bytes;
  order_.splice(order_.end(), order_, place);
  while (bytes_ > bytes_max_)
    order_.front()->Refuse(kUnavailable, "too much of other requests is held");
}

BodyReceiver::BodyReceiver(const Context& context, HeldBodies& held, rpc::HttpRequest head,
                           size_t bytes_max, rpc::HttpExchange& exchange, Take take)
    : context_(context),
      held_(held),
      place_(held.Join(*this)),
      bytes_max_(bytes_max),
      exchange_(exchange),
      request_(std::move(head)),
      take_(std::move(take)) {
  WatchForStall();
}

BodyReceiver::~BodyReceiver() {
  lifeline_.Cut();
  End();
}

void BodyReceiver::WatchForStall() {
  stall_timer_ = context_.loop.RunAfter(kSilenceMax, [this] {
    stall_timer_ = {};
    if (!std::exchange(heard_, false))
      return Refuse(kRequestTimeout, "the body of the request does not go on");
    WatchForStall();
  });
}

void BodyReceiver::OnBody(std::string_view piece) {
  if (ended_) return;
  heard_ = true;
  if (request_.body.size() + piece.size() > bytes_max_)
    return Refuse(kTooLarge, "the body of the request is too large");
  request_.body.append(piece);
  held_.Grew(place_, piece.size());
}

void BodyReceiver::OnBodyEnd() {
  if (ended_) return;
  End();
  take_(std::move(request_), lifeline_.Tie([this](rpc::HttpResponse response) {
    exchange_.Reply(std::move(response));
  }));
}

void BodyReceiver::OnLost() {
  lifeline_.Cut();
  End();
}

void BodyReceiver::Refuse(int status, const std::string& text) {
  context_.log.Warn("gave up a request on the peer port", {{"remote-addr", request_.remote_address},
                                                           {"path", request_.target},
                                                           {"bytes", request_.body.size()},
                                                           {"error", text}});
  End();
  request_.body = std::string();
  exchange_.Reply(ErrorResponse(context_.options, status, text));
}

void BodyReceiver::End() {
  if (std::exchange(ended_, true)) return;
  context_.loop.Cancel(stall_timer_);
  held_.Leave(place_, request_.body.size());
}

}  // namespace quoin::peer

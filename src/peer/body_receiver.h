// BodyReceiver: a request on the peer port whose body is taken whole, from its head to the answer.
// HeldBodies: all of them, and how much they hold together.
//
// A body that brings nothing for 30 s is given up. When all hold too much, the one that has brought
// nothing for longest goes: a member's message, which comes at once, always finds room.
//
// Thread: the peer loop.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "base/lifeline.h"
#include "peer/context.h"

namespace quoin::peer {

class BodyReceiver;

// Outlives its receivers.
class HeldBodies {
 public:
  explicit HeldBodies(size_t bytes_max) : bytes_max_(bytes_max) {}

 private:
  friend class BodyReceiver;
  using Place = std::list<BodyReceiver*>::iterator;

  Place Join(BodyReceiver& receiver) { return order_.insert(order_.end(), &receiver); }
  void Leave(Place place, size_t bytes) {
    order_.erase(place);
    bytes_ -= bytes;
  }
  // A piece has come to the receiver at `place`. Others are refused until the sum fits.
  void Grew(Place place, size_t bytes);

  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::list<BodyReceiver*> order_;  // first: has brought nothing for longest
};

// Owned by the HTTP session that carries it.
class BodyReceiver final : public rpc::HttpStreamHandler {
 public:
  // Gets the request with its body; answers now or later.
  using Take = absl::AnyInvocable<void(rpc::HttpRequest, rpc::HttpHandler::Reply)>;

  BodyReceiver(const Context& context, HeldBodies& held, rpc::HttpRequest head, size_t bytes_max,
               rpc::HttpExchange& exchange, Take take);
  ~BodyReceiver() override;
  // Answers the head; a body is not waited for.
  void TakeWithoutBody() { OnBodyEnd(); }

 private:
  friend class HeldBodies;
  void OnBody(std::string_view piece) override;
  void OnBodyEnd() override;
  void OnLost() override;

  void WatchForStall();
  void Refuse(int status, const std::string& text);
  // Its body is no longer counted: it moves on, or goes.
  void End();

  const Context context_;
  HeldBodies& held_;
  const HeldBodies::Place place_;
  const size_t bytes_max_;
  rpc::HttpExchange& exchange_;
  rpc::HttpRequest request_;
  Take take_;
  env::TimerId stall_timer_;
  bool heard_ = false;  // since the timer was set
  bool ended_ = false;
  Lifeline lifeline_;
};

}  // namespace quoin::peer

// SimStream: both ends of one simulated connection and what is under way between them.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "env/network.h"
#include "env/sim/sim_world.h"

namespace quoin::env {

// Each side is 0 (the one that connected) or 1. Thread: one.
class SimStream final : public std::enable_shared_from_this<SimStream> {
 public:
  struct Place {
    SimExecutor* loop;
    std::string address;
  };
  SimStream(SimWorld& world, SimNetwork& network, uint64_t id, Place client, Place server);

  // The owner's handle of one side; its destruction closes that side.
  std::unique_ptr<Connection> Own(int side);

  // --- what Connection does, by side ---
  void Start(int side, Connection::Handler& handler);
  void Write(int side, std::string_view bytes);
  size_t unsent_bytes(int side) const { return ends_[side].unsent.size(); }
  void PauseReading(int side) { ends_[side].reading = false; }
  void ResumeReading(int side);
  void CloseAfterFlush(int side);
  void Close(int side);
  const std::string& address(int side) const { return ends_[side].address; }

  // --- what the network does ---
  // Given back when the owner closes that side.
  void Hold(int side, ConnectionLimit::Place place) { ends_[side].place = std::move(place); }
  const std::string& host(int side) const { return ends_[side].host; }
  // Hands over what has arrived by now, unless the link is cut.
  void Transmit(int from);
  void Reset();
  void CrashSide(int side, Duration silence);
  void Detach() { network_ = nullptr; }

 private:
  struct Segment {
    Duration at;
    std::string bytes;
    size_t acknowledged = 0;  // bytes that the sender of this segment has consumed
    bool ends = false;
    bool resets = false;
  };
  struct End {
    std::weak_ptr<SimExecutor*> loop;
    std::string host, address;
    Connection::Handler* handler = nullptr;
    // Towards the other end:
    std::string unsent;
    size_t window = 0;  // bytes that the kernels still take
    std::deque<Segment> under_way;
    Duration last_at{0};  // of the newest segment
    // From the other end:
    std::string arrived;
    bool ended = false;     // nothing follows `arrived`
    Status broken;          // a reset came
    bool delivery = false;  // a task will look at these
    bool reading = true;
    bool flushing = false;
    bool closing = false;  // CloseAfterFlush
    bool sent_end = false;
    bool told = false;  // OnClosed ran
    bool gone = false;  // its owner, or its machine, is
    TimerId grace;
    ConnectionLimit::Place place;
  };

  static int Other(int side) { return 1 - side; }
  void Send(int from, Segment segment);
  void Arrive(int to, Segment segment);
  void Flush(int side);
  void Deliver(int side);
  void Rest(int side, Duration pause);
  void TellClosed(int side, Status why);
  void WakeReader(int side);
  void CancelGrace(int side);
  void PostTo(int side, void (SimStream::*method)(int));
  SimExecutor* Loop(int side) const;
  void ForgetWhenDone();

  SimWorld& world_;
  SimNetwork* network_;  // null once that is gone
  const uint64_t id_;
  End ends_[2];
};

}  // namespace quoin::env

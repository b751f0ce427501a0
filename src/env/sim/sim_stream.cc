#include "env/sim/sim_stream.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"

namespace quoin::env {
namespace {

constexpr size_t kWindowBytes = 256 * 1024;  // what both kernels hold of one direction
constexpr size_t kReadBytesMax = 256 * 1024;
constexpr Duration kCloseGrace = std::chrono::seconds(5);

// What the owner holds. Thread: one.
class SimConnection final : public Connection {
 public:
  SimConnection(std::shared_ptr<SimStream> stream, int side)
      : stream_(std::move(stream)), side_(side) {}
  ~SimConnection() override { stream_->Close(side_); }
  void Start(Handler& handler) override { stream_->Start(side_, handler); }
  void Write(std::string bytes) override { stream_->Write(side_, bytes); }
  void Write(SharedBytes bytes) override { stream_->Write(side_, bytes.view()); }
  size_t unsent_bytes() const override { return stream_->unsent_bytes(side_); }
  void PauseReading() override { stream_->PauseReading(side_); }
  void ResumeReading() override { stream_->ResumeReading(side_); }
  void CloseAfterFlush() override { stream_->CloseAfterFlush(side_); }
  std::string remote_address() const override { return stream_->address(1 - side_); }
  std::string local_address() const override { return stream_->address(side_); }

 private:
  const std::shared_ptr<SimStream> stream_;
  const int side_;
};

}  // namespace

SimStream::SimStream(SimWorld& world, SimNetwork& network, uint64_t id, Place client, Place server)
    : world_(world), network_(&network), id_(id) {
  const Place places[2] = {std::move(client), std::move(server)};
  for (int side = 0; side < 2; ++side) {
    ends_[side].loop = places[side].loop->handle();
    ends_[side].host = places[side].loop->host();
    ends_[side].address = places[side].address;
    ends_[side].window = kWindowBytes;
  }
}

std::unique_ptr<Connection> SimStream::Own(int side) {
  return std::make_unique<SimConnection>(shared_from_this(), side);
}

SimExecutor* SimStream::Loop(int side) const {
  const std::shared_ptr<SimExecutor*> loop = ends_[side].loop.lock();
  return loop == nullptr ? nullptr : *loop;
}

void SimStream::PostTo(int side, void (SimStream::*method)(int)) {
  if (SimExecutor* loop = Loop(side))
    loop->Post([self = shared_from_this(), side, method] { ((*self).*method)(side); });
}

// --- the owner ---

void SimStream::Start(int side, Connection::Handler& handler) {
  CHECK(ends_[side].handler == nullptr);
  ends_[side].handler = &handler;
  WakeReader(side);
}

void SimStream::Write(int side, std::string_view bytes) {
  End& end = ends_[side];
  if (bytes.empty() || end.told || end.gone || end.closing) return;
  world_.NoteWritten(bytes.size());
  end.unsent += bytes;
  SimExecutor* loop = Loop(side);
  if (loop == nullptr || std::exchange(end.flushing, true)) return;
  loop->AtEndOfTurn([self = shared_from_this(), side] { self->Flush(side); });
}

void SimStream::ResumeReading(int side) {
  ends_[side].reading = true;
  WakeReader(side);
}

void SimStream::CloseAfterFlush(int side) {
  End& end = ends_[side];
  if (end.closing || end.told || end.gone) return;
  end.closing = true;
  if (end.unsent.empty() && !std::exchange(end.sent_end, true)) Send(side, {.ends = true});
  SimExecutor* loop = Loop(side);
  if (loop == nullptr) return;
  end.grace = loop->RunAfter(kCloseGrace, [self = shared_from_this(), side] {
    self->ends_[side].grace = {};
    self->TellClosed(side, absl::DeadlineExceededError("close " + self->address(Other(side)) +
                                                       ": the peer did not close"));
  });
}

void SimStream::Close(int side) {
  End& end = ends_[side];
  end.place = {};  // with its owner: the loop still exists
  if (end.gone) return;
  end.gone = true;
  end.handler = nullptr;
  CancelGrace(side);
  end.unsent.clear();
  // As TCP: bytes that nobody will read are answered with a reset, otherwise the peer sees the end.
  if (!end.arrived.empty())
    Send(side, {.resets = true});
  else if (!std::exchange(end.sent_end, true))
    Send(side, {.ends = true});
  end.arrived.clear();
  ForgetWhenDone();
}

void SimStream::CancelGrace(int side) {
  const TimerId grace = std::exchange(ends_[side].grace, {});
  if (SimExecutor* loop = Loop(side); loop != nullptr && grace.value != 0) loop->Cancel(grace);
}

// --- sending ---

void SimStream::Flush(int side) {
  End& end = ends_[side];
  end.flushing = false;
  if (end.gone || end.told) return;
  const size_t bytes = std::min(end.unsent.size(), end.window);
  if (bytes > 0) {
    Send(side, {.bytes = end.unsent.substr(0, bytes)});
    end.unsent.erase(0, bytes);
    end.window -= bytes;
  }
  if (!end.unsent.empty()) return;
  if (end.closing && !std::exchange(end.sent_end, true)) Send(side, {.ends = true});
  if (bytes > 0 && end.handler != nullptr) end.handler->OnDrained();
}

void SimStream::Send(int from, Segment segment) {
  End& end = ends_[from];
  if (network_ == nullptr) return;
  const Duration delay = network_->DrawDelay({end.host, ends_[Other(from)].host});
  segment.at = end.last_at = std::max(end.last_at, world_.Now() + delay);
  world_.Schedule(segment.at, [self = shared_from_this(), from] { self->Transmit(from); });
  end.under_way.push_back(std::move(segment));
}

void SimStream::Transmit(int from) {
  End& end = ends_[from];
  if (network_ == nullptr || network_->IsCut(end.host, ends_[Other(from)].host))
    return;  // Heal calls again
  while (!end.under_way.empty() && end.under_way.front().at <= world_.Now()) {
    Segment segment = std::move(end.under_way.front());
    end.under_way.pop_front();
    Arrive(Other(from), std::move(segment));
  }
  ForgetWhenDone();
}

void SimStream::Arrive(int to, Segment segment) {
  End& end = ends_[to];
  world_.Note(Crc32c(static_cast<uint32_t>(id_ * 2 + static_cast<uint64_t>(to)), segment.bytes));
  if (segment.resets) {
    end.arrived.clear();
    end.unsent.clear();
    end.broken =
        absl::UnavailableError("read " + address(Other(to)) + ": connection reset by peer");
    return WakeReader(to);
  }
  if (end.gone) {
    if (!segment.bytes.empty()) Send(to, {.resets = true});
    return;
  }
  end.arrived += segment.bytes;
  end.ended = end.ended || segment.ends;
  if (segment.acknowledged > 0) {
    end.window += segment.acknowledged;
    if (!end.unsent.empty()) PostTo(to, &SimStream::Flush);
  }
  WakeReader(to);
}

// --- receiving ---

void SimStream::WakeReader(int side) {
  End& end = ends_[side];
  const bool readable = end.reading && (!end.arrived.empty() || end.ended);
  if (end.gone || end.told || end.handler == nullptr || end.delivery) return;
  if (!readable && end.broken.ok()) return;
  end.delivery = true;
  PostTo(side, &SimStream::Deliver);
}

void SimStream::Deliver(int side) {
  End& end = ends_[side];
  end.delivery = false;
  if (end.gone || end.told || end.handler == nullptr) return;
  if (!end.broken.ok()) return TellClosed(side, end.broken);
  if (!end.reading) return;
  if (!end.arrived.empty()) {
    SimNetwork::Appetite appetite;
    if (network_ != nullptr) appetite = network_->AppetiteOf(end.host);
    size_t bytes = std::min({end.arrived.size(), kReadBytesMax, appetite.bytes_most});
    if (world_.random().Chance(0.25)) bytes = 1 + world_.random().Below(bytes);
    const std::string data = end.arrived.substr(0, bytes);
    end.arrived.erase(0, bytes);
    Send(side, {.acknowledged = bytes});
    end.handler->OnData(data);
    return appetite.pause > Duration(0) ? Rest(side, appetite.pause) : WakeReader(side);
  }
  if (end.ended) TellClosed(side, OkStatus());
}

void SimStream::Rest(int side, Duration pause) {
  SimExecutor* loop = Loop(side);
  if (loop == nullptr) return;
  ends_[side].delivery = true;
  loop->RunAfter(pause, [self = shared_from_this(), side] {
    self->ends_[side].delivery = false;
    self->WakeReader(side);
  });
}

void SimStream::TellClosed(int side, Status why) {
  End& end = ends_[side];
  if (end.gone || std::exchange(end.told, true)) return;
  CancelGrace(side);
  end.unsent.clear();
  if (end.handler != nullptr) end.handler->OnClosed(std::move(why));
}

// --- faults ---

void SimStream::Reset() {
  for (int side = 0; side < 2; ++side) {
    End& end = ends_[side];
    end.under_way.clear();
    end.arrived.clear();
    end.unsent.clear();
    end.broken =
        absl::UnavailableError("read " + address(Other(side)) + ": connection reset by peer");
    WakeReader(side);
  }
  ForgetWhenDone();
}

void SimStream::CrashSide(int side, Duration silence) {
  End& end = ends_[side];
  if (end.gone) return;
  end.gone = true;
  end.handler = nullptr;
  end.unsent.clear();
  end.arrived.clear();
  // What left the machine still arrives; then comes the silence, until something finds out.
  end.last_at =
      std::max(end.last_at, world_.Now() + Duration(world_.random().Between(0, silence.count())));
  Send(side, {.resets = true});
}

void SimStream::ForgetWhenDone() {
  const bool done =
      ends_[0].gone && ends_[1].gone && ends_[0].under_way.empty() && ends_[1].under_way.empty();
  if (done && network_ != nullptr) network_->Forget(id_);  // whoever called holds a reference
}

}  // namespace quoin::env

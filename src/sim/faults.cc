#include "sim/faults.h"

#include <utility>

namespace quoin::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;

Faults::Faults(Fleet& fleet, std::function<void(Host&)> load)
    : fleet_(fleet), load_(std::move(load)) {
  restless_ = random().Chance(0.3) || fleet_.options().restless;
  strike_chance_ = restless_ ? 0.9 : 0.1 * static_cast<double>(random().Below(8));
}

void Faults::StrikeAtElection(Host& elected) {
  if (random().Chance(restless_ ? 0.95 : 0.3)) return ChangeGuard(elected);
  switch (random().Below(5)) {
    case 0:
      return fleet_.Crash(elected);
    case 1:
      return CutOff(elected, random().Chance(0.5), true);
    case 2:
      return Reject(elected);
    default: {  // those who made it may forget it, and it may, too
      const bool keeps_the_lead = random().Chance(0.5);
      for (auto& host : fleet_.hosts())
        if (host.get() != &elected || !keeps_the_lead) fleet_.Crash(*host);
      return;
    }
  }
}

void Faults::StrikeAtSnapshot(Host& host) {
  fleet_.Say("strike at a snapshot of " + host.machine->host());
  switch (random().Below(3)) {
    case 0:
      return fleet_.Crash(host);
    case 1:
      return random().Chance(0.5) ? CutOff(host, true, false)  // it stalls
                                  : CutOff(host, false, true);
    default:
      host.machine->disk().set_sync_time(milliseconds(200), milliseconds(2000));
      return;
  }
}

// The new leader goes before what it has written is anywhere else, and who was away comes back.
void Faults::ChangeGuard(Host& elected) {
  std::vector<Host*> away;
  for (auto& host : fleet_.hosts())
    if (!host->machine->up()) away.push_back(host.get());
  fleet_.network().HealAll();
  if (restless_) fleet_.network().set_delay(microseconds(20), milliseconds(10));
  fleet_.Crash(elected);
  if (random().Chance(0.3)) {  // and those who made it may have forgotten it
    for (auto& host : fleet_.hosts()) {
      if (!host->machine->up()) continue;
      fleet_.Crash(*host);
      away.push_back(host.get());
    }
  }
  for (Host* host : away) fleet_.Start(*host);
  for (auto& host : fleet_.hosts())
    if (host->machine->up()) load_(*host);
}

void Faults::CutOff(const Host& host, bool in, bool out) {
  fleet_.Say("cut off " + host.machine->host() + (in ? " in" : "") + (out ? " out" : ""));
  ++fleet_.result().cuts;
  for (const auto& other : fleet_.hosts()) {
    if (other.get() == &host) continue;
    if (in) fleet_.network().Cut(other->machine->host(), host.machine->host());
    if (out) fleet_.network().Cut(host.machine->host(), other->machine->host());
  }
}

// The others hear at once that it is out of reach; its clients are not.
void Faults::Reject(const Host& host) {
  fleet_.Say("reject " + host.machine->host());
  ++fleet_.result().cuts;
  for (const auto& other : fleet_.hosts())
    if (other.get() != &host) fleet_.network().Reject(other->machine->host(), host.machine->host());
}

void Faults::CutClients(const Host& host) {
  fleet_.Say("cut clients of " + host.machine->host());
  if (random().Chance(0.5)) return fleet_.network().Reset(kClientHost, host.machine->host());
  fleet_.network().Cut(kClientHost, host.machine->host());
  if (random().Chance(0.5)) fleet_.network().Cut(host.machine->host(), kClientHost);
}

void Faults::Draw() {
  Fleet& fleet = fleet_;
  switch (random().Below(12)) {
    case 0:
      return fleet.Crash(fleet.Any());
    case 1:
      return fleet.Crash(fleet.LeaderOrAny());
    case 2:
      return CutOff(fleet.LeaderOrAny(), true, true);
    case 3:
      return random().Chance(0.5) ? CutOff(fleet.Any(), true, false)
                                  : CutOff(fleet.Any(), false, true);
    case 4: {
      const std::string from = fleet.Any().machine->host(), to = fleet.Any().machine->host();
      if (from != to) fleet.network().Cut(from, to);
      return;
    }
    case 5:
      return fleet.network().Reset(fleet.Any().machine->host(), fleet.Any().machine->host());
    case 6:
      return fleet.named() && random().Chance(0.5) ? fleet.DrawName(fleet.Any())
                                                   : fleet.DrawTimes(fleet.Any());
    case 7: {
      const int64_t most = random().Chance(0.5) ? 400 : 40'000;
      return fleet.network().set_delay(microseconds(20), microseconds(most));
    }
    case 8:
      return Reject(fleet.LeaderOrAny());
    case 9:
      return CutClients(fleet.Any());
    case 10:
      return random().Chance(0.4) ? fleet.Stop(fleet.LeaderOrAny()) : fleet.network().HealAll();
    default:  // all at once
      if (!random().Chance(0.2)) return fleet.network().HealAll();
      for (auto& host : fleet.hosts()) fleet.Crash(*host);
      return;
  }
}

}  // namespace quoin::sim

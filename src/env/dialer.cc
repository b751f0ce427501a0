#include "env/dialer.h"

#include <algorithm>
#include <utility>

namespace quoin::env {
namespace {

constexpr std::string_view kUnix = "unix:";

std::string DialText(const std::string& address) {
  return address.starts_with(kUnix) ? "dial unix " + address.substr(kUnix.size())
                                    : "dial tcp " + address;
}

bool IsDigits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::pair<std::string, std::string> SplitHostPort(std::string_view address) {
  const size_t colon = address.rfind(':');
  const size_t bracket = address.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && bracket > colon))
    return {std::string(address), ""};
  std::string_view host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  return {std::string(host), std::string(address.substr(colon + 1))};
}

std::string JoinHostPort(std::string_view host, std::string_view port) {
  std::string out;
  const bool brackets = host.find(':') != std::string_view::npos;
  if (brackets) out += '[';
  out += host;
  if (brackets) out += ']';
  out += ':';
  out += port;
  return out;
}

bool IsIpAddress(std::string_view host) {
  if (host.find(':') != std::string_view::npos) return true;
  for (int part = 0; part < 4; ++part) {
    const size_t dot = host.find('.');
    if ((dot == std::string_view::npos) != (part == 3)) return false;
    if (!IsDigits(host.substr(0, dot)) || host.substr(0, dot).size() > 3) return false;
    host.remove_prefix(dot == std::string_view::npos ? host.size() : dot + 1);
  }
  return true;
}

Dialer::~Dialer() {
  lifeline_.Cut();
  auto dials = std::exchange(dials_, {});
  for (auto& [id, dial] : dials) {
    loop_.Cancel(dial.deadline);
    loop_.Cancel(dial.next);
  }
}

void Dialer::Connect(const std::string& address, Duration timeout, Done done) {
  const uint64_t id = next_id_++;
  Dial& dial = dials_[id];
  dial.done = std::move(done);
  dial.deadline = loop_.RunAfter(timeout, [this, id] { OnDeadline(id); });
  auto later = [this, id](auto action) {
    loop_.Post(lifeline_.Tie([this, id, action = std::move(action)]() mutable {
      if (dials_.contains(id)) action(this, id);
    }));
  };
  if (!address.starts_with(kUnix)) {
    auto [host, port] = SplitHostPort(address);
    if (port.empty()) {
      return later([address](Dialer* self, uint64_t failed) {
        self->Finish(failed, absl::UnavailableError("dial tcp: address " + address +
                                                    ": missing port in address"));
      });
    }
    if (host.empty()) host = "localhost";
    if (!IsIpAddress(host)) {
      dial.host = std::move(host);
      dial.port = std::move(port);
      return Ask(id, dial);
    }
  }
  Add(id, {address});
}

std::string Dialer::AddressOf(const Dial& dial, size_t place) const {
  return dial.host.empty() ? dial.hosts[place] : JoinHostPort(dial.hosts[place], dial.port);
}

// Null when too many names are being looked up.
Dialer::Name* Dialer::NameOf(const std::string& host) {
  if (auto found = names_.find(host); found != names_.end()) return &found->second;
  if (names_.size() >= kNamesMax) {
    auto idle = std::find_if(names_.begin(), names_.end(),
                             [](const auto& entry) { return !entry.second.asking; });
    if (idle == names_.end()) return nullptr;
    names_.erase(idle);
  }
  return &names_[host];
}

void Dialer::Ask(uint64_t id, Dial& dial) {
  Name* name = NameOf(dial.host);
  if (name == nullptr) {
    dial.error = absl::UnavailableError("dial tcp: lookup " + dial.host + ": too many names");
    loop_.Post(lifeline_.Tie([this, id] { TryNext(id); }));
    return;
  }
  dial.waits = true;
  name->waiting.insert(id);
  if (!name->good.empty()) {
    dial.next = loop_.RunAfter(kPatience, [this, id] {
      Dial& slow = dials_.at(id);
      slow.next = {};
      if (auto found = names_.find(slow.host); found != names_.end())
        Add(id, std::vector<std::string>(found->second.good));
    });
  }
  if (std::exchange(name->asking, true)) return;
  world_.Lookup(dial.host, loop_,
                lifeline_.Tie([this, host = dial.host](StatusOr<std::vector<std::string>> result) {
                  OnFound(host, std::move(result));
                }));
}

void Dialer::OnFound(const std::string& host, StatusOr<std::vector<std::string>> result) {
  Name& name = names_.at(host);  // names that are asked for stay
  name.asking = false;
  const std::set<uint64_t> waiting = std::exchange(name.waiting, {});
  const std::vector<std::string> hosts = result.ok() ? *result : name.good;
  for (uint64_t id : waiting) {
    auto found = dials_.find(id);
    if (found == dials_.end()) continue;
    found->second.waits = false;
    if (hosts.empty() && found->second.error.ok()) {
      found->second.error = absl::UnavailableError(
          "dial tcp: " + (result.ok() ? "lookup " + host + ": no such host"
                                      : std::string(result.status().message())));
    }
    Add(id, hosts);
  }
}

// More addresses for this dial; those that it knows already are passed over.
void Dialer::Add(uint64_t id, const std::vector<std::string>& hosts) {
  Dial& dial = dials_.at(id);
  for (const std::string& host : hosts) {
    if (std::find(dial.hosts.begin(), dial.hosts.end(), host) == dial.hosts.end())
      dial.hosts.push_back(host);
  }
  if (dial.running.empty()) return TryNext(id);
  if (dial.next.value != 0 || dial.tried == dial.hosts.size()) return;
  dial.next = loop_.RunAfter(kStagger, [this, id] {
    dials_.at(id).next = {};
    TryNext(id);
  });
}

void Dialer::TryNext(uint64_t id) {
  auto found = dials_.find(id);
  if (found == dials_.end()) return;
  Dial& dial = found->second;
  loop_.Cancel(std::exchange(dial.next, {}));
  if (dial.tried == dial.hosts.size()) {
    if (dial.running.empty() && !dial.waits) Finish(id, dial.error);
    return;
  }
  const size_t place = dial.tried++;
  // No bare `this`: the attempt belongs to the dial, and its callback goes with it.
  dial.running[place] =
      world_.Dial(AddressOf(dial, place), loop_,
                  [this, id, place](StatusOr<std::unique_ptr<Connection>> result) {
                    OnTried(id, place, std::move(result));
                  });
  if (dial.tried == dial.hosts.size()) return;
  dial.next = loop_.RunAfter(kStagger, [this, id] {
    dials_.at(id).next = {};
    TryNext(id);
  });
}

void Dialer::OnTried(uint64_t id, size_t place, StatusOr<std::unique_ptr<Connection>> result) {
  Dial& dial = dials_.at(id);
  if (!result.ok()) {
    dial.running.erase(place);
    // A refusal says that the process has ended. It counts only when every address says so.
    if (dial.error.ok() || IsConnectionRefused(dial.error)) dial.error = result.status();
    return TryNext(id);
  }
  if (auto name = names_.find(dial.host); name != names_.end()) {
    name->second.good = dial.hosts;
    auto reached = name->second.good.begin() + static_cast<ptrdiff_t>(place);
    std::rotate(name->second.good.begin(), reached, reached + 1);
  }
  Finish(id, std::move(result));
}

void Dialer::OnDeadline(uint64_t id) {
  Dial& dial = dials_.at(id);
  dial.deadline = {};
  std::string what = dial.host.empty() ? "" : "dial tcp: lookup " + dial.host;
  if (!dial.hosts.empty()) {
    const size_t place = dial.running.empty() ? 0 : dial.running.begin()->first;
    what = DialText(AddressOf(dial, place));
  }
  Finish(id, absl::UnavailableError(what + ": i/o timeout"));
}

void Dialer::Finish(uint64_t id, StatusOr<std::unique_ptr<Connection>> result) {
  auto node = dials_.extract(id);
  Dial& dial = node.mapped();
  loop_.Cancel(dial.deadline);
  loop_.Cancel(dial.next);
  dial.running.clear();
  dial.done(std::move(result));
}

}  // namespace quoin::env

#include "sim/history.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"

namespace quoin::sim {
namespace {

std::string Describe(const Call& call) {
  constexpr const char* kNames[] = {"put", "delete", "put-if", "read", "stale read"};
  return std::string(kNames[static_cast<size_t>(call.kind)]) + " " + call.key + " " + call.value +
         " (compare " + std::to_string(call.compare) + ", floor " + std::to_string(call.floor) +
         ") answered at revision " + std::to_string(call.revision);
}

}  // namespace

std::string Abridged(std::string_view value) {
  constexpr size_t kWhole = 64;
  if (value.size() <= kWhole) return std::string(value);
  return std::string(value.substr(0, kWhole / 2)) + "..." + std::to_string(value.size()) + "/" +
         std::to_string(Crc32c(0, value));
}

bool IsCalled(const std::string& key) { return key.starts_with('k') || key == "end"; }

std::vector<std::string> Difference(const Content& before, const Content& after) {
  std::vector<std::string> keys;
  auto old = before.begin();
  auto now = after.begin();
  while (old != before.end() || now != after.end()) {
    if (now == after.end() || (old != before.end() && old->first < now->first)) {
      keys.push_back((old++)->first);
    } else if (old == before.end() || now->first < old->first) {
      keys.push_back((now++)->first);
    } else {
      if (!(old->second == now->second)) keys.push_back(old->first);
      ++old;
      ++now;
    }
  }
  return keys;
}

size_t History::Begin(Call call) {
  call.floor = highest_;
  const size_t number = calls_.size();
  if (!call.value.empty()) CHECK(by_value_.emplace(call.value, number).second);
  calls_.push_back(std::move(call));
  return number;
}

void History::Answer(size_t number, int64_t revision, bool changed, Content seen) {
  Call& call = calls_[number];
  CHECK(call.revision == 0 && revision > 0);
  call.revision = revision;
  call.changed = changed;
  call.seen = std::move(seen);
  highest_ = std::max(highest_, revision);
  ++answered_;
  if (call.kind == Call::Kind::kRead || call.kind == Call::Kind::kStale) ++reads_;
}

std::optional<std::string> History::Learn(int64_t revision, Content content) {
  CHECK(revision > 0 && revision <= known() + 1);
  if (revision == known() + 1) {
    states_.push_back(std::move(content));
    return std::nullopt;
  }
  if (state(revision) == content) return std::nullopt;
  return "two members differ at revision " + std::to_string(revision);
}

std::optional<std::string> History::Verify() const {
  for (const Call& call : calls_) {
    if (call.revision == 0) continue;
    if (std::optional<std::string> wrong = VerifyCall(call)) return *wrong + ": " + Describe(call);
  }
  std::set<size_t> used;
  for (int64_t revision = 2; revision <= known(); ++revision) {
    if (std::optional<std::string> wrong = VerifyChange(revision, used)) return wrong;
  }
  return std::nullopt;
}

std::optional<std::string> History::VerifyCall(const Call& call) const {
  if (call.revision > known()) return "acknowledged and lost";
  const Content& after = state(call.revision);
  if (call.kind == Call::Kind::kStale)
    return call.seen == after ? std::nullopt : std::optional("a stale read of no moment");
  if (call.revision < call.floor + (call.changed ? 1 : 0))
    return "older than what was heard before";
  if (call.kind == Call::Kind::kRead)
    return call.seen == after ? std::nullopt : std::optional("a read of no moment");
  if (call.changed)
    return Explains(call, call.revision) ? std::nullopt
                                         : std::optional("acknowledged and not done");
  const auto found = after.find(call.key);
  if (call.kind == Call::Kind::kDelete)
    return found == after.end() ? std::nullopt : std::optional("found nothing where a key was");
  Content expected;
  if (found != after.end()) expected.insert(*found);
  if (call.seen != expected) return "a transaction read something else";
  const int64_t at = found == after.end() ? 0 : found->second.mod_revision;
  return at != call.compare ? std::nullopt : std::optional("a comparison was true and failed");
}

// Whether the step to `revision` is what the call does.
bool History::Explains(const Call& call, int64_t revision) const {
  Content expected = state(revision - 1);
  const auto found = expected.find(call.key);
  switch (call.kind) {
    case Call::Kind::kRead:
    case Call::Kind::kStale:
      return false;
    case Call::Kind::kDelete:
      if (found == expected.end()) return false;
      expected.erase(found);
      break;
    case Call::Kind::kPutIf:
      if ((found == expected.end() ? 0 : found->second.mod_revision) != call.compare) return false;
      expected[call.key] = {call.value, revision};
      break;
    case Call::Kind::kPut:
      expected[call.key] = {call.value, revision};
      break;
  }
  return expected == state(revision);
}

std::optional<std::string> History::VerifyChange(int64_t revision, std::set<size_t>& used) const {
  const std::string at = " at revision " + std::to_string(revision);
  const std::vector<std::string> changed = Difference(state(revision - 1), state(revision));
  if (changed.empty()) return "nothing changed" + at;
  if (std::none_of(changed.begin(), changed.end(), IsCalled)) return std::nullopt;
  for (const auto& [key, held] : state(revision)) {
    if (held.mod_revision != revision) continue;
    const auto asked = by_value_.find(held.value);
    if (asked == by_value_.end()) return "nobody wrote " + held.value + at;
    const Call& call = calls_[asked->second];
    if (!used.insert(asked->second).second) return "done twice: " + Describe(call) + at;
    if (call.revision != 0 && call.revision != revision)
      return "answered with another revision: " + Describe(call) + at;
    if (!Explains(call, revision)) return "another change than asked for: " + Describe(call) + at;
    return std::nullopt;
  }
  // A deletion: the one that was answered so, or else one whose answer nobody has heard.
  for (const bool answered : {true, false}) {
    for (size_t i = 0; i < calls_.size(); ++i) {
      const Call& call = calls_[i];
      if (call.kind != Call::Kind::kDelete || used.contains(i)) continue;
      if (answered ? call.revision != revision || !call.changed : call.revision != 0) continue;
      if (!Explains(call, revision)) continue;
      used.insert(i);
      return std::nullopt;
    }
  }
  return "nobody asked for the change" + at;
}

}  // namespace quoin::sim

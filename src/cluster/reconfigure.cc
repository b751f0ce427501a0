#include "cluster/reconfigure.h"

#include <algorithm>
#include <string_view>

#include "base/errors.h"

namespace quoin::cluster {
namespace {

struct Count {
  size_t voters = 0;
  size_t started = 0;
  size_t steady = 0;
};

Count CountVoters(const std::vector<Member>& members, const Connections& connected,
                  uint64_t without) {
  Count count;
  for (const Member& member : members) {
    if (member.learner || member.id == without) continue;
    ++count.voters;
    count.started += !member.name.empty();
    count.steady += connected.steadily.contains(member.id);
  }
  return count;
}

size_t Quorum(size_t voters) { return voters / 2 + 1; }

bool ValidHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view port = text.substr(colon + 1);
  return !port.empty() && port.size() <= 5 &&
         std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         text.find_first_of("/?# ") == std::string_view::npos;
}

bool ValidPeerUrl(std::string_view url) {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (url.starts_with(scheme)) return ValidHostPort(url.substr(scheme.size()));
  }
  for (std::string_view scheme : {"unix://", "unixs://"}) {
    if (url.starts_with(scheme)) return url.size() > scheme.size();
  }
  return false;
}

}  // namespace

Status CheckAdd(const std::vector<Member>& members, const Connections& connected, bool learner) {
  const Count count = CountVoters(members, connected, /*without=*/0);
  // One started member may become two, although the two then need each other.
  const bool one_to_two = count.voters == 1 && count.started == 1;
  if (!learner && !one_to_two && count.started < Quorum(count.voters + 1))
    return errors::MemberNotEnoughStarted();
  if (count.voters > 1 && count.steady < Quorum(count.voters + 1))
    return errors::UnhealthyCluster();
  return OkStatus();
}

Status CheckRemove(const std::vector<Member>& members, const Connections& connected, uint64_t self,
                   uint64_t id) {
  auto member = std::find_if(members.begin(), members.end(),
                             [id](const Member& candidate) { return candidate.id == id; });
  if (member == members.end() || member->learner) return OkStatus();
  const Count rest = CountVoters(members, connected, id);
  if (rest.started < Quorum(rest.voters)) return errors::MemberNotEnoughStarted();
  if (id != self && !connected.now.contains(id)) return OkStatus();  // it helps nobody anyway
  const size_t all = rest.voters + 1;
  const size_t steady = CountVoters(members, connected, /*without=*/0).steady;
  if (steady < 1 + Quorum(all - 1)) return errors::UnhealthyCluster();
  return OkStatus();
}

Status CheckPromote(const std::vector<Member>& members) {
  const Count count = CountVoters(members, {}, /*without=*/0);
  if (count.started + 1 < Quorum(count.voters + 1)) return errors::MemberNotEnoughStarted();
  return OkStatus();
}

bool ValidPeerUrls(const std::vector<std::string>& urls) {
  return !urls.empty() && std::all_of(urls.begin(), urls.end(), ValidPeerUrl);
}

}  // namespace quoin::cluster

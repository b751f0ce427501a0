// Changes of the membership as a client asks for them: the checks that need more than the members
// table (who answers, who has caught up), then the proposal.
//
// Thread: the loop of the frontend that is given; `done` runs there, once, whatever becomes of the
// caller: it owns what it touches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/status.h"
#include "server/node.h"

namespace quoin::server {

// When it is OK, frontend.cluster() shows the new membership.
using OnChanged = absl::AnyInvocable<void(Status)>;

// `id`: the new member's, as cluster::MemberId makes it.
void AddMember(Node& node, Frontend& frontend, uint64_t id, std::vector<std::string> peer_urls,
               bool learner, OnChanged done);
void RemoveMember(Node& node, Frontend& frontend, uint64_t id, OnChanged done);
void UpdateMember(Node& node, Frontend& frontend, uint64_t id, std::vector<std::string> peer_urls,
                  OnChanged done);
// Only the leader knows whether the learner has caught up; another member asks it on its peer port.
void PromoteMember(Node& node, Frontend& frontend, uint64_t id, OnChanged done);

// Passes the lead to `target`; OK when it has it. Tries until `until` (on the member's clock).
void MoveLeader(Node& node, Frontend& frontend, uint64_t target, env::Duration until,
                OnChanged done);

}  // namespace quoin::server

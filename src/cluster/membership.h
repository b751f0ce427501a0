// Membership: who is in the cluster, as the replicated state machine holds it: buckets `members`,
// `members_removed` and `cluster` of the tree, and a copy in memory.
//
// There are Member (one row), Membership (the table and its rules), and free functions for ids.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/strong_int.h"
#include "btree/tree.h"
#include "raft_types/types.h"

namespace quoin::cluster {

// Value type. `name` and `client_urls` are empty until the member has published them ("unstarted").
struct Member {
  uint64_t id = 0;
  std::vector<std::string> peer_urls;  // sorted
  bool learner = false;
  std::string name;
  std::vector<std::string> client_urls;
  friend bool operator==(const Member&, const Member&) = default;
};

// The JSON forms that etcd stores and logs (docs/formats/db.md).
std::string MemberJson(const Member& member);  // bucket `members`, ConfChange.context
std::string PromoteJson(uint64_t id);          // ConfChange.context that makes a learner a voter
// … that adds a learner, with the limit that its proposer's flags set: other members may have other
// flags, and must judge alike. etcd's members pass over the limit.
std::string AddLearnerJson(const Member& member, size_t learners_max);
StatusOr<Member> ParseMemberJson(std::string_view json);

// What ConfChange.context says. Value type.
struct ChangeContext {
  Member member;
  bool promote = false;
  std::optional<size_t> learners_max;  // absent when one of etcd's members proposed it
};
StatusOr<ChangeContext> ParseChangeContext(std::string_view json);
// Not OK: the change needs a context, and this one cannot be read. Nobody can tell what it means.
Status CheckChangeContext(const raft::ConfChange& change);

// The answer to GET /members of the peer port.
StatusOr<std::vector<Member>> ParseMemberListJson(std::string_view json);

// etcd's ids: the first 8 bytes, big-endian, of SHA-1 over the sorted peer URLs and the cluster
// token.
uint64_t MemberId(std::vector<std::string> peer_urls, std::string_view token);
// … over the member ids, ascending, 8 bytes each.
uint64_t ClusterId(std::vector<uint64_t> member_ids);
// Lower-case hexadecimal without padding, as ids stand in URLs and bucket keys.
std::string HexId(uint64_t id);
std::optional<uint64_t> ParseHexId(std::string_view text);

struct Downgrade {
  bool enabled = false;
  std::string target_version;
};

// Thread: the apply loop owns it; others get copies of the rows.
class Membership {
 public:
  // Reads the three buckets. DataLoss when a row is malformed.
  static StatusOr<Membership> Load(const btree::Snapshot& snapshot);

  const std::map<uint64_t, Member>& members() const { return members_; }
  bool removed(uint64_t id) const { return removed_.contains(id); }
  const std::set<uint64_t>& removed_ids() const { return removed_; }
  const std::string& cluster_version() const {
    return cluster_version_;
  }  // "3.7.0", or empty while undecided
  const Downgrade& downgrade() const { return downgrade_; }
  // Voters and learners by the table: what raft starts from.
  raft::ConfState ConfigurationState() const;

  // Whether a configuration change may take effect: etcd's checks in etcd's order, with its error
  // texts. `own_learners_max` decides where the change brings no limit. CheckChangeContext first.
  Status Validate(const raft::ConfChange& change, size_t own_learners_max) const;
  // Carries out a change that Validate accepted. Writes the buckets.
  Status Apply(const raft::ConfChange& change, btree::Writer& writer);

  Status SetAttributes(uint64_t id, std::string name, std::vector<std::string> client_urls,
                       btree::Writer& writer);
  Status SetClusterVersion(std::string version, btree::Writer& writer);
  Status SetDowngrade(Downgrade downgrade, btree::Writer& writer);

  // The membership as the JSON of etcd's legacy v2 store: `data` of .snap files and MsgSnap.
  std::string LegacyStoreJson() const;

 private:
  Status Save(const Member& member, btree::Writer& writer);

  std::map<uint64_t, Member> members_;
  std::set<uint64_t> removed_;
  std::string cluster_version_;
  Downgrade downgrade_;
};

}  // namespace quoin::cluster

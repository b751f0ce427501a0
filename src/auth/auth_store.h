// AuthStore: users, roles and whether auth is on, as the log orders them: buckets `auth`,
// `authUsers`, `authRoles`.
//
// This is the replicated part. Who may do what (tokens, permission checks) is decided above it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/strong_int.h"
#include "btree/tree.h"
#include "proto/auth.pb.h"

namespace quoin::auth {

// Names of users and roles are keys of the tree.
inline constexpr size_t kNameBytesMax = 32768;
// Before a request that makes the name is proposed: RequestTooLarge when no row can have it.
Status CheckName(std::string_view name);

// Thread: the apply loop.
class AuthStore {
 public:
  static StatusOr<AuthStore> Load(const btree::Snapshot& snapshot);

  bool enabled() const { return enabled_; }
  uint64_t revision() const {
    return revision_;
  }  // grows with every successful change; 1 on a new store
  const std::map<std::string, authpb::User>& users() const { return users_; }
  const std::map<std::string, authpb::Role>& roles() const { return roles_; }

  // Whether kAuthEnable would take effect now: etcd's errors when nobody would be root,
  // AlreadyExists while auth is on.
  Status MayEnable() const;

  // Applies one operation of the auth family (`operation` = its field number in
  // InternalRaftRequest). Returns the response's parts after the header, or etcd's error. `index`
  // is the log index (part of simple tokens). Unimplemented: what it means is not known here, and
  // nothing has been done.
  StatusOr<std::string> Apply(uint32_t operation, std::string_view payload, Index index,
                              btree::Writer& writer);

  // A new store's first rows. Called once when bucket `auth` is empty.
  Status Initialize(btree::Writer& writer);

 private:
  Status Dispatch(uint32_t operation, std::string_view payload, Index index, std::string& body);
  Status Enable();
  Status UserAdd(std::string_view payload);
  Status UserDelete(std::string_view payload);
  Status UserGet(std::string_view payload, std::string& body);
  Status UserChangePassword(std::string_view payload);
  Status UserGrantRole(std::string_view payload);
  Status UserRevokeRole(std::string_view payload);
  Status RoleAdd(std::string_view payload);
  Status RoleDelete(std::string_view payload);
  Status RoleGet(std::string_view payload, std::string& body);
  Status RoleGrantPermission(std::string_view payload);
  Status RoleRevokePermission(std::string_view payload);
  Status Authenticate(std::string_view payload, Index index, std::string& body);

  Status SaveEnabled();
  Status SaveUser(const authpb::User& user);
  Status SaveRole(const authpb::Role& role);
  Status BumpRevision();

  bool enabled_ = false;
  uint64_t revision_ = 0;  // 0: nothing stored yet
  std::map<std::string, authpb::User> users_;
  std::map<std::string, authpb::Role> roles_;
  btree::Writer* writer_ = nullptr;  // during Apply
};

}  // namespace quoin::auth

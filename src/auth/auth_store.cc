#include "auth/auth_store.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "auth/go_sort.h"
#include "base/check.h"
#include "base/errors.h"
#include "proto/raft_internal.pb.h"

namespace quoin::auth {
namespace {

constexpr std::string_view kAuth = "auth";
constexpr std::string_view kUsers = "authUsers";
constexpr std::string_view kRoles = "authRoles";
constexpr std::string_view kEnabled = "authEnabled";
constexpr std::string_view kRevision = "authRevision";
constexpr std::string_view kRoot = "root";

template <typename Message>
Message Parse(std::string_view payload) {
  Message message;
  if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    DieOnDiskError("malformed auth request in the log");
  }
  return message;
}

template <typename Row>
Status LoadRows(const btree::Snapshot& snapshot, std::string_view bucket,
                std::map<std::string, Row>& rows) {
  btree::Cursor cursor = snapshot.NewCursor(bucket, btree::OnMiss::kLoad);
  RETURN_IF_ERROR(cursor.SeekFirst());
  while (cursor.Valid()) {
    Row row;
    if (!row.ParseFromArray(cursor.value().data(), static_cast<int>(cursor.value().size()))) {
      return absl::DataLossError("bucket " + std::string(bucket) + ": a row is malformed");
    }
    rows[std::string(cursor.key())] = std::move(row);
    RETURN_IF_ERROR(cursor.Next());
  }
  return OkStatus();
}

bool SameRange(const authpb::Permission& a, std::string_view key, std::string_view range_end) {
  return a.key() == key && a.range_end() == range_end;
}

// Before 3.5 the log brought the password itself, and each member hashed it with a salt of its own.
template <typename Request>
Status CheckHashed(const Request& request) {
  if (request.password().empty() || !request.hashedpassword().empty()) return OkStatus();
  return absl::UnimplementedError("it brings a password that is not hashed");
}

using Permissions = google::protobuf::RepeatedPtrField<authpb::Permission>;

void SortPermissions(Permissions& permissions) {
  GoSort(
      permissions.size(), [&](int a, int b) { return permissions[a].key() < permissions[b].key(); },
      [&](int a, int b) { permissions.SwapElements(a, b); });
}

// A row of such a name cannot be written; etcd's members end on it as well.
Status CheckLogged(std::string_view name) {
  return CheckName(name).ok()
             ? OkStatus()
             : absl::UnimplementedError("it makes a name longer than a key can be");
}

}  // namespace

Status CheckName(std::string_view name) {
  return name.size() <= kNameBytesMax ? OkStatus() : errors::RequestTooLarge();
}

StatusOr<AuthStore> AuthStore::Load(const btree::Snapshot& snapshot) {
  AuthStore out;
  ASSIGN_OR_RETURN(auto enabled, snapshot.Get(kAuth, kEnabled, btree::OnMiss::kLoad));
  out.enabled_ = enabled && *enabled == std::string_view("\1", 1);
  ASSIGN_OR_RETURN(auto revision, snapshot.Get(kAuth, kRevision, btree::OnMiss::kLoad));
  if (revision) {
    if (revision->size() != 8)
      return absl::DataLossError("bucket auth: authRevision is not 8 bytes long");
    for (unsigned char byte : *revision) out.revision_ = out.revision_ << 8 | byte;
  }
  RETURN_IF_ERROR(LoadRows(snapshot, kUsers, out.users_));
  RETURN_IF_ERROR(LoadRows(snapshot, kRoles, out.roles_));
  return out;
}

Status AuthStore::Initialize(btree::Writer& writer) {
  if (revision_ != 0) return OkStatus();
  writer_ = &writer;
  return BumpRevision();
}

StatusOr<std::string> AuthStore::Apply(uint32_t operation, std::string_view payload, Index index,
                                       btree::Writer& writer) {
  writer_ = &writer;
  std::string body;
  RETURN_IF_ERROR(Dispatch(operation, payload, index, body));
  return body;
}

Status AuthStore::Dispatch(uint32_t operation, std::string_view payload, Index index,
                           std::string& body) {
  using etcdserverpb::InternalRaftRequest;
  switch (operation) {
    case InternalRaftRequest::kAuthEnableFieldNumber:
      return Enable();
    case InternalRaftRequest::kAuthDisableFieldNumber:
      if (!enabled_) return OkStatus();
      enabled_ = false;
      RETURN_IF_ERROR(SaveEnabled());
      return BumpRevision();
    case InternalRaftRequest::kAuthStatusFieldNumber: {
      etcdserverpb::AuthStatusResponse response;
      response.set_enabled(enabled_);
      response.set_authrevision(revision_);
      body = response.SerializeAsString();
      return OkStatus();
    }
    case InternalRaftRequest::kAuthenticateFieldNumber:
      return Authenticate(payload, index, body);
    case InternalRaftRequest::kAuthUserAddFieldNumber:
      return UserAdd(payload);
    case InternalRaftRequest::kAuthUserDeleteFieldNumber:
      return UserDelete(payload);
    case InternalRaftRequest::kAuthUserGetFieldNumber:
      return UserGet(payload, body);
    case InternalRaftRequest::kAuthUserChangePasswordFieldNumber:
      return UserChangePassword(payload);
    case InternalRaftRequest::kAuthUserGrantRoleFieldNumber:
      return UserGrantRole(payload);
    case InternalRaftRequest::kAuthUserRevokeRoleFieldNumber:
      return UserRevokeRole(payload);
    case InternalRaftRequest::kAuthUserListFieldNumber: {
      etcdserverpb::AuthUserListResponse response;
      for (const auto& [name, user] : users_) response.add_users(name);
      body = response.SerializeAsString();
      return OkStatus();
    }
    case InternalRaftRequest::kAuthRoleListFieldNumber: {
      etcdserverpb::AuthRoleListResponse response;
      for (const auto& [name, role] : roles_) response.add_roles(name);
      body = response.SerializeAsString();
      return OkStatus();
    }
    case InternalRaftRequest::kAuthRoleAddFieldNumber:
      return RoleAdd(payload);
    case InternalRaftRequest::kAuthRoleDeleteFieldNumber:
      return RoleDelete(payload);
    case InternalRaftRequest::kAuthRoleGetFieldNumber:
      return RoleGet(payload, body);
    case InternalRaftRequest::kAuthRoleGrantPermissionFieldNumber:
      return RoleGrantPermission(payload);
    case InternalRaftRequest::kAuthRoleRevokePermissionFieldNumber:
      return RoleRevokePermission(payload);
  }
  DieOnDiskError("unknown auth operation in the log");
}

Status AuthStore::MayEnable() const {
  auto root = users_.find(std::string(kRoot));
  if (root == users_.end()) return errors::RootUserNotExist();
  const auto& roles = root->second.roles();
  if (std::find(roles.begin(), roles.end(), kRoot) == roles.end()) {
    return errors::RootRoleNotGranted();
  }
  return enabled_ ? absl::AlreadyExistsError("auth is on") : OkStatus();
}

Status AuthStore::Enable() {
  if (enabled_) return OkStatus();
  RETURN_IF_ERROR(MayEnable());
  enabled_ = true;
  return SaveEnabled();
}

Status AuthStore::Authenticate(std::string_view payload, Index index, std::string& body) {
  if (!enabled_) return errors::AuthNotEnabled();
  auto request = Parse<etcdserverpb::InternalAuthenticateRequest>(payload);
  etcdserverpb::AuthenticateResponse response;
  response.set_token(request.simple_token() + "." + std::to_string(index.value()));
  body = response.SerializeAsString();
  return OkStatus();
}

Status AuthStore::UserAdd(std::string_view payload) {
  auto request = Parse<etcdserverpb::AuthUserAddRequest>(payload);
  if (request.name().empty()) return errors::UserEmpty();
  RETURN_IF_ERROR(CheckLogged(request.name()));
  if (users_.contains(request.name())) {
    return errors::UserAlreadyExists();
  }
  authpb::User user;
  user.set_name(request.name());
  *user.mutable_options() = request.options();
  if (!request.options().no_password()) {
    RETURN_IF_ERROR(CheckHashed(request));
    std::string hash;
    if (!absl::Base64Unescape(request.hashedpassword(), &hash)) return errors::NoPasswordUser();
    user.set_password(hash);
  }
  users_[request.name()] = user;
  RETURN_IF_ERROR(SaveUser(user));
  return BumpRevision();
}

Status AuthStore::UserDelete(std::string_view payload) {
  auto request = Parse<etcdserverpb::AuthUserDeleteRequest>(payload);
  if (enabled_ && request.name() == kRoot) return errors::InvalidAuthManagement();
  if (users_.erase(request.name()) == 0) return errors::UserNotFound();
  RETURN_IF_ERROR(writer_->Delete(kUsers, request.name()));
  return BumpRevision();
}

Status AuthStore::UserGet(std::string_view payload, std::string& body) {
  auto request = Parse<etcdserverpb::AuthUserGetRequest>(payload);
  auto user = users_.find(request.name());
  if (user == users_.end()) return errors::UserNotFound();
  etcdserverpb::AuthUserGetResponse response;
  *response.mutable_roles() = user->second.roles();
  body = response.SerializeAsString();
  return OkStatus();
}

Status AuthStore::UserChangePassword(std::string_view payload) {
  auto request = Parse<etcdserverpb::AuthUserChangePasswordRequest>(payload);
  auto user = users_.find(request.name());
  if (user == users_.end()) return errors::UserNotFound();
  if (!user->second.options().no_password()) {
    RETURN_IF_ERROR(CheckHashed(request));
    std::string hash;
    if (!absl::Base64Unescape(request.hashedpassword(), &hash)) return errors::NoPasswordUser();
    user->second.set_password(hash);
  }
  RETURN_IF_ERROR(SaveUser(user->second));
  return BumpRevision();
}

Status AuthStore::UserGrantRole(std::string_view payload) {
  auto request = Parse<etcdserverpb::AuthUserGrantRoleRequest>(payload);
  auto user = users_.find(request.user());
  if (user == users_.end()) return errors::UserNotFound();
  if (request.role() != kRoot && !roles_.contains(request.role())) return errors::RoleNotFound();
  auto& roles = *user->second.mutable_roles();
  if (std::find(roles.begin(), roles.end(), request.role()) != roles.end()) return OkStatus();
  *roles.Add() = request.role();
  std::sort(roles.begin(), roles.end());
  RETURN_IF_ERROR(SaveUser(user->second));
  return BumpRevision();
}

Status AuthStore::UserRevokeRole(std::string_view payload) {
  auto request = Parse<etcdserverpb::AuthUserRevokeRoleRequest>(payload);
  if (enabled_ && request.name() == kRoot && request.role() == kRoot)
    return errors::InvalidAuthManagement();
  auto user = users_.find(request.name());
  if (user == users_.end()) return errors::UserNotFound();
  auto& roles = *user->second.mutable_roles();
  auto role = std::find(roles.begin(), roles.end(), request.role());
  if (role == roles.end()) {
    return errors::RoleNotGranted();
  }
  roles.erase(role);
  RETURN_IF_ERROR(SaveUser(user->second));
  return BumpRevision();
}

Status AuthStore::RoleAdd(std::string_view payload) {
  auto request = Parse<etcdserverpb::AuthRoleAddRequest>(payload);
  if (request.name().empty()) return errors::RoleEmpty();
  RETURN_IF_ERROR(CheckLogged(request.name()));
  if (roles_.contains(request.name())) {
    return errors::RoleAlreadyExists();
  }
  authpb::Role role;
  role.set_name(request.name());
  roles_[request.name()] = role;
  RETURN_IF_ERROR(SaveRole(role));
  return BumpRevision();
}

Status AuthStore::RoleDelete(std::string_view payload) {
  auto request = Parse<etcdserverpb::AuthRoleDeleteRequest>(payload);
  if (enabled_ && request.role() == kRoot) return errors::InvalidAuthManagement();
  if (roles_.erase(request.role()) == 0) return errors::RoleNotFound();
  RETURN_IF_ERROR(writer_->Delete(kRoles, request.role()));
  for (auto& [name, user] : users_) {
    auto& roles = *user.mutable_roles();
    auto role = std::find(roles.begin(), roles.end(), request.role());
    if (role == roles.end()) continue;
    roles.erase(role);
    RETURN_IF_ERROR(SaveUser(user));
  }
  return BumpRevision();
}

Status AuthStore::RoleGet(std::string_view payload, std::string& body) {
  auto request = Parse<etcdserverpb::AuthRoleGetRequest>(payload);
  auto role = roles_.find(request.role());
  if (role == roles_.end()) return errors::RoleNotFound();
  etcdserverpb::AuthRoleGetResponse response;
  if (request.role() == kRoot) {
    authpb::Permission* all = response.add_perm();
    all->set_permtype(authpb::Permission::READWRITE);
    all->set_range_end(std::string(1, '\0'));
  } else {
    *response.mutable_perm() = role->second.keypermission();
  }
  body = response.SerializeAsString();
  return OkStatus();
}

Status AuthStore::RoleGrantPermission(std::string_view payload) {
  auto request = Parse<etcdserverpb::AuthRoleGrantPermissionRequest>(payload);
  if (!request.has_perm()) return errors::PermissionNotGiven();
  const authpb::Permission& wanted = request.perm();
  const bool open_ended = wanted.range_end() == std::string_view("\0", 1);
  if (wanted.key().empty() ||
      (!wanted.range_end().empty() && !open_ended && wanted.range_end() <= wanted.key())) {
    return errors::InvalidAuthManagement();
  }
  auto role = roles_.find(request.name());
  if (role == roles_.end()) return errors::RoleNotFound();
  auto& permissions = *role->second.mutable_keypermission();
  // etcd looks at the first entry with that key only; with several range ends a duplicate can be
  // appended.
  auto first = std::lower_bound(
      permissions.begin(), permissions.end(), wanted.key(),
      [](const authpb::Permission& p, const std::string& key) { return p.key() < key; });
  if (first != permissions.end() && SameRange(*first, wanted.key(), wanted.range_end())) {
    first->set_permtype(wanted.permtype());
  } else {
    *permissions.Add() = wanted;
    SortPermissions(permissions);
  }
  RETURN_IF_ERROR(SaveRole(role->second));
  return BumpRevision();
}

Status AuthStore::RoleRevokePermission(std::string_view payload) {
  auto request = Parse<etcdserverpb::AuthRoleRevokePermissionRequest>(payload);
  auto role = roles_.find(request.role());
  if (role == roles_.end()) return errors::RoleNotFound();
  auto& permissions = *role->second.mutable_keypermission();
  // All of them: a grant can have appended an equal one (see above).
  auto kept =
      std::remove_if(permissions.begin(), permissions.end(), [&](const authpb::Permission& p) {
        return SameRange(p, request.key(), request.range_end());
      });
  if (kept == permissions.end()) return errors::PermissionNotGranted();
  permissions.erase(kept, permissions.end());
  RETURN_IF_ERROR(SaveRole(role->second));
  return BumpRevision();
}

Status AuthStore::SaveEnabled() {
  return writer_->Put(kAuth, kEnabled, std::string(1, enabled_ ? '\1' : '\0'));
}

Status AuthStore::SaveUser(const authpb::User& user) {
  return writer_->Put(kUsers, user.name(), user.SerializeAsString());
}

Status AuthStore::SaveRole(const authpb::Role& role) {
  return writer_->Put(kRoles, role.name(), role.SerializeAsString());
}

Status AuthStore::BumpRevision() {
  ++revision_;
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<char>(revision_ >> shift));
  return writer_->Put(kAuth, kRevision, bytes);
}

}  // namespace quoin::auth

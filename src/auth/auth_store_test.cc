// The rows of roles against those of etcd 3.5.30: testdata/permission_order.txt holds grants and
// revocations, and the permissions that etcd answered in the order of its row.

#include "auth/auth_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "auth/go_sort.h"
#include "base/errors.h"
#include "env/posix/posix_env.h"
#include "proto/raft_internal.pb.h"

namespace quoin::auth {
namespace {

using etcdserverpb::InternalRaftRequest;

// An empty store on a file of its own.
class AuthStoreTest : public testing::Test {
 protected:
  AuthStoreTest() : fs_(env::NewPosixFileSystem()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "quoin-auth-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
    tree_ = *btree::Tree::Open(fs_->blocking(), dir_ + "/db", {});
    for (const char* bucket : {"auth", "authUsers", "authRoles"})
      EXPECT_TRUE(tree_->writer().CreateBucket(bucket).ok());
    EXPECT_TRUE(store_.Initialize(tree_->writer()).ok());
  }
  ~AuthStoreTest() override {
    tree_.reset();
    std::filesystem::remove_all(dir_);
  }

  Status Apply(uint32_t operation, const google::protobuf::MessageLite& request) {
    return store_.Apply(operation, request.SerializeAsString(), Index(1), tree_->writer()).status();
  }
  Status AddRole(const std::string& name) {
    etcdserverpb::AuthRoleAddRequest request;
    request.set_name(name);
    return Apply(InternalRaftRequest::kAuthRoleAddFieldNumber, request);
  }
  Status Grant(const std::string& role, const std::string& key, const std::string& end, int type) {
    etcdserverpb::AuthRoleGrantPermissionRequest request;
    request.set_name(role);
    request.mutable_perm()->set_key(key);
    request.mutable_perm()->set_range_end(end);
    request.mutable_perm()->set_permtype(static_cast<authpb::Permission::Type>(type));
    return Apply(InternalRaftRequest::kAuthRoleGrantPermissionFieldNumber, request);
  }
  Status Revoke(const std::string& role, const std::string& key, const std::string& end) {
    etcdserverpb::AuthRoleRevokePermissionRequest request;
    request.set_role(role);
    request.set_key(key);
    request.set_range_end(end);
    return Apply(InternalRaftRequest::kAuthRoleRevokePermissionFieldNumber, request);
  }
  std::string Row(const std::string& role) const {
    std::string out;
    for (const authpb::Permission& p : store_.roles().at(role).keypermission()) {
      if (!out.empty()) out += ' ';
      out += p.key() + "," + p.range_end() + "," + std::to_string(p.permtype());
    }
    return out;
  }

  std::unique_ptr<env::FileSystem> fs_;
  std::string dir_;
  std::unique_ptr<btree::Tree> tree_;
  AuthStore store_;
};

TEST_F(AuthStoreTest, PermissionsStandInTheOrderOfEtcdsRows) {
  std::ifstream file(QUOIN_SOURCE_DIR "/src/auth/testdata/permission_order.txt");
  ASSERT_TRUE(file);
  std::string role;
  int roles = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string what, key, end;
    int type = 0;
    words >> what;
    if (what == "role") {
      role = "r" + std::to_string(roles++);
      ASSERT_TRUE(AddRole(role).ok());
    } else if (what == "grant") {
      words >> key >> end >> type;
      ASSERT_TRUE(Grant(role, key, end, type).ok());
    } else if (what == "revoke") {
      words >> key >> end;
      (void)Revoke(role, key, end);  // of some that have been revoked before
    } else {
      EXPECT_EQ(Row(role), line.substr(4)) << role;
    }
  }
  EXPECT_EQ(roles, 48);
}

TEST_F(AuthStoreTest, ARevocationTakesAllEqualPermissions) {
  ASSERT_TRUE(AddRole("r").ok());
  ASSERT_TRUE(Grant("r", "k", "l", 0).ok());
  ASSERT_TRUE(Grant("r", "k", "m", 1).ok());
  ASSERT_TRUE(Grant("r", "k", "m", 2).ok());  // only the first of a key is compared
  EXPECT_EQ(Row("r"), "k,l,0 k,m,1 k,m,2");
  EXPECT_TRUE(Revoke("r", "k", "m").ok());
  EXPECT_EQ(Row("r"), "k,l,0");
  EXPECT_EQ(Revoke("r", "k", "m"), errors::PermissionNotGranted());
}

TEST_F(AuthStoreTest, ANameThatNoRowCanHaveIsRefusedAndUnknownInTheLog) {
  const std::string longest(kNameBytesMax, 'n');
  EXPECT_TRUE(CheckName(longest).ok());
  EXPECT_TRUE(AddRole(longest).ok());
  EXPECT_EQ(CheckName(longest + "n"), errors::RequestTooLarge());
  EXPECT_TRUE(absl::IsUnimplemented(AddRole(longest + "n")));
  etcdserverpb::AuthUserAddRequest user;
  user.set_name(longest + "n");
  user.mutable_options()->set_no_password(true);
  EXPECT_TRUE(absl::IsUnimplemented(Apply(InternalRaftRequest::kAuthUserAddFieldNumber, user)));
}

TEST(GoSort, SortsWhateverThePattern) {
  // The rows above are nearly sorted; heapsort and broken patterns need worse.
  for (int n = 0; n < 400; ++n) {
    for (int pattern = 0; pattern < 6; ++pattern) {
      std::vector<int> values(static_cast<size_t>(n));
      for (int i = 0; i < n; ++i) {
        const int all[] = {i, n - i, 7, i % 5, (i * 7919) % 101, i % 2 == 0 ? i : n - i};
        values[static_cast<size_t>(i)] = all[pattern];
      }
      std::vector<int> wanted = values;
      std::sort(wanted.begin(), wanted.end());
      auto at = [&](int i) -> int& { return values[static_cast<size_t>(i)]; };
      GoSort(
          n, [&](int a, int b) { return at(a) < at(b); },
          [&](int a, int b) { std::swap(at(a), at(b)); });
      ASSERT_EQ(values, wanted) << n << " elements of pattern " << pattern;
    }
  }
}

}  // namespace
}  // namespace quoin::auth

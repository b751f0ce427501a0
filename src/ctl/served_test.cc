// Commands against a server in this process that answers by script: what a real etcd 3.5 does not
// show.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <deque>
#include <future>
#include <sstream>

#include "base/errors.h"
#include "ctl/command.h"
#include "env/blocking.h"
#include "env/posix/posix_env.h"
#include "rpc/server.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;
using testing::ElementsAre;
using testing::HasSubstr;

// What the server does with the next call of a method: messages, then a status.
struct Reply {
  std::vector<std::string> messages;
  Status status;
};

// Thread: the server's loop.
class Script : public rpc::GrpcDispatcher {
 public:
  Script() {
    method_.kind = rpc::CallKind::kServerStream;
    method_.start = [this](rpc::ServerCall& call) {
      return std::make_unique<Handler>(*this, call);
    };
  }
  rpc::Method* Find(std::string_view) override { return &method_; }
  bool HasService(std::string_view) const override { return true; }

  void Expect(const std::string& method, Reply reply) {
    replies_[method].push_back(std::move(reply));
  }
  // "Put" requests etc. in the order of arrival, with their bytes.
  using Calls = std::vector<std::pair<std::string, std::string>>;
  const Calls& seen() const { return seen_; }

 private:
  class Handler : public rpc::CallHandler {
   public:
    Handler(Script& script, rpc::ServerCall& call) : script_(script), call_(call) {}
    void OnMessage(std::string_view message) override { request_ = message; }
    void OnHalfClose() override {
      const std::string name(call_.method().substr(call_.method().rfind('/') + 1));
      script_.seen_.emplace_back(name, request_);
      auto& replies = script_.replies_[name];
      if (replies.empty()) return call_.Finish(absl::UnimplementedError("no script for " + name));
      const Reply reply = replies.front();
      replies.pop_front();
      for (const std::string& message : reply.messages) call_.Send(message);
      call_.Finish(reply.status);
    }
    void OnCancel(const Status&) override {}

   private:
    Script& script_;
    rpc::ServerCall& call_;
    std::string request_;
  };

  rpc::Method method_;
  std::map<std::string, std::deque<Reply>> replies_;
  Calls seen_;
};

struct Result {
  int code = 0;
  std::string out;
  std::string err;
};

class ServedTest : public testing::Test {
 protected:
  ServedTest() {
    server_ = rpc::Server::New(*env_, {server_loop_.get()}, rpc::ServerOptions(), &script_, nullptr,
                               log_);
    EXPECT_TRUE(server_->Listen("127.0.0.1:0", env::ListenOptions()).ok());
  }
  ~ServedTest() override {
    std::promise<void> drained;
    server_loop_->Post([&] { server_->Drain(env::Duration(0), [&] { drained.set_value(); }); });
    drained.get_future().wait();
    server_.reset();
  }

  void Expect(const std::string& method, const Reply& reply) {
    OnServer([&] { script_.Expect(method, reply); });
  }
  template <typename Message>
  void Answer(const std::string& method, const Message& message) {
    Expect(method, {{message.SerializeAsString()}, OkStatus()});
  }
  Script::Calls Seen() {
    Script::Calls calls;
    OnServer([&] { calls = script_.seen(); });
    return calls;
  }

  Result Run(std::vector<std::string> arguments, std::string input = "") {
    std::istringstream in(std::move(input));
    std::ostringstream out;
    std::ostringstream err;
    Console console{in, out, err, false,
                    [](std::string_view) -> StatusOr<std::string> { return "asked"; }};
    World world{*env_, *client_loop_, console, {{"ETCDCTL_ENDPOINTS", server_->addresses().at(0)}}};
    const ExitCode code = RunProgram(world, arguments);
    return {static_cast<int>(code), out.str(), err.str()};
  }

  void OnServer(absl::FunctionRef<void()> task) {
    std::promise<void> promise;
    std::future<void> ran = promise.get_future();
    server_loop_->Post([task, promise = std::move(promise)]() mutable {
      task();
      promise.set_value();
    });
    ran.wait();
  }

  const std::unique_ptr<env::Env> env_ = env::NewPosixEnv();
  const std::unique_ptr<env::Executor> server_loop_ = env_->NewExecutor("server");
  const std::unique_ptr<env::Executor> client_loop_ = env_->NewExecutor("client");
  NullLogger log_;
  Script script_;
  std::unique_ptr<rpc::Server> server_;
};

mvccpb::KeyValue Pair(std::string key, std::string value) {
  mvccpb::KeyValue kv;
  kv.set_key(std::move(key));
  kv.set_value(std::move(value));
  return kv;
}

TEST_F(ServedTest, PutsAStreamedRangeTogether) {
  Reply reply;
  for (int part = 0; part < 3; ++part) {
    pb::RangeStreamResponse message;
    *message.mutable_range_response()->add_kvs() = Pair("k" + std::to_string(part), "v");
    if (part == 2) {
      message.mutable_range_response()->mutable_header()->set_revision(9);
      message.mutable_range_response()->set_count(7);
      message.mutable_range_response()->set_more(true);
    }
    reply.messages.push_back(message.SerializeAsString());
  }
  Expect("RangeStream", reply);
  const Result result = Run({"get", "--prefix", "k", "--stream", "-w", "json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, R"({"header":{"revision":9},"kvs":[{"key":"azA=","value":"dg=="},)"
                        R"({"key":"azE=","value":"dg=="},)"
                        R"({"key":"azI=","value":"dg=="}],"more":true,"count":7})"
                        "\n");
}

TEST_F(ServedTest, AStreamThatBreaksIsAnError) {
  pb::RangeStreamResponse part;
  *part.mutable_range_response()->add_kvs() = Pair("k", "v");
  Expect("RangeStream", {{part.SerializeAsString()}, errors::Compacted()});
  const Result result = Run({"get", "--prefix", "k", "--stream"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err,
              HasSubstr("\nError: etcdserver: mvcc: required revision has been compacted\n"));
}

TEST_F(ServedTest, ChecksCountOnlyAfterTheRequest) {
  Answer("Range", pb::RangeResponse());
  const Result result = Run({"get", "k", "--count-only"});
  EXPECT_EQ(result.code, 128);
  EXPECT_EQ(result.err, "Error: --count-only is only for `--write-out=fields`\n");
  EXPECT_EQ(Seen().size(), 1u);
}

TEST_F(ServedTest, DisarmsEveryAlarm) {
  pb::AlarmResponse active;
  for (uint64_t member : {5, 6}) {
    pb::AlarmMember& alarm = *active.add_alarms();
    alarm.set_memberid(member);
    alarm.set_alarm(member == 5 ? pb::NOSPACE : pb::CORRUPT);
  }
  Answer("Alarm", active);
  for (const pb::AlarmMember& alarm : active.alarms()) {
    pb::AlarmResponse one;
    *one.add_alarms() = alarm;
    Answer("Alarm", one);
  }
  const Result result = Run({"alarm", "disarm"});
  EXPECT_EQ(result.out, "memberID:5 alarm:NOSPACE\nmemberID:6 alarm:CORRUPT\n") << result.err;
  ASSERT_EQ(Seen().size(), 3u);
  pb::AlarmRequest request;
  ASSERT_TRUE(request.ParseFromString(Seen()[2].second));
  EXPECT_EQ(request.ShortDebugString(), "action: DEACTIVATE memberID: 6 alarm: CORRUPT");
}

TEST_F(ServedTest, Downgrades) {
  pb::DowngradeResponse response;
  response.set_version("3.7");
  for (int i = 0; i < 4; ++i) Answer("Downgrade", response);
  EXPECT_EQ(Run({"downgrade", "validate", "3.6"}).out,
            "Downgrade validate success, cluster version 3.7\n");
  EXPECT_EQ(Run({"downgrade", "enable", "3.6.1"}).out,
            "Downgrade enable success, cluster version 3.7\n");
  EXPECT_EQ(Run({"downgrade", "cancel"}).out, "Downgrade cancel success, cluster version 3.7\n");
  EXPECT_EQ(Run({"downgrade", "cancel", "-w", "json"}).out, "{\"version\":\"3.7\"}\n");
  const std::vector<std::string> wanted = {R"(version: "3.6")",
                                           R"(action: ENABLE version: "3.6.1")", "action: CANCEL"};
  for (size_t i = 0; i < wanted.size(); ++i) {
    pb::DowngradeRequest request;
    ASSERT_TRUE(request.ParseFromString(Seen().at(i).second));
    EXPECT_EQ(request.ShortDebugString(), wanted[i]);
  }
}

TEST_F(ServedTest, ADowngradeNamesOneVersion) {
  const std::pair<std::vector<std::string>, const char*> lines[] = {
      {{"downgrade", "validate"}, "Error: TARGET_VERSION not provided\n"},
      {{"downgrade", "enable", "3.6", "3.5"}, "Error: too many arguments\n"},
      {{"downgrade", "enable", ""}, "Error: target version not provided\n"}};
  for (const auto& [arguments, error] : lines) {
    const Result result = Run(arguments);
    EXPECT_EQ(result.code, 128);
    EXPECT_EQ(result.err, error);
  }
  EXPECT_TRUE(Seen().empty());
}

TEST_F(ServedTest, AnAlarmIsNotHealthy) {
  Answer("Range", pb::RangeResponse());
  pb::AlarmResponse active;
  active.add_alarms()->set_alarm(pb::NOSPACE);
  Answer("Alarm", active);
  const Result result = Run({"endpoint", "health"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err,
              HasSubstr(" is unhealthy: failed to commit proposal: Active Alarm(s): NOSPACE \n"));
  EXPECT_THAT(result.err, HasSubstr("Error: unhealthy cluster\n"));
}

TEST_F(ServedTest, ARefusalIsHealthy) {
  Expect("Range", {{}, errors::PermissionDenied()});
  Answer("Alarm", pb::AlarmResponse());
  EXPECT_EQ(Run({"endpoint", "health"}).code, 0);
}

TEST_F(ServedTest, AsksForThePasswordOnce) {
  pb::AuthenticateResponse token;
  token.set_token("t");
  Answer("Authenticate", token);
  Answer("Put", pb::PutResponse());
  EXPECT_EQ(Run({"put", "k", "v", "--user", "root"}).out, "OK\n");
  pb::AuthenticateRequest login;
  ASSERT_TRUE(login.ParseFromString(Seen().at(0).second));
  EXPECT_EQ(login.ShortDebugString(), R"(name: "root" password: "asked")");
}

TEST_F(ServedTest, AFailedLoginHasItsOwnExitCode) {
  Expect("Authenticate", {{}, errors::AuthFailed()});
  EXPECT_EQ(Run({"put", "k", "v", "--user", "root:x"}).code, 2);
}

TEST_F(ServedTest, SendsTransactions) {
  Answer("Txn", pb::TxnResponse());
  EXPECT_EQ(Run({"txn"}, "lease(\"k\") = \"1f\"\n\nput a b\n\nget a\ndel b\n\n").out, "FAILURE\n");
  pb::TxnRequest request;
  ASSERT_TRUE(request.ParseFromString(Seen().at(0).second));
  EXPECT_EQ(
      request.ShortDebugString(),
      R"(compare { target: LEASE key: "k" lease: 31 } )"
      R"(success { request_put { key: "a" value: "b" } } )"
      R"(failure { request_range { key: "a" } } failure { request_delete_range { key: "b" } })");
}

class SnapshotCommandTest : public ServedTest {
 protected:
  SnapshotCommandTest() { EXPECT_TRUE(files().MakeDirectory(folder_).ok()); }
  ~SnapshotCommandTest() override { (void)files().RemoveAll(folder_); }

  env::BlockingFileSystem& files() { return env_->files().blocking(); }

  // A snapshot of `sectors` sectors in parts, the way servers send it; `digest` last.
  static Reply Snapshot(size_t sectors, bool damaged) {
    std::string data(sectors * 512, 'd');
    std::string digest(SHA256_DIGEST_LENGTH, '\0');
    SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
    if (damaged) data[700] = 'x';
    Reply reply;
    constexpr size_t kPartBytes = 1000;
    for (size_t at = 0; at < data.size(); at += kPartBytes) {
      pb::SnapshotResponse part;
      part.set_blob(data.substr(at, kPartBytes));
      part.set_remaining_bytes(data.size() - at - part.blob().size());
      part.set_version("3.7.0");
      reply.messages.push_back(part.SerializeAsString());
    }
    pb::SnapshotResponse last;
    last.set_blob(digest);
    last.set_version("3.7.0");
    reply.messages.push_back(last.SerializeAsString());
    return reply;
  }

  const std::string folder_ = testing::TempDir() + "quoin-served-" + std::to_string(env_->Random());
  const std::string path_ = folder_ + "/snap.db";
};

TEST_F(SnapshotCommandTest, TellsTheServersVersion) {
  Expect("Snapshot", Snapshot(2000, false));
  const Result result = Run({"snapshot", "save", path_});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "Snapshot saved at " + path_ + "\nServer version 3.7.0\n");
  EXPECT_THAT(*files().List(folder_), ElementsAre("snap.db"));
  EXPECT_EQ(files().Stat(path_)->size, 2000u * 512 + 32);
}

TEST_F(SnapshotCommandTest, LeavesNothingBehindWhenItFails) {
  Expect("Snapshot", Snapshot(10, true));
  const Result damaged = Run({"snapshot", "save", path_});
  EXPECT_EQ(damaged.code, 5);
  EXPECT_EQ(damaged.out, "");
  EXPECT_THAT(damaged.err, HasSubstr("\nError: expected sha256 ["));
  Reply broken = Snapshot(10, false);
  broken.messages.resize(3);
  broken.status = absl::UnavailableError("etcdserver: server stopped");
  Expect("Snapshot", broken);
  const Result stopped = Run({"snapshot", "save", path_});
  EXPECT_EQ(stopped.code, 5);
  EXPECT_THAT(stopped.err, HasSubstr("\nError: etcdserver: server stopped\n"));
  EXPECT_THAT(*files().List(folder_), ElementsAre());
}

TEST_F(SnapshotCommandTest, SaysWhereItCouldNotWrite) {
  const Result result = Run({"snapshot", "save", folder_ + "/missing/snap.db"});
  EXPECT_EQ(result.code, 5);
  EXPECT_THAT(result.err,
              HasSubstr("Error: could not open " + folder_ + "/missing/snap.db.part ("));
}

}  // namespace
}  // namespace quoin::ctl

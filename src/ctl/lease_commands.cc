// lease grant, revoke, timetolive, list, keep-alive.
#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <ostream>

#include "base/errors.h"
#include "client/error_text.h"
#include "client/lasting_stream.h"
#include "ctl/families.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

// Lease ids are hexadecimal; nullopt after printing the error.
std::optional<int64_t> LeaseArgument(Invocation& invocation, std::string_view missing) {
  if (invocation.arguments().size() != 1) {
    invocation.Fail(ExitCode::kBadArguments, std::string(missing));
    return std::nullopt;
  }
  const StatusOr<int64_t> id = ParseInt(invocation.arguments()[0], 16);
  if (id.ok()) return *id;
  invocation.Fail(ExitCode::kBadArguments,
                  fmt::format("bad lease ID arg ({}), expecting ID in Hex", Message(id.status())));
  return std::nullopt;
}

// Answers to renewals, for a thread that waits. The stream half runs on the client's loop.
class Renewals : private client::LastingStream::User {
 public:
  Renewals(client::Client& client, int64_t id) : client_(client), id_(id) {
    client_.OnLoop([this](client::AsyncClient& async) {
      client::LastingStream::User& self = *this;
      stream_ = std::make_unique<client::LastingStream>(async, client_.loop(),
                                                        client::kLeaseKeepAlive, self);
      stream_->Open();
    });
  }
  ~Renewals() override {
    client_.OnLoop([this](client::AsyncClient&) {
      client_.loop().Cancel(timer_);
      stream_.reset();
    });
  }
  pb::LeaseKeepAliveResponse Next() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return !answers_.empty(); });
    pb::LeaseKeepAliveResponse answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }

 private:
  void Renew() {
    pb::LeaseKeepAliveRequest request;
    request.set_id(id_);
    stream_->Send(request.SerializeAsString());
  }
  void OnOpened() override { Renew(); }
  void OnMessage(std::string_view message) override {
    pb::LeaseKeepAliveResponse answer;
    answer.ParseFromArray(message.data(), static_cast<int>(message.size()));
    if (answer.ttl() > 0)
      timer_ = client_.loop().RunAfter(std::chrono::seconds(answer.ttl()) / 3, [this] { Renew(); });
    std::lock_guard lock(mutex_);
    answers_.push_back(std::move(answer));
    came_.notify_all();
  }
  bool OnBroken(const Status&) override {
    client_.loop().Cancel(timer_);
    return true;
  }

  client::Client& client_;
  const int64_t id_;
  std::unique_ptr<client::LastingStream> stream_;  // the loop's
  env::TimerId timer_;                             // the loop's
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<pb::LeaseKeepAliveResponse> answers_;
};

}  // namespace

ExitCode RunLeaseGrant(Invocation& invocation) {
  if (invocation.arguments().size() != 1) {
    return invocation.Fail(ExitCode::kBadArguments, "lease grant command needs TTL argument");
  }
  const StatusOr<int64_t> ttl = ParseInt(invocation.arguments()[0], 10);
  if (!ttl.ok()) {
    return invocation.Fail(ExitCode::kBadArguments,
                           fmt::format("bad TTL ({})", Message(ttl.status())));
  }
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  pb::LeaseGrantRequest request;
  request.set_ttl(*ttl);
  const auto response = invocation.Call(client::kLeaseGrant, request);
  if (!response.ok()) {
    return invocation.Fail(ExitCode::kError, fmt::format("failed to grant lease ({})",
                                                         client::ErrorText(response.status())));
  }
  return invocation.Printed(invocation.printer().LeaseGrant(*response));
}

ExitCode RunLeaseRevoke(Invocation& invocation) {
  const auto id = LeaseArgument(invocation, "lease revoke command needs 1 argument");
  if (!id) return ExitCode::kBadArguments;
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  pb::LeaseRevokeRequest request;
  request.set_id(*id);
  const auto response = invocation.Call(client::kLeaseRevoke, request);
  if (!response.ok()) {
    return invocation.Fail(ExitCode::kError, fmt::format("failed to revoke lease ({})",
                                                         client::ErrorText(response.status())));
  }
  return invocation.Printed(invocation.printer().LeaseRevoke(*id, *response));
}

ExitCode RunLeaseTimeToLive(Invocation& invocation) {
  const auto id = LeaseArgument(invocation, "lease timetolive command needs lease ID as argument");
  if (!id) return ExitCode::kBadArguments;
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  pb::LeaseTimeToLiveRequest request;
  request.set_id(*id);
  request.set_keys(invocation.flags().Bool("keys"));
  const auto response = invocation.client().Call(client::kLeaseTimeToLive, request, std::nullopt);
  if (!response.ok())
    return invocation.Fail(ExitCode::kBadConnection, client::ErrorText(response.status()));
  return invocation.Printed(invocation.printer().LeaseTimeToLive(*response, request.keys()));
}

ExitCode RunLeaseList(Invocation& invocation) {
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto response =
      invocation.client().Call(client::kLeaseLeases, pb::LeaseLeasesRequest(), std::nullopt);
  if (!response.ok())
    return invocation.Fail(ExitCode::kBadConnection, client::ErrorText(response.status()));
  return invocation.Printed(invocation.printer().LeaseList(*response));
}

ExitCode RunLeaseKeepAlive(Invocation& invocation) {
  const auto id = LeaseArgument(invocation, "lease keep-alive command needs lease ID as argument");
  if (!id) return ExitCode::kBadArguments;
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  Renewals renewals(invocation.client(), *id);
  for (;;) {
    const pb::LeaseKeepAliveResponse answer = renewals.Next();
    if (answer.ttl() <= 0) {
      if (!invocation.flags().Bool("once")) break;
      return invocation.Fail(ExitCode::kBadConnection, Message(errors::LeaseNotFound()));
    }
    if (ExitCode code = invocation.Printed(invocation.printer().LeaseKeepAlive(answer));
        code != ExitCode::kOk || invocation.flags().Bool("once")) {
      return code;
    }
  }
  invocation.out() << fmt::format("lease {:016x} expired or revoked.\n",
                                  static_cast<uint64_t>(*id));
  return ExitCode::kOk;
}

}  // namespace quoin::ctl

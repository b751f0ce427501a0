// lock, elect: held as long as this program, or the command that it is given, runs.
#include <fmt/format.h>

#include <ostream>

#include "client/election.h"
#include "client/error_text.h"
#include "client/mutex.h"
#include "ctl/families.h"
#include "ctl/process.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

constexpr int64_t kElectionTtlSeconds = 60;
// How long giving the lease back may take for a user who has interrupted the program.
constexpr env::Duration kLeaveTimeout = std::chrono::seconds(1);

ExitCode Show(Invocation& invocation, const std::string& key) {
  pb::RangeRequest request;
  request.set_key(key);
  const auto response = invocation.Call(client::kRange, request);
  if (!response.ok()) return invocation.FailCall(response.status());
  if (response->kvs_size() == 0)
    return invocation.Fail(ExitCode::kError, "the key is gone: the session has expired");
  const ExitCode code = invocation.Printed(invocation.printer().Get(*response));
  invocation.out().flush();
  return code;
}

StatusOr<Ended> RunLocked(Invocation& invocation, const client::Mutex& mutex) {
  return RunProcess(
      std::span(invocation.arguments()).subspan(1),
      {{"ETCD_LOCK_KEY", mutex.key()}, {"ETCD_LOCK_REV", std::to_string(mutex.fencing_token())}});
}

// The wait for the lock or the lead ended without it. The lease is given back: a request that was
// under way may have taken a place in the queue.
ExitCode FailWaiting(Invocation& invocation, client::Session& session, const Status& status) {
  const bool expired = session.lost();
  session.Close(kLeaveTimeout).IgnoreError();  // else the lease ends by itself
  return invocation.Fail(ExitCode::kError, expired ? "session expired" : client::ErrorText(status));
}

// A signal ends it well.
ExitCode Observe(Invocation& invocation, const StopSignals& signals, const std::string& name) {
  client::ElectionObserver observer(invocation.client(), name);
  for (;;) {
    const auto leader = observer.Next(std::nullopt, signals.token());
    if (signals.token().stop_requested()) return ExitCode::kOk;
    if (!leader.ok()) return invocation.Fail(ExitCode::kError, client::ErrorText(leader.status()));
    if (!*leader) continue;
    pb::RangeResponse response;
    mvccpb::KeyValue& kv = *response.add_kvs();
    kv.set_key((*leader)->key);
    kv.set_value((*leader)->value);
    kv.set_create_revision((*leader)->create_revision);
    kv.set_mod_revision((*leader)->mod_revision);
    if (ExitCode code = invocation.Printed(invocation.printer().Get(response));
        code != ExitCode::kOk) {
      return code;
    }
    invocation.out().flush();
  }
}

}  // namespace

ExitCode RunLock(Invocation& invocation) {
  if (invocation.arguments().empty()) {
    return invocation.Fail(ExitCode::kBadArguments,
                           "lock takes a lock name argument and an optional command to execute");
  }
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const StopSignals signals;
  auto session = client::Session::Open(invocation.client(), invocation.flags().Int("ttl"),
                                       invocation.command_timeout());
  if (!session.ok()) return invocation.FailCall(session.status());
  client::Mutex mutex(**session, invocation.arguments()[0]);
  if (Status status = mutex.Lock(std::nullopt, signals.token()); !status.ok())
    return FailWaiting(invocation, **session, status);
  ExitCode code = ExitCode::kOk;
  if (invocation.arguments().size() > 1) {
    const StatusOr<Ended> ended = RunLocked(invocation, mutex);
    if (!ended.ok()) {
      code = invocation.Fail(ExitCode::kError, Message(ended.status()));
    } else if (ended->code != 0) {
      code = invocation.Fail(static_cast<ExitCode>(ended->code), ended->text);
    }
  } else {
    code = Show(invocation, mutex.key());
    if (code == ExitCode::kOk && !signals.Wait((*session)->lost_token()))
      return invocation.Fail(ExitCode::kError, "session expired");
  }
  mutex.Unlock(invocation.command_timeout()).IgnoreError();  // else the lease ends it
  (*session)->Close(invocation.command_timeout()).IgnoreError();
  return code;
}

ExitCode RunElect(Invocation& invocation) {
  const bool listen = invocation.flags().Bool("listen");
  const size_t count = invocation.arguments().size();
  if (count < 1 || count > 2) {
    return invocation.Fail(
        ExitCode::kBadArguments,
        "elect takes one election name argument and an optional proposal argument");
  }
  if (listen && count == 2)
    return invocation.Fail(ExitCode::kBadArguments, "proposal given but -l is set");
  if (!listen && count != 2)
    return invocation.Fail(ExitCode::kBadArguments, "no proposal argument but -l not set");
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const StopSignals signals;
  const std::string& name = invocation.arguments()[0];
  if (listen) return Observe(invocation, signals, name);
  auto session =
      client::Session::Open(invocation.client(), kElectionTtlSeconds, invocation.command_timeout());
  if (!session.ok()) return invocation.FailCall(session.status());
  client::Election election(**session, name);
  Status status = election.Campaign(invocation.arguments()[1], std::nullopt, signals.token());
  if (!status.ok()) return FailWaiting(invocation, **session, status);
  const ExitCode code = Show(invocation, election.place().key());
  if (code == ExitCode::kOk && !signals.Wait((*session)->lost_token()))
    return invocation.Fail(ExitCode::kError, "elect: session expired");
  election.Resign(invocation.command_timeout()).IgnoreError();  // else the lease ends it
  (*session)->Close(invocation.command_timeout()).IgnoreError();
  return code;
}

}  // namespace quoin::ctl

// lock, elect: held as long as this program, or the command that it is given, runs.
#include <fmt/format.h>

#include <ostream>

#include "client/election.h"
#include "client/error_text.h"
#include "client/mutex.h"
#include "ctl/families.h"
#include "ctl/go_text.h"
#include "ctl/process.h"
#include "ctl/strings.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

constexpr int64_t kElectionTtlSeconds = 60;
// How often a program that waits for a signal looks whether its session still lives.
constexpr int kGlanceMilliseconds = 500;

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

// Until a signal comes; false: the session ended first.
bool Hold(StopSignals& signals, const client::Session& session) {
  while (!signals.WaitFor(kGlanceMilliseconds)) {
    if (session.lost()) return false;
  }
  return true;
}

StatusOr<int> RunLocked(Invocation& invocation, const client::Mutex& mutex) {
  return RunProcess(
      std::span(invocation.arguments()).subspan(1),
      {{"ETCD_LOCK_KEY", mutex.key()}, {"ETCD_LOCK_REV", std::to_string(mutex.fencing_token())}});
}

ExitCode Observe(Invocation& invocation, const std::string& name) {
  client::ElectionObserver observer(invocation.client(), name);
  for (;;) {
    const auto leader = observer.Next(std::nullopt);
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
                           "lock takes one lock name argument and an optional command to execute");
  }
  StopSignals signals;
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  auto session = client::Session::Open(invocation.client(), invocation.flags().Int("ttl"),
                                       invocation.command_timeout());
  if (!session.ok()) return invocation.FailCall(session.status());
  client::Mutex mutex(**session, invocation.arguments()[0]);
  if (Status status = mutex.Lock(std::nullopt); !status.ok())
    return invocation.Fail(ExitCode::kError, client::ErrorText(status));
  ExitCode code = ExitCode::kOk;
  if (invocation.arguments().size() > 1) {
    const StatusOr<int> ended = RunLocked(invocation, mutex);
    if (!ended.ok()) {
      code = invocation.Fail(ExitCode::kError, Message(ended.status()));
    } else {
      code = static_cast<ExitCode>(*ended);
    }
  } else {
    code = Show(invocation, mutex.key());
    if (code == ExitCode::kOk && !Hold(signals, **session))
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
    return invocation.Fail(ExitCode::kBadArguments,
                           "elect takes one election name argument and an optional proposal");
  }
  if (!listen && count != 2)
    return invocation.Fail(ExitCode::kBadArguments, "no proposal argument but -l not set");
  StopSignals signals;
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const std::string& name = invocation.arguments()[0];
  if (listen) return Observe(invocation, name);
  auto session =
      client::Session::Open(invocation.client(), kElectionTtlSeconds, invocation.command_timeout());
  if (!session.ok()) return invocation.FailCall(session.status());
  client::Election election(**session, name);
  if (Status status = election.Campaign(invocation.arguments()[1], std::nullopt); !status.ok())
    return invocation.Fail(ExitCode::kError, client::ErrorText(status));
  const ExitCode code = Show(invocation, election.place().key());
  if (code == ExitCode::kOk && !Hold(signals, **session))
    return invocation.Fail(ExitCode::kError, "elect: session expired");
  election.Resign(invocation.command_timeout()).IgnoreError();  // else the lease ends it
  (*session)->Close(invocation.command_timeout()).IgnoreError();
  return code;
}

}  // namespace quoin::ctl

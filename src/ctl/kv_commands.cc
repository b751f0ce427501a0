// get, put, del, compaction.
#include <fmt/format.h>

#include <ostream>

#include "cli/pause.h"
#include "ctl/families.h"
#include "ctl/kv_requests.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

constexpr env::Duration kDeletePause = std::chrono::seconds(2);

// One answer, or the same in parts: every part holds keys, the last one the rest.
StatusOr<pb::RangeResponse> Range(Invocation& invocation, const pb::RangeRequest& request) {
  if (!invocation.flags().Bool("stream")) return invocation.Call(client::kRange, request);
  pb::RangeResponse whole;
  RETURN_IF_ERROR(invocation.client().ReadStream(client::kRangeStream, request,
                                                 invocation.command_timeout(),
                                                 [&](pb::RangeStreamResponse part) {
                                                   whole.MergeFrom(part.range_response());
                                                   return OkStatus();
                                                 }));
  return whole;
}

}  // namespace

ExitCode RunGet(Invocation& invocation) {
  const auto request = MakeRangeRequest(invocation.flags(), invocation.arguments());
  if (!request.ok()) return invocation.FailRequest(request.status());
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto response = Range(invocation, *request);
  if (!response.ok()) return invocation.FailCall(response.status());
  const std::string_view format = invocation.printer().format();
  if (request->count_only() && format != "fields") {
    return invocation.Fail(ExitCode::kBadArguments,
                           "--count-only is only for `--write-out=fields`");
  }
  if (invocation.flags().Bool("print-value-only") && format != "simple") {
    return invocation.Fail(ExitCode::kBadArguments,
                           "print-value-only is only for `--write-out=simple`");
  }
  return invocation.Printed(invocation.printer().Get(*response));
}

ExitCode RunPut(Invocation& invocation) {
  const auto request = MakePutRequest(invocation.flags(), invocation.arguments(), &invocation.in());
  if (!request.ok()) return invocation.FailRequest(request.status());
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto response = invocation.Call(client::kPut, *request);
  if (!response.ok()) return invocation.FailCall(response.status());
  return invocation.Printed(invocation.printer().Put(*response));
}

ExitCode RunDelete(Invocation& invocation) {
  const auto request = MakeDeleteRequest(invocation.flags(), invocation.arguments());
  if (!request.ok()) return invocation.FailRequest(request.status());
  if (NeedsDeleteWarning(invocation.flags(), invocation.arguments())) {
    invocation.err() << DeleteWarning(invocation.arguments()) << std::flush;
    cli::Pause(invocation.world().loop, kDeletePause);
  }
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  const auto response = invocation.Call(client::kDeleteRange, *request);
  if (!response.ok()) return invocation.FailCall(response.status());
  return invocation.Printed(invocation.printer().Delete(*response));
}

ExitCode RunCompaction(Invocation& invocation) {
  if (invocation.arguments().size() != 1) {
    return invocation.Fail(ExitCode::kBadArguments, "compaction command needs 1 argument");
  }
  const StatusOr<int64_t> revision = ParseInt(invocation.arguments()[0], 10);
  if (!revision.ok()) return invocation.Fail(ExitCode::kError, Message(revision.status()));
  if (ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  pb::CompactionRequest request;
  request.set_revision(*revision);
  request.set_physical(invocation.flags().Bool("physical"));
  const auto response = invocation.Call(client::kCompact, request);
  if (!response.ok()) return invocation.FailCall(response.status());
  invocation.out() << "compacted revision " << *revision << '\n';
  return ExitCode::kOk;
}

}  // namespace quoin::ctl

// make-mirror: copies a prefix to another cluster and follows its changes.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/errors.h"
#include "client/error_text.h"
#include "client/requests.h"
#include "client/watcher.h"
#include "ctl/families.h"
#include "ctl/load.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

constexpr int64_t kKeysPerPage = 1000;
constexpr size_t kBytesPerTransaction = 1 << 20;  // below what a server takes by default
constexpr env::Duration kReportEvery = std::chrono::seconds(30);

// The other cluster's flags, as the global ones say them of this one.
StatusOr<client::ClientOptions> DestinationOptions(Invocation& invocation) {
  const Flags& flags = invocation.flags();
  client::ClientOptions options;
  ASSIGN_OR_RETURN(client::Endpoint endpoint, client::ParseEndpoint(invocation.arguments()[0]));
  bool tls = endpoint.tls || !flags.Bool("dest-insecure-transport");
  for (const std::string_view name : {"dest-cert", "dest-key", "dest-cacert"})
    tls |= !flags.String(name).empty();
  if (tls) return absl::UnimplementedError("TLS connections are not supported yet");
  options.endpoints.push_back(std::move(endpoint));
  options.channel.dial_timeout = invocation.dial_timeout();
  options.channel.keepalive_time = flags.Duration("keepalive-time");
  options.channel.keepalive_timeout = flags.Duration("keepalive-timeout");
  std::optional<std::string> asked;
  RETURN_IF_ERROR(invocation.TakeCredentials("dest-", "Destination Password: ", asked, options));
  return options;
}

class Mirroring {
 public:
  Mirroring(Invocation& invocation, client::Client& destination)
      : invocation_(invocation),
        destination_(destination),
        line_(invocation.world()),
        prefix_(invocation.flags().String("prefix")),
        to_prefix_(invocation.flags().String("dest-prefix")),
        operations_max_(
            std::max<size_t>(1, static_cast<size_t>(invocation.flags().Int("max-txn-ops")))),
        next_report_(Now() + kReportEvery) {
    if (!invocation.flags().Bool("no-dest-prefix") && to_prefix_.empty()) to_prefix_ = prefix_;
  }

  // Until something fails.
  Status Run() {
    int64_t revision = std::max<int64_t>(0, invocation_.flags().Int("rev"));
    if (revision == 0) {
      ASSIGN_OR_RETURN(revision, CopyAll());
    }
    return Follow(revision + 1);
  }

 private:
  env::Duration Now() { return invocation_.world().env.clock().Now(); }

  std::string Renamed(const std::string& key) const {
    return key.starts_with(prefix_) ? to_prefix_ + key.substr(prefix_.size()) : key;
  }

  // All that is there, as of one revision, which it returns.
  StatusOr<int64_t> CopyAll() {
    pb::RangeRequest request;
    request.set_key(prefix_.empty() ? std::string(1, '\0') : prefix_);
    request.set_range_end(client::PrefixEnd(prefix_));
    request.set_limit(kKeysPerPage);
    while (true) {
      ASSIGN_OR_RETURN(const pb::RangeResponse page,
                       invocation_.client().Call(client::kRange, request, std::nullopt));
      if (request.revision() == 0) request.set_revision(page.header().revision());
      for (const mvccpb::KeyValue& kv : page.kvs())
        RETURN_IF_ERROR(Add(client::PutOp(Renamed(kv.key()), kv.value())));
      RETURN_IF_ERROR(Flush());
      if (!page.more() || page.kvs().empty()) return request.revision();
      request.set_key(page.kvs().rbegin()->key() + std::string(1, '\0'));
    }
  }

  Status Follow(int64_t from) {
    client::WatchOptions options;
    options.key = prefix_.empty() ? std::string(1, '\0') : prefix_;
    options.range_end = client::PrefixEnd(prefix_);
    options.start_revision = from;
    client::Watch watch(invocation_.client(), options);
    while (true) {
      const auto response = watch.Next(std::max(next_report_ - Now(), env::Duration(1)));
      if (!response.ok()) {
        return absl::IsOutOfRange(response.status()) ? errors::Compacted() : response.status();
      }
      if (*response) RETURN_IF_ERROR(Apply(**response));
      Report();
    }
  }

  // One transaction for each revision, so that the mirror shows no state that never was; more when
  // one holds more than the destination takes.
  Status Apply(const pb::WatchResponse& response) {
    int64_t revision = 0;
    for (const mvccpb::Event& event : response.events()) {
      if (event.kv().mod_revision() != revision) RETURN_IF_ERROR(Flush());
      revision = event.kv().mod_revision();
      const std::string key = Renamed(event.kv().key());
      RETURN_IF_ERROR(Add(event.type() == mvccpb::Event::DELETE
                              ? client::DeleteOp(key)
                              : client::PutOp(key, event.kv().value())));
    }
    return Flush();
  }

  Status Add(pb::RequestOp operation) {
    const size_t bytes = operation.ByteSizeLong();
    const bool full = static_cast<size_t>(transaction_.success_size()) >= operations_max_ ||
                      transaction_bytes_ + bytes > kBytesPerTransaction;
    if (full) RETURN_IF_ERROR(Flush());
    *transaction_.add_success() = std::move(operation);
    transaction_bytes_ += bytes;
    return OkStatus();
  }

  Status Flush() {
    if (transaction_.success_size() == 0) return OkStatus();
    RETURN_IF_ERROR(destination_.Call(client::kTxn, transaction_, std::nullopt).status());
    total_ += static_cast<uint64_t>(transaction_.success_size());
    transaction_.Clear();
    transaction_bytes_ = 0;
    line_.Show(fmt::format("{} keys mirrored", total_));
    Report();
    return OkStatus();
  }

  void Report() {
    if (Now() < next_report_) return;
    next_report_ += kReportEvery;
    invocation_.out() << total_ << '\n' << std::flush;
  }

  Invocation& invocation_;
  client::Client& destination_;
  ProgressLine line_;
  const std::string prefix_;
  std::string to_prefix_;
  const size_t operations_max_;
  env::Duration next_report_;
  pb::TxnRequest transaction_;  // what is to be written next
  size_t transaction_bytes_ = 0;
  uint64_t total_ = 0;
};

}  // namespace

ExitCode RunMakeMirror(Invocation& invocation) {
  if (invocation.arguments().size() != 1) {
    return invocation.Fail(ExitCode::kBadArguments, "make-mirror takes one destination argument");
  }
  if (invocation.flags().Bool("no-dest-prefix") &&
      !invocation.flags().String("dest-prefix").empty()) {
    return invocation.Fail(ExitCode::kBadArguments,
                           "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, "
                           "choose one");
  }
  if (const ExitCode code = invocation.Connect(); code != ExitCode::kOk) return code;
  StatusOr<client::ClientOptions> options = DestinationOptions(invocation);
  if (!options.ok()) return invocation.FailRequest(options.status());
  World& world = invocation.world();
  client::Client destination(world.env, world.loop, *std::move(options));
  const Status status = Mirroring(invocation, destination).Run();
  return invocation.Fail(ExitCode::kError, client::ErrorText(status));
}

}  // namespace quoin::ctl

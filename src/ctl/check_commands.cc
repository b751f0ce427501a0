// check perf, check datascale: whether a cluster carries a load of a size.
#include <fmt/format.h>

#include <cstdlib>
#include <ostream>

#include "client/requests.h"
#include "ctl/families.h"
#include "ctl/load.h"
#include "ctl/text.h"
#include "rpc/http_client.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;

constexpr env::Duration kCleanUpTimeout = std::chrono::seconds(30);
constexpr env::Duration kCompactTimeout = std::chrono::seconds(5);
constexpr double kLeastOfRate = 0.9, kSlowestSeconds = 0.5, kDeviationSeconds = 0.1;

// The four sizes of load.
struct Size {
  std::string_view name, long_name;
  size_t clients;
  double writes_per_second;  // of check perf
  uint64_t pairs;            // of check datascale
};
constexpr Size kSizes[] = {{"s", "small", 50, 150, 10000},
                           {"m", "medium", 200, 1000, 100000},
                           {"l", "large", 500, 8000, 1000000},
                           {"xl", "xLarge", 1000, 15000, 3000000}};
constexpr env::Duration kPerfDuration = std::chrono::seconds(60);
constexpr size_t kPerfKeyBytes = 256, kPerfValueBytes = 1024;
constexpr size_t kScaleKeyBytes = 512, kScaleValueBytes = 512;

const Size* FindSize(std::string_view name) {
  for (const Size& size : kSizes) {
    if (name == size.name || name == size.long_name) return &size;
  }
  return nullptr;
}

// What both commands begin with: the load's size, an empty prefix, and clients.
struct Prepared {
  ExitCode code = ExitCode::kOk;  // another one: the error is printed
  const Size* size = nullptr;
  std::string prefix;
  std::vector<std::unique_ptr<client::Client>> clients;
};

// `quote` stands around the command that the error advises.
ExitCode CheckPrefixIsEmpty(Invocation& invocation, const std::string& prefix,
                            std::string_view quote) {
  pb::RangeRequest request;
  request.set_key(prefix);
  request.set_range_end(client::PrefixEnd(prefix));
  request.set_limit(1);
  const auto found = invocation.Call(client::kRange, request);
  if (!found.ok()) return invocation.FailCall(found.status());
  if (found->kvs_size() == 0) return ExitCode::kOk;
  return invocation.Fail(
      ExitCode::kInvalidInput,
      fmt::format("prefix {} has keys. Delete with {}etcdctl del --prefix {}{} first",
                  Quote(prefix), quote, prefix, quote));
}

Prepared Prepare(Invocation& invocation, std::string_view quote) {
  Prepared out;
  const std::string& load = invocation.flags().String("load");
  out.size = FindSize(load);
  if (out.size == nullptr) {
    out.code = invocation.Fail(ExitCode::kBadFeature, fmt::format("unknown load option {}", load));
    return out;
  }
  out.code = invocation.Connect();
  if (out.code != ExitCode::kOk) return out;
  out.prefix = invocation.flags().String("prefix");
  out.code = CheckPrefixIsEmpty(invocation, out.prefix, quote);
  if (out.code != ExitCode::kOk) return out;
  for (size_t i = 0; i < out.size->clients; ++i) {
    // They share the endpoints out.
    const std::vector<std::string>& endpoints = invocation.endpoints();
    auto client = invocation.ClientFor(endpoints[i % endpoints.size()]);
    if (!client.ok()) {
      out.code = invocation.Fail(ExitCode::kError, Message(client.status()));
      return out;
    }
    out.clients.push_back(*std::move(client));
  }
  return out;
}

ExitCode Defragment(Invocation& invocation, const std::string& endpoint) {
  invocation.out() << fmt::format("Defragmenting {}\n", Quote(endpoint)) << std::flush;
  const auto client = invocation.ClientFor(endpoint);
  if (!client.ok()) return invocation.Fail(ExitCode::kError, Message(client.status()));
  const Status status =
      (*client)->Call(client::kDefragment, pb::DefragmentRequest(), kCleanUpTimeout).status();
  if (!status.ok()) return invocation.FailCall(status);
  invocation.out() << fmt::format("Defragmented {}\n", Quote(endpoint)) << std::flush;
  return ExitCode::kOk;
}

// Takes the keys away again; compacts and defragments when asked to.
ExitCode CleanUp(Invocation& invocation, const std::string& prefix,
                 client::Client::Timeout timeout) {
  pb::DeleteRangeRequest request;
  request.set_key(prefix);
  request.set_range_end(client::PrefixEnd(prefix));
  const auto deleted = invocation.client().Call(client::kDeleteRange, request, timeout);
  if (!deleted.ok()) return invocation.FailCall(deleted.status());
  if (invocation.flags().Bool("auto-compact")) {
    const int64_t revision = deleted->header().revision();
    invocation.out() << fmt::format("Compacting with revision {}\n", revision) << std::flush;
    pb::CompactionRequest compaction;
    compaction.set_revision(revision);
    compaction.set_physical(true);
    const Status status =
        invocation.client().Call(client::kCompact, compaction, kCompactTimeout).status();
    if (!status.ok()) return invocation.FailCall(status);
    invocation.out() << fmt::format("Compacted with revision {}\n", revision) << std::flush;
  }
  if (!invocation.flags().Bool("auto-defrag")) return ExitCode::kOk;
  for (const std::string& endpoint : invocation.endpoints()) {
    if (const ExitCode code = Defragment(invocation, endpoint); code != ExitCode::kOk) return code;
  }
  return ExitCode::kOk;
}

bool SayErrors(Invocation& invocation, const LoadResult& result) {
  if (result.errors.empty()) return false;
  invocation.out() << "FAIL: too many errors\n";
  for (const auto& [text, count] : result.errors)
    invocation.out() << fmt::format("FAIL: ERROR({}) -> {}\n", text, count);
  return true;
}

// The verdict of check perf.
ExitCode Judge(Invocation& invocation, const Size& size, const LoadResult& result) {
  std::ostream& out = invocation.out();
  bool good = !SayErrors(invocation, result);
  const auto say = [&](bool passed, const std::string& pass, const std::string& fail) {
    out << (passed ? pass : fail) << '\n';
    good = good && passed;
  };
  const double rate = result.RequestsPerSecond();
  const int shown = static_cast<int>(rate) + 1;
  say(rate / size.writes_per_second > kLeastOfRate,
      fmt::format("PASS: Throughput is {} writes/s", shown),
      fmt::format("FAIL: Throughput too low: {} writes/s", shown));
  say(result.Slowest() <= kSlowestSeconds,
      fmt::format("PASS: Slowest request took {:.6f}s", result.Slowest()),
      fmt::format("Slowest request took too long: {:.6f}s", result.Slowest()));
  const double deviation = result.StandardDeviation();
  say(deviation <= kDeviationSeconds, fmt::format("PASS: Stddev is {:.6f}s", deviation),
      fmt::format("Stddev too high: {:.6f}s", deviation));
  out << (good ? "PASS\n" : "FAIL\n");
  return good ? ExitCode::kOk : ExitCode::kError;
}

// Memory of the first endpoint's process, by its metrics; nullopt when it tells none.
std::optional<double> ResidentBytes(Invocation& invocation) {
  std::string url = invocation.endpoints()[0];
  if (url.find("://") == std::string::npos) url = "http://" + url;
  World& world = invocation.world();
  client::ArrivalBox box;
  std::unique_ptr<rpc::Fetch> fetch;
  world.loop.Post([&] {
    rpc::FetchRequest request;
    request.head.url = url;
    request.head.target = "/metrics";
    fetch = rpc::StartFetch(world.env, world.loop, std::move(request),
                            [&](StatusOr<rpc::HttpResponse> response) {
                              if (!response.ok()) return box.Put({response.status()});
                              box.Put({std::move(response->body)});
                            });
  });
  const StatusOr<std::string> answer = box.Take({}).bytes;
  invocation.client().OnLoop([&](client::AsyncClient&) { fetch.reset(); });
  if (!answer.ok()) return std::nullopt;
  constexpr std::string_view kName = "\nprocess_resident_memory_bytes ";
  const size_t at = answer->find(kName);
  if (at == std::string::npos) return std::nullopt;
  return std::strtod(answer->c_str() + at + kName.size(), nullptr);
}

}  // namespace

ExitCode RunCheckPerf(Invocation& invocation) {
  const Prepared prepared = Prepare(invocation, "'");
  if (prepared.code != ExitCode::kOk) return prepared.code;
  LoadPlan plan;
  plan.clients = prepared.size->clients;
  plan.prefix = prepared.prefix;
  plan.key_bytes = kPerfKeyBytes;
  plan.value_bytes = kPerfValueBytes;
  plan.requests_per_second = prepared.size->writes_per_second;
  plan.duration = kPerfDuration;
  LoadResult result;
  {
    ProgressLine line(invocation.world());
    const auto seconds = [](env::Duration d) {
      return std::chrono::duration_cast<std::chrono::seconds>(d).count();
    };
    result = RunLoad(invocation, prepared.clients, plan, [&](uint64_t answered, env::Duration at) {
      line.Show(fmt::format("{} of {} s, {} writes", std::min(seconds(at), seconds(plan.duration)),
                            seconds(plan.duration), answered));
    });
  }
  if (const ExitCode code = CleanUp(invocation, plan.prefix, kCleanUpTimeout);
      code != ExitCode::kOk) {
    return code;
  }
  return Judge(invocation, *prepared.size, result);
}

ExitCode RunCheckDatascale(Invocation& invocation) {
  const Prepared prepared = Prepare(invocation, "");
  if (prepared.code != ExitCode::kOk) return prepared.code;
  constexpr std::string_view kNoMemory =
      "FAIL: Could not read process_resident_memory_bytes {} the put operations.\n";
  const std::optional<double> before = ResidentBytes(invocation);
  if (!before) {
    invocation.out() << ReplaceAll(kNoMemory, "{}", "before");
    return ExitCode::kError;
  }
  LoadPlan plan;
  plan.clients = prepared.size->clients;
  plan.prefix = prepared.prefix;
  plan.key_bytes = kScaleKeyBytes;
  plan.value_bytes = kScaleValueBytes;
  plan.requests = prepared.size->pairs;
  invocation.out() << fmt::format(
                          "Start data scale check for work load [{} key-value pairs, {} bytes per "
                          "key-value, {} concurrent clients].\n",
                          *plan.requests, plan.key_bytes + plan.value_bytes, plan.clients)
                   << std::flush;
  LoadResult result;
  {
    ProgressLine line(invocation.world());
    result = RunLoad(invocation, prepared.clients, plan, [&](uint64_t answered, env::Duration) {
      line.Show(fmt::format("{} of {} pairs ({}%)", answered, *plan.requests,
                            answered * 100 / *plan.requests));
    });
  }
  const std::optional<double> after = ResidentBytes(invocation);
  if (!after) {
    invocation.out() << ReplaceAll(kNoMemory, "{}", "after");
    return ExitCode::kError;
  }
  if (const ExitCode code = CleanUp(invocation, plan.prefix, std::nullopt); code != ExitCode::kOk)
    return code;
  if (SayErrors(invocation, result)) return ExitCode::kError;
  invocation.out() << fmt::format("PASS: Approximate system memory used : {:.2f} MB.\n",
                                  (*after - *before) / (1024 * 1024));
  return ExitCode::kOk;
}

}  // namespace quoin::ctl

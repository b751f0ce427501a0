// leaseload: leases of one endpoint: granted, given a key, kept alive; on one thread and as little
// CPU as it can do with, because it shares the machine with the server that it measures.
//
// The leases have the ids FIRST, FIRST + 1, …

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/call_peer.h"
#include "bench/connection.h"
#include "bench/histogram.h"
#include "bench/keepalive_connection.h"
#include "bench/peers.h"
#include "bench/requests.h"
#include "bench/system.h"
#include "bench/watch_connection.h"
#include "bench/wire.h"

namespace quoin::bench {
namespace {

constexpr char kUsage[] =
    "usage: leaseload [options] HOST:PORT\n"
    "  --mode grant    grants each lease once (default)\n"
    "         attach   puts one key on each lease, lease/NUMBER\n"
    "         renew    keeps them alive, one after another, again and again\n"
    "         storm    renews each once, and lets them all end; small Puts on 4 connections are\n"
    "                  counted for --duration before that, and until a watcher has seen the key "
    "of\n"
    "                  each lease deleted\n"
    "  --first N         (1)         --leases N    (10000)\n"
    "  --ttl S           (3600)      --once        renew each lease once and end\n"
    "  --connections N   (100)       --streams N   per connection: calls at once, or keepalive\n"
    "                                              streams (1)\n"
    "  --ahead N         renewals on their way per stream (10)\n"
    "  --warmup S        (2)         --duration S  counted (10); both of renew without --once\n"
    "  --server-pid N    whose CPU is counted      --json  one line for programs\n";

enum class Mode { kGrant, kAttach, kRenew, kStorm };

struct Options {
  Mode mode = Mode::kGrant;
  std::string host, port;
  int64_t first = 1, ttl = 3600;
  size_t leases = 10000, connections = 100, streams = 1, ahead = 10;
  bool once = false, json = false;
  uint64_t server_pid = 0;
  double warmup_s = 2, duration_s = 10;
  std::string authority() const { return host + ":" + port; }
};

Mode ParseLeaseMode(std::string_view text) {
  if (text == "grant") return Mode::kGrant;
  if (text == "attach") return Mode::kAttach;
  if (text == "renew") return Mode::kRenew;
  if (text == "storm") return Mode::kStorm;
  Die("unknown mode " + std::string(text));
}

void ParseValue(Options& options, std::string_view name, std::string_view value) {
  const std::pair<std::string_view, size_t*> sizes[] = {{"--leases", &options.leases},
                                                        {"--connections", &options.connections},
                                                        {"--streams", &options.streams},
                                                        {"--ahead", &options.ahead},
                                                        {"--server-pid", &options.server_pid}};
  for (const auto& [known, to] : sizes) {
    if (name == known) return void(*to = ParseNumber<size_t>(value));
  }
  if (name == "--mode") {
    options.mode = ParseLeaseMode(value);
  } else if (name == "--first") {
    options.first = ParseNumber<int64_t>(value);
  } else if (name == "--ttl") {
    options.ttl = ParseNumber<int64_t>(value);
  } else if (name == "--warmup") {
    options.warmup_s = ParseNumber<double>(value);
  } else if (name == "--duration") {
    options.duration_s = ParseNumber<double>(value);
  } else {
    Die("unknown option " + std::string(name) + "\n" + kUsage);
  }
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  std::string endpoint;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--help" || name == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    } else if (name == "--once") {
      options.once = true;
    } else if (name == "--json") {
      options.json = true;
    } else if (!name.starts_with("--")) {
      endpoint = name;
    } else {
      if (++i == argc) Die("missing value of " + std::string(name));
      ParseValue(options, name, argv[i]);
    }
  }
  const size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos) Die(std::string("HOST:PORT is missing\n") + kUsage);
  options.host = endpoint.substr(0, colon);
  options.port = endpoint.substr(colon + 1);
  if (options.leases < options.connections * options.streams || options.ahead == 0 ||
      options.connections == 0 || options.streams == 0)
    Die("each stream needs a lease");
  return options;
}

// What a run counted.
struct Tally {
  Histogram latency;
  uint64_t errors = 0;
  double seconds = 0, own_cpu_s = 0, server_cpu_s = 0;

  void Start(const Options& options) {
    latency = Histogram();
    seconds = static_cast<double>(Now()) / 1e9;
    own_cpu_s = CpuSeconds();
    server_cpu_s = CpuSecondsOf(options.server_pid);
  }
  void Stop(const Options& options) {
    seconds = static_cast<double>(Now()) / 1e9 - seconds;
    own_cpu_s = CpuSeconds() - own_cpu_s;
    server_cpu_s = CpuSecondsOf(options.server_pid) - server_cpu_s;
  }
  // True when everything went well.
  bool Report(const Options& options) const {
    const auto ms = [](uint64_t ns) { return static_cast<double>(ns) / 1e6; };
    const auto count = static_cast<double>(latency.count());
    std::printf(options.json
                    ? "{\"count\":%llu,\"seconds\":%.3f,\"per_second\":%.0f,\"p50_ms\":%.3f,"
                      "\"p99_ms\":%.3f,\"max_ms\":%.3f,\"errors\":%llu,"
                      "\"server_cpu_us_per_op\":%.3f,\"leaseload_cpu_us_per_op\":%.3f}\n"
                    : "%llu in %.3f s (%.0f/s); p50 %.3f, p99 %.3f, max %.3f ms; %llu errors\n"
                      "CPU for each: server %.3f us, leaseload %.3f us\n",
                static_cast<unsigned long long>(latency.count()), seconds, count / seconds,
                ms(latency.Quantile(0.5)), ms(latency.Quantile(0.99)), ms(latency.max()),
                static_cast<unsigned long long>(errors), server_cpu_s * 1e6 / count,
                own_cpu_s * 1e6 / count);
    return errors == 0 && latency.count() > 0;
  }
};

// --- grants and keys: unary calls, each lease once ---

class LeaseRequests final : public RequestSource {
 public:
  explicit LeaseRequests(const Options& options) : RequestSource(Load{}), options_(options) {}

  std::optional<Kind> Next(std::string& out) override {
    if (next_ == options_.leases) return std::nullopt;
    const auto id = static_cast<uint64_t>(options_.first) + next_++;
    const size_t start = out.size();
    out.append(5, '\0');
    if (options_.mode == Mode::kGrant) {
      AppendNumber(out, 1, static_cast<uint64_t>(options_.ttl));
      AppendNumber(out, 2, id);
    } else {
      const std::string key = "lease/" + std::to_string(id);
      AppendBytes(out, 1, key);
      AppendBytes(out, 2, "alive");
      AppendNumber(out, 3, id);
    }
    out[start + 4] = static_cast<char>(out.size() - start - 5);
    return options_.mode == Mode::kGrant ? Kind::kLeaseGrant : Kind::kPut;
  }

 private:
  static void AppendNumber(std::string& out, uint32_t field, uint64_t value) {
    AppendVarint(out, field << 3);
    AppendVarint(out, value);
  }
  static void AppendBytes(std::string& out, uint32_t field, std::string_view bytes) {
    AppendVarint(out, field << 3 | 2);
    AppendVarint(out, bytes.size());
    out += bytes;
  }

  const Options& options_;
  size_t next_ = 0;
};

class EachOnce final : public Connection::Observer {
 public:
  explicit EachOnce(const Options& options) : options_(options), source_(options) {
    for (size_t i = 0; i < options.connections; ++i)
      peers_.Add(std::make_unique<CallPeer>(options_.host, options_.port, options_.streams, source_,
                                            static_cast<Connection::Observer&>(*this)));
  }
  void Run(Tally& tally) {
    tally_ = &tally;
    tally.Start(options_);
    peers_.TurnAll();
    while (tally.latency.count() < options_.leases) peers_.Wait();
    tally.Stop(options_);
  }
  void OnCallEnd(Kind, uint64_t started_at, bool ok) override {
    tally_->latency.Record(peers_.now() - std::min(started_at, peers_.now()));
    if (!ok) ++tally_->errors;
  }

 private:
  const Options& options_;
  LeaseRequests source_;
  Peers peers_;
  Tally* tally_ = nullptr;
};

// --- renewals ---

class Renewals {
 public:
  explicit Renewals(const Options& options) : options_(options) {
    for (size_t i = 0; i < options.connections; ++i)
      peers_.Add(std::make_unique<Renewer>(*this, i * options.streams));
  }
  void Run(Tally& tally) {
    tally_ = &tally;
    const auto ns = [](double seconds) { return static_cast<uint64_t>(seconds * 1e9); };
    tally.Start(options_);
    peers_.TurnAll();
    if (options_.once) {
      while (tally.latency.count() < options_.leases) peers_.Wait();
    } else {
      const uint64_t count_from = Now() + ns(options_.warmup_s);
      while (peers_.now() < count_from) peers_.Wait();
      tally.Start(options_);
      while (peers_.now() < count_from + ns(options_.duration_s)) peers_.Wait();
    }
    tally.Stop(options_);
  }

 private:
  // One connection. Each of its streams has the leases whose number leaves the stream's number as
  // remainder.
  class Renewer final : public Peer, public KeepAliveConnection::Observer {
   public:
    Renewer(Renewals& run, size_t first_stream)
        : Peer(Dial(run.options_.host, run.options_.port)),
          run_(run),
          streams_(run.options_.streams),
          connection_(run.options_.authority(), run.options_.streams, *this) {
      for (size_t i = 0; i < streams_.size(); ++i) streams_[i].next = first_stream + i;
    }
    void Receive(std::string_view bytes) override {
      if (!connection_.Receive(bytes)) Die(connection_.error());
    }
    std::string& output() override { return connection_.output(); }
    void Go() override {
      const Options& options = run_.options_;
      const uint64_t now = Now();
      for (size_t i = 0; i < streams_.size(); ++i) {
        Stream& stream = streams_[i];
        while (stream.sent.size() < options.ahead && stream.next < options.leases) {
          const int64_t id = options.first + static_cast<int64_t>(stream.next);
          connection_.Renew(i, id);
          stream.sent.emplace_back(id, now);
          stream.next += options.connections * options.streams;
          if (stream.next >= options.leases && !options.once)
            stream.next %= options.connections * options.streams;
        }
      }
    }
    void OnRenewed(size_t number, int64_t id, int64_t ttl) override {
      Stream& stream = streams_[number];
      if (stream.sent.empty() || stream.sent.front().first != id) Die("an answer to nothing");
      const uint64_t sent_at = stream.sent.front().second;
      stream.sent.pop_front();
      run_.tally_->latency.Record(run_.peers_.now() - std::min(sent_at, run_.peers_.now()));
      if (ttl == 0) ++run_.tally_->errors;
    }

   private:
    struct Stream {
      size_t next = 0;                                // number of a lease
      std::deque<std::pair<int64_t, uint64_t>> sent;  // id, and when
    };
    Renewals& run_;
    std::vector<Stream> streams_;
    KeepAliveConnection connection_;
  };

  const Options& options_;
  Peers peers_;
  Tally* tally_ = nullptr;
};

// --- all leases end together ---

class Storm final : public WatchConnection::Observer, public Connection::Observer {
 public:
  explicit Storm(const Options& options)
      : options_(options), puts_(Load{.keys = 1000, .value_bytes = 64}) {}

  void Run() {
    auto watching = std::make_unique<Watcher>(*this);
    watching->connection.Create(0, {.key = "lease/", .range_end = "lease0"});
    peers_.Add(std::move(watching));
    peers_.TurnAll();
    while (!watching_) peers_.Wait();
    Tally renewed;
    first_at_ = Now();
    Options once = options_;
    once.once = true;
    std::make_unique<Renewals>(once)->Run(renewed);
    if (renewed.errors > 0) Die("leases had ended before they were renewed");
    renewed_s_ = renewed.seconds;
    first_at_ += static_cast<uint64_t>(options_.ttl) * kSecond;
    idle_from_ = first_at_ - static_cast<uint64_t>(options_.duration_s * 1e9);
    if (Now() + kSecond > idle_from_) Die("--ttl is too short for --duration");
    while (Now() + kSecond < idle_from_) peers_.Wait();
    for (int i = 0; i < 4; ++i)
      peers_.Add(std::make_unique<CallPeer>(options_.host, options_.port, 1, puts_,
                                            static_cast<Connection::Observer&>(*this)));
    peers_.TurnAll();
    while (deleted_ < options_.leases) peers_.Wait();
    gone_at_ = peers_.now();
  }

  void OnCreated(size_t, int64_t) override { watching_ = true; }
  void OnCanceled(size_t, int64_t) override { Die("the watch was canceled"); }
  void OnEvent(size_t, int64_t, std::string_view) override {
    if (peers_.now() < first_at_ && deleted_ == 0) Die("a lease ended early");
    ++deleted_;
  }
  void OnCallEnd(Kind, uint64_t started_at, bool ok) override {
    if (!ok) Die("a Put failed");
    if (started_at < idle_from_) return;
    (started_at < first_at_ ? idle_ : storm_).Record(peers_.now() - started_at);
  }

  void Report() const {
    const auto s = [](uint64_t ns) { return static_cast<double>(ns) / 1e9; };
    std::printf(
        "{\"leases\":%zu,\"renewed_s\":%.3f,\"gone_s\":%.3f,\"idle_from\":%.3f,"
        "\"storm_from\":%.3f,\"storm_until\":%.3f,",
        options_.leases, renewed_s_, s(gone_at_ - first_at_), s(idle_from_), s(first_at_),
        s(gone_at_));
    Describe("idle", idle_);
    std::printf(",");
    Describe("storm", storm_);
    std::printf("}\n");
  }

 private:
  static constexpr uint64_t kSecond = 1'000'000'000;

  class Watcher final : public Peer {
   public:
    explicit Watcher(Storm& storm)
        : Peer(Dial(storm.options_.host, storm.options_.port)),
          connection(storm.options_.authority(), 1, 1 << 30, storm) {}
    void Receive(std::string_view bytes) override {
      if (!connection.Receive(bytes)) Die(connection.error());
    }
    std::string& output() override { return connection.output(); }

    WatchConnection connection;
  };
  static void Describe(const char* name, const Histogram& puts) {
    const auto ms = [](uint64_t ns) { return static_cast<double>(ns) / 1e6; };
    std::printf("\"%s\":{\"count\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}", name,
                static_cast<unsigned long long>(puts.count()), ms(puts.Quantile(0.5)),
                ms(puts.Quantile(0.99)), ms(puts.max()));
  }

  const Options& options_;
  RequestSource puts_;
  Peers peers_;
  bool watching_ = false;
  uint64_t deleted_ = 0;
  uint64_t first_at_ = 0;  // when the first lease may end
  uint64_t idle_from_ = 0, gone_at_ = 0;
  double renewed_s_ = 0;
  Histogram idle_, storm_;
};

bool Main(const Options& options) {
  Tally tally;
  if (options.mode == Mode::kStorm) {
    const auto storm = std::make_unique<Storm>(options);
    storm->Run();
    storm->Report();
    return true;
  }
  if (options.mode == Mode::kRenew)
    std::make_unique<Renewals>(options)->Run(tally);
  else
    std::make_unique<EachOnce>(options)->Run(tally);
  return tally.Report(options);
}

}  // namespace
}  // namespace quoin::bench

int main(int argc, char** argv) {
  const quoin::bench::Options options = quoin::bench::ParseOptions(argc, argv);
  return quoin::bench::Main(options) ? 0 : 1;
}

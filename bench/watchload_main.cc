// watchload: watchers of one endpoint and the Puts that they hear of, on one thread and as little
// CPU as it can do with, because it shares the machine with the server that it measures.
//
// The last eight bytes of each value are the time of its Put: every event tells how old it is.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/call_peer.h"
#include "bench/connection.h"
#include "bench/histogram.h"
#include "bench/peers.h"
#include "bench/requests.h"
#include "bench/system.h"
#include "bench/watch_connection.h"

namespace quoin::bench {
namespace {

constexpr char kUsage[] =
    "usage: watchload [options] HOST:PORT\n"
    "  --mode fanout   Puts, and watchers that get them all (default)\n"
    "         behind   one watcher from revision --from on, made anew after --events events;\n"
    "                  prints a line each time\n"
    "         silent   watchers whose client reads nothing once they are made: it says so then\n"
    "  --keys N          (1)         --watchers N  per key (10000)\n"
    "  --prefix                      watchers watch all keys instead of one each\n"
    "  --prev-kv                     with previous values\n"
    "  --connections N   (100)       --streams N   per connection, for watchers (10)\n"
    "  --writers N       (4)         --calls N     Puts at once per writer (64)\n"
    "  --rate N          Puts per second at most, those missed not made up for (0: as many as go)\n"
    "  --ahead N         events that may be on their way (four Puts' worth, at least 10000)\n"
    "  --value N         bytes (64)  --seed N      (1)\n"
    "  --from N --events N           of behind\n"
    "  --warmup S        (2)         --duration S  counted (10)\n"
    "  --server-pid N    whose CPU is counted      --json  one line for programs\n";

// The least and most of all keys that RequestSource makes.
constexpr std::string_view kKeysBegin = "bench/", kKeysEnd = "bench0";
constexpr uint32_t kWindowBytes = 1 << 30;
constexpr uint64_t kPatienceNs = 60'000'000'000;  // for what must come

enum class Mode { kFanout, kBehind, kSilent };

struct Options {
  Load load{.keys = 1, .value_bytes = 64};
  Mode mode = Mode::kFanout;
  std::string host, port;
  size_t watchers = 10000, connections = 100, streams = 10, writers = 4, calls = 64;
  bool prefix = false, prev_kv = false, json = false;
  uint64_t ahead = 0, events = 0, server_pid = 0;
  int64_t from = 0;
  double warmup_s = 2, duration_s = 10, rate = 0;

  size_t watches() const { return prefix ? watchers : watchers * load.keys; }
  std::string authority() const { return host + ":" + port; }
};

// True when `name` takes no value.
bool ParseSwitch(Options& options, std::string_view name) {
  bool* const which = name == "--prefix"    ? &options.prefix
                      : name == "--prev-kv" ? &options.prev_kv
                      : name == "--json"    ? &options.json
                                            : nullptr;
  if (which != nullptr) *which = true;
  return which != nullptr;
}

void ParseValue(Options& options, std::string_view name, std::string_view value) {
  const std::pair<std::string_view, size_t*> sizes[] = {{"--watchers", &options.watchers},
                                                        {"--connections", &options.connections},
                                                        {"--streams", &options.streams},
                                                        {"--writers", &options.writers},
                                                        {"--calls", &options.calls},
                                                        {"--ahead", &options.ahead},
                                                        {"--events", &options.events},
                                                        {"--server-pid", &options.server_pid},
                                                        {"--value", &options.load.value_bytes},
                                                        {"--keys", &options.load.keys},
                                                        {"--seed", &options.load.seed}};
  for (const auto& [text, target] : sizes) {
    if (name == text) {
      *target = ParseNumber<size_t>(value);
      return;
    }
  }
  if (name == "--from") {
    options.from = ParseNumber<int64_t>(value);
  } else if (name == "--rate") {
    options.rate = ParseNumber<double>(value);
  } else if (name == "--warmup") {
    options.warmup_s = ParseNumber<double>(value);
  } else if (name == "--duration") {
    options.duration_s = ParseNumber<double>(value);
  } else if (name == "--mode" && (value == "fanout" || value == "behind" || value == "silent")) {
    options.mode = value == "fanout"   ? Mode::kFanout
                   : value == "behind" ? Mode::kBehind
                                       : Mode::kSilent;
  } else {
    Die("unknown option " + std::string(name) + " " + std::string(value) + "\n" + kUsage);
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
    } else if (!name.starts_with("--")) {
      endpoint = name;
    } else if (!ParseSwitch(options, name)) {
      if (++i == argc) Die("missing value of " + std::string(name));
      ParseValue(options, name, argv[i]);
    }
  }
  const size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos) Die(std::string("HOST:PORT is missing\n") + kUsage);
  options.host = endpoint.substr(0, colon);
  options.port = endpoint.substr(colon + 1);
  if (options.load.value_bytes < sizeof(uint64_t) || options.load.value_bytes > 60000)
    Die("values have 8 to 60000 bytes");
  for (size_t count : {options.watchers, options.connections, options.streams, options.writers,
                       options.calls, size_t{options.load.keys}}) {
    if (count == 0) Die("nothing to do");
  }
  if (options.ahead == 0) options.ahead = std::max<uint64_t>(4 * options.watchers, 10000);
  return options;
}

// Puts whose values end with the time when they were made, as fast as `may_put` lets them.
class StampedPuts final : public RequestSource {
 public:
  StampedPuts(const Load& load, std::function<bool()> may_put)
      : RequestSource(load), may_put_(std::move(may_put)) {}
  bool Ready() const override { return may_put_(); }
  std::optional<Kind> Next(std::string& out) override {
    const std::optional<Kind> kind = RequestSource::Next(out);
    const uint64_t now = Now();
    std::memcpy(out.data() + out.size() - sizeof(now), &now, sizeof(now));
    ++made_;
    last_ = now;
    return kind;
  }
  uint64_t made() const { return made_; }
  uint64_t last() const { return last_; }  // when

 private:
  const std::function<bool()> may_put_;
  uint64_t made_ = 0, last_ = 0;
};

// When the value of a put event was made.
uint64_t StampOf(std::string_view event) {
  // Event.kv comes first (puts have no type on the wire), and ends with the value.
  size_t at = 1, length = 0;
  for (int shift = 0; at < event.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(event[at++]);
    length |= static_cast<size_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  uint64_t stamp = 0;
  if (event.empty() || event[0] != (2 << 3 | 2) || length < sizeof(stamp) ||
      at + length > event.size())
    Die("an event is no Put of this program");
  std::memcpy(&stamp, event.data() + at + length - sizeof(stamp), sizeof(stamp));
  return stamp;
}

class WatchPeer final : public Peer {
 public:
  WatchPeer(const Options& options, WatchConnection::Observer& observer)
      : Peer(Dial(options.host, options.port)),
        connection(options.authority(), options.streams, kWindowBytes, observer) {}
  void Receive(std::string_view bytes) override {
    if (!connection.Receive(bytes)) Die(connection.error());
  }
  std::string& output() override { return connection.output(); }

  WatchConnection connection;
};

// Puts, and the watchers that hear of them.
class Fanout final : public WatchConnection::Observer, public Connection::Observer {
 public:
  explicit Fanout(const Options& options)
      : options_(options), source_(options.load, [this] { return MayPut(); }) {
    for (size_t i = 0; i < options.connections; ++i) {
      auto peer = std::make_unique<WatchPeer>(options, *this);
      watching_.push_back(peer.get());
      peers_.Add(std::move(peer));
    }
  }

  void CreateWatches() {
    const size_t slots = options_.connections * options_.streams;
    const size_t keys = options_.prefix ? 1 : options_.load.keys;
    // The watchers of one key are spread over all connections.
    const size_t stride = std::max<size_t>(1, slots / options_.watchers);
    for (size_t key = 0; key < keys; ++key) {
      char text[32];
      std::snprintf(text, sizeof(text), "bench/%012zu", key);
      for (size_t i = 0; i < options_.watchers; ++i) {
        const size_t slot = (key + i * stride) % slots;
        WatchRequest request{.key = text, .prev_kv = options_.prev_kv};
        if (options_.prefix) request.key = kKeysBegin, request.range_end = kKeysEnd;
        watching_[slot % options_.connections]->connection.Create(slot / options_.connections,
                                                                  request);
      }
    }
    peers_.TurnAll();
    WaitFor("watchers", [this] { return created_ == options_.watches(); });
  }

  void Run() {
    for (size_t i = 0; i < options_.writers; ++i)
      peers_.Add(std::make_unique<CallPeer>(options_.host, options_.port, options_.calls, source_,
                                            static_cast<Connection::Observer&>(*this)));
    const uint64_t start = Now();
    count_from_ = start + static_cast<uint64_t>(options_.warmup_s * 1e9);
    const uint64_t until = count_from_ + static_cast<uint64_t>(options_.duration_s * 1e9);
    running_ = true;
    while (peers_.now() < until) {
      if (!counting_ && peers_.now() >= count_from_) StartCounting();
      peers_.TurnAll();
      options_.rate > 0 ? peers_.Wait(1) : peers_.Wait();
    }
    StopCounting();
    running_ = false;
    WaitFor("events", [this] {
      return answered_ == source_.made() && delivered_ >= answered_ * options_.watchers;
    });
    if (delivered_ != answered_ * options_.watchers) Die("events came more than once");
  }

  void StayWithoutReading() {
    peers_.StopReading();
    std::printf("watching\n");
    std::fflush(stdout);
    const uint64_t until = Now() + static_cast<uint64_t>(options_.duration_s * 1e9);
    while (Now() < until) peers_.Wait();
  }

  void OnCreated(size_t, int64_t) override { ++created_; }
  void OnCanceled(size_t, int64_t) override { Die("a watch was canceled"); }
  void OnEvent(size_t, int64_t, std::string_view event) override {
    ++delivered_;
    const uint64_t stamp = StampOf(event);
    if (counting_) age_.Record(peers_.now() - std::min(stamp, peers_.now()));
  }
  void OnCallEnd(Kind, uint64_t started_at, bool ok) override {
    if (!ok) Die("a Put failed");
    ++answered_;
    if (counting_) puts_.Record(peers_.now() - std::min(started_at, peers_.now()));
  }

  void Report() const {
    const auto ms = [](uint64_t ns) { return static_cast<double>(ns) / 1e6; };
    const auto events = static_cast<double>(counted_events_);
    std::printf(
        options_.json
            ? "{\"seconds\":%.3f,\"events\":%llu,\"events_per_s\":%.0f,\"puts\":%llu,"
              "\"puts_per_s\":%.1f,\"server_cpu_us_per_event\":%.4f,"
              "\"watchload_cpu_us_per_event\":%.4f,\"event_p50_ms\":%.3f,\"event_p99_ms\":%.3f,"
              "\"event_max_ms\":%.3f,\"put_p50_ms\":%.3f,\"put_p99_ms\":%.3f}\n"
            : "%.3f s: %llu events (%.0f/s) of %llu Puts (%.1f/s)\n"
              "CPU per event: server %.4f us, watchload %.4f us\n"
              "age of events: p50 %.3f, p99 %.3f, max %.3f ms; Puts: p50 %.3f, p99 %.3f ms\n",
        seconds_, static_cast<unsigned long long>(counted_events_), events / seconds_,
        static_cast<unsigned long long>(puts_.count()),
        static_cast<double>(puts_.count()) / seconds_, server_cpu_s_ * 1e6 / events,
        own_cpu_s_ * 1e6 / events, ms(age_.Quantile(0.5)), ms(age_.Quantile(0.99)), ms(age_.max()),
        ms(puts_.Quantile(0.5)), ms(puts_.Quantile(0.99)));
  }

 private:
  // Puts do not run away from what they set off.
  bool MayPut() const {
    const bool early =
        options_.rate > 0 && Now() < source_.last() + static_cast<uint64_t>(1e9 / options_.rate);
    return running_ && !early && source_.made() * options_.watchers < delivered_ + options_.ahead;
  }

  template <typename Done>
  void WaitFor(const char* what, Done done) {
    const uint64_t deadline = Now() + kPatienceNs;
    while (!done()) {
      peers_.Wait();
      if (peers_.now() > deadline)
        Die(std::string(what) + " did not come: " + std::to_string(created_) + " watchers, " +
            std::to_string(delivered_) + " events of " + std::to_string(answered_) + " Puts");
    }
  }

  void StartCounting() {
    counting_ = true;
    count_from_ = peers_.now();
    counted_events_ = delivered_;
    own_cpu_s_ = CpuSeconds();
    server_cpu_s_ = CpuSecondsOf(options_.server_pid);
  }
  void StopCounting() {
    counting_ = false;
    seconds_ = static_cast<double>(peers_.now() - count_from_) / 1e9;
    counted_events_ = delivered_ - counted_events_;
    own_cpu_s_ = CpuSeconds() - own_cpu_s_;
    server_cpu_s_ = CpuSecondsOf(options_.server_pid) - server_cpu_s_;
    if (counted_events_ == 0) Die("no events");
  }

  const Options& options_;
  StampedPuts source_;
  Peers peers_;
  std::vector<WatchPeer*> watching_;
  uint64_t created_ = 0, delivered_ = 0, answered_ = 0;
  bool running_ = false, counting_ = false;
  uint64_t count_from_ = 0, counted_events_ = 0;
  double seconds_ = 0, own_cpu_s_ = 0, server_cpu_s_ = 0;
  Histogram age_, puts_;
};

// A watcher that reads the past, again and again.
class Behind final : public WatchConnection::Observer {
 public:
  explicit Behind(const Options& options) : options_(options) {
    auto peer = std::make_unique<WatchPeer>(options, *this);
    watching_ = peer.get();
    peers_.Add(std::move(peer));
    Begin();
  }
  void Run() {
    const uint64_t until = Now() + static_cast<uint64_t>(options_.duration_s * 1e9);
    peers_.TurnAll();
    while (peers_.now() < until) peers_.Wait();
  }
  void OnCreated(size_t, int64_t watch_id) override { current_ = watch_id; }
  void OnCanceled(size_t, int64_t watch_id) override {
    if (watch_id < 0 || watch_id == current_) Die("the watch was canceled");
  }
  void OnEvent(size_t, int64_t watch_id, std::string_view) override {
    if (watch_id != current_ || ++seen_ < options_.events) return;
    std::printf("%.3f\n", static_cast<double>(Now() - began_) / 1e9);
    std::fflush(stdout);
    watching_->connection.Cancel(0, std::exchange(current_, -1));
    Begin();
  }

 private:
  void Begin() {
    began_ = Now();
    seen_ = 0;
    watching_->connection.Create(0, {.key = kKeysBegin,
                                     .range_end = kKeysEnd,
                                     .start_revision = options_.from,
                                     .prev_kv = options_.prev_kv});
  }

  const Options& options_;
  Peers peers_;
  WatchPeer* watching_ = nullptr;
  int64_t current_ = -1;
  uint64_t seen_ = 0, began_ = 0;
};

void Main(const Options& options) {
  if (options.mode == Mode::kBehind) return std::make_unique<Behind>(options)->Run();
  const auto fanout = std::make_unique<Fanout>(options);
  fanout->CreateWatches();
  if (options.mode == Mode::kSilent) return fanout->StayWithoutReading();
  fanout->Run();
  fanout->Report();
}

}  // namespace
}  // namespace quoin::bench

int main(int argc, char** argv) {
  const quoin::bench::Options options = quoin::bench::ParseOptions(argc, argv);
  quoin::bench::Main(options);
  return 0;
}

// loadgen: a closed loop of Put and Range calls against one endpoint, on one thread and as little
// CPU as it can do with, because it shares the machine with the server that it measures.

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/connection.h"
#include "bench/histogram.h"
#include "bench/requests.h"
#include "bench/system.h"

namespace quoin::bench {
namespace {

constexpr char kUsage[] =
    "usage: loadgen [options] HOST:PORT\n"
    "  --mode put|range|mixed|fill   fill writes every key once and ends (default put)\n"
    "  --connections N   (100)       --streams N   calls at once per connection (10)\n"
    "  --keys N          (100000)    --value N     bytes (256)\n"
    "  --read-share F    of mixed (0.5)            --serializable  for ranges\n"
    "  --warmup S        not counted (2)           --duration S    counted (10)\n"
    "  --rate N          calls per second at most, those missed made up for (0: as many as go)\n"
    "  --seed N          (1)         --json        one line for programs\n";

struct Options {
  Load load;
  std::string host;
  std::string port;
  size_t connections = 100;
  size_t streams = 10;
  double warmup_s = 2;
  double duration_s = 10;
  double rate = 0;
  bool json = false;
};

Options ParseOptions(int argc, char** argv) {
  Options options;
  std::string endpoint;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--json") {
      options.json = true;
    } else if (name == "--serializable") {
      options.load.serializable = true;
    } else if (name == "--help" || name == "-h") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    } else if (name.starts_with("--")) {
      if (++i == argc) Die("missing value of " + std::string(name));
      const std::string_view value = argv[i];
      if (name == "--mode") {
        const auto mode = ParseMode(value);
        if (!mode) Die("unknown mode " + std::string(value));
        options.load.mode = *mode;
      } else if (name == "--connections") {
        options.connections = ParseNumber<size_t>(value);
      } else if (name == "--streams") {
        options.streams = ParseNumber<size_t>(value);
      } else if (name == "--keys") {
        options.load.keys = ParseNumber<uint64_t>(value);
      } else if (name == "--value") {
        options.load.value_bytes = ParseNumber<size_t>(value);
      } else if (name == "--read-share") {
        options.load.read_share = ParseNumber<double>(value);
      } else if (name == "--warmup") {
        options.warmup_s = ParseNumber<double>(value);
      } else if (name == "--duration") {
        options.duration_s = ParseNumber<double>(value);
      } else if (name == "--rate") {
        options.rate = ParseNumber<double>(value);
      } else if (name == "--seed") {
        options.load.seed = ParseNumber<uint64_t>(value);
      } else {
        Die("unknown option " + std::string(name) + "\n" + kUsage);
      }
    } else {
      endpoint = name;
    }
  }
  const size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos) Die(std::string("HOST:PORT is missing\n") + kUsage);
  if (options.connections == 0 || options.streams == 0 || options.load.keys == 0)
    Die("nothing to do");
  if (options.load.value_bytes > 60000)
    Die("values larger than a stream's first window are not supported");
  options.host = endpoint.substr(0, colon);
  options.port = endpoint.substr(colon + 1);
  return options;
}

// What one kind of call took in the counted part of the run.
struct Tally {
  Histogram latency;
  uint64_t errors = 0;
};

class Generator : public Connection::Observer {
 public:
  explicit Generator(const Options& options)
      : options_(options), source_(options.load), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) Die("epoll_create1");
    for (size_t i = 0; i < options.connections; ++i) AddPeer();
  }

  void Run() {
    const uint64_t start = Now();
    const bool fill = options_.load.mode == Load::Mode::kFill;
    count_from_ = fill ? start : start + static_cast<uint64_t>(options_.warmup_s * 1e9);
    count_until_ =
        fill ? UINT64_MAX : count_from_ + static_cast<uint64_t>(options_.duration_s * 1e9);
    started_at_ = now_ = start;
    for (auto& peer : peers_) Turn(*peer, start);
    double cpu_before = fill ? CpuSeconds() : 0;
    bool counting = fill;
    while (now_ < count_until_ && !AllDone()) {
      if (!counting && now_ >= count_from_) {
        counting = true;
        cpu_before = CpuSeconds();
      }
      Wait();
    }
    counted_s_ = static_cast<double>(now_ - count_from_) / 1e9;
    cpu_s_ = CpuSeconds() - cpu_before;
  }

  void OnCallEnd(Kind kind, uint64_t started_at, bool ok) override {
    if (now_ < count_from_) return;
    Tally& tally = tallies_[static_cast<size_t>(kind)];
    tally.latency.Record(now_ - started_at);
    if (!ok) ++tally.errors;
  }

  // True when every call went well.
  bool Report() const {
    bool good = true;
    uint64_t total = 0;
    for (const Tally& tally : tallies_) total += tally.latency.count();
    std::string json = "{";
    for (size_t kind = 0; kind < kKindCount; ++kind) {
      const Tally& tally = tallies_[kind];
      if (tally.latency.count() == 0) continue;
      good = good && tally.errors == 0;
      json += Describe(kind == 0 ? "put" : "range", tally) + ",";
    }
    const double cpu_us = total == 0 ? 0 : cpu_s_ * 1e6 / static_cast<double>(total);
    if (options_.json) {
      std::printf("%s\"seconds\":%.3f,\"ops\":%llu,\"loadgen_cpu_us_per_op\":%.2f}\n", json.c_str(),
                  counted_s_, static_cast<unsigned long long>(total), cpu_us);
    } else {
      std::printf("loadgen's own CPU: %.2f us per call\n", cpu_us);
    }
    return good && total > 0;
  }

 private:
  struct Peer {
    Peer(int socket, Generator& generator, const Options& options)
        : fd(socket),
          connection(options.host + ":" + options.port, options.streams, generator.source_,
                     generator) {}
    const int fd;
    Connection connection;
    bool waits_to_write = false;
  };

  void AddPeer() {
    const int fd = Dial(options_.host, options_.port);
    peers_.push_back(std::make_unique<Peer>(fd, *this, options_));
    epoll_event event{EPOLLIN, {.ptr = peers_.back().get()}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
  }

  bool AllDone() const {
    return std::all_of(peers_.begin(), peers_.end(),
                       [](const auto& peer) { return peer->connection.done(); });
  }

  void Wait() {
    std::array<epoll_event, 128> events;
    const int count = epoll_wait(epoll_, events.data(), events.size(), paced() ? 1 : 100);
    if (count < 0 && errno != EINTR) Die("epoll_wait");
    now_ = Now();
    for (int i = 0; i < count; ++i) {
      Peer& peer = *static_cast<Peer*>(events[static_cast<size_t>(i)].data.ptr);
      if ((events[static_cast<size_t>(i)].events & ~EPOLLOUT) != 0) Read(peer);
      now_ = Now();
      Turn(peer, now_);
    }
    // What is due goes out on whichever connection has room.
    for (size_t i = 0; paced() && MayStart(now_) > 0 && i < peers_.size(); ++i)
      Turn(*peers_[next_peer_++ % peers_.size()], now_);
  }

  bool paced() const { return options_.rate > 0; }
  size_t MayStart(uint64_t now) const {
    if (!paced()) return SIZE_MAX;
    const double due = options_.rate * static_cast<double>(now - started_at_) / 1e9;
    return due <= static_cast<double>(started_) ? 0 : static_cast<size_t>(due) - started_;
  }

  void Read(Peer& peer) {
    const ssize_t got = read(peer.fd, buffer_.data(), buffer_.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) Die("the server closed a connection");
    now_ = Now();
    if (!peer.connection.Receive({buffer_.data(), static_cast<size_t>(got)}))
      Die(peer.connection.error());
  }

  // Starts what can be started and sends what there is to send.
  void Turn(Peer& peer, uint64_t now) {
    started_ += peer.connection.StartCalls(now, MayStart(now));
    std::string& output = peer.connection.output();
    if (!output.empty()) {
      const ssize_t sent = send(peer.fd, output.data(), output.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN && errno != EINTR)
        Die(std::string("send: ") + std::strerror(errno));
      if (sent > 0) output.erase(0, static_cast<size_t>(sent));
    }
    if (peer.waits_to_write == output.empty()) {
      peer.waits_to_write = !output.empty();
      epoll_event event{EPOLLIN | (peer.waits_to_write ? EPOLLOUT : 0u), {.ptr = &peer}};
      if (epoll_ctl(epoll_, EPOLL_CTL_MOD, peer.fd, &event) != 0) Die("epoll_ctl");
    }
  }

  // Prints a line, or returns the JSON member.
  std::string Describe(const char* name, const Tally& tally) const {
    const Histogram& latency = tally.latency;
    const double per_second = static_cast<double>(latency.count()) / counted_s_;
    const auto ms = [](uint64_t ns) { return static_cast<double>(ns) / 1e6; };
    char line[512];
    if (!options_.json) {
      std::printf(
          "%-5s  %10.0f /s   mean %.3f  p50 %.3f  p90 %.3f  p99 %.3f  p999 %.3f  max %.3f ms   "
          "errors %llu\n",
          name, per_second, ms(latency.mean()), ms(latency.Quantile(0.5)),
          ms(latency.Quantile(0.9)), ms(latency.Quantile(0.99)), ms(latency.Quantile(0.999)),
          ms(latency.max()), static_cast<unsigned long long>(tally.errors));
    }
    std::snprintf(line, sizeof(line),
                  "\"%s\":{\"count\":%llu,\"per_second\":%.1f,\"mean_ms\":%.4f,\"p50_ms\":%.4f,"
                  "\"p90_ms\":%.4f,"
                  "\"p99_ms\":%.4f,\"p999_ms\":%.4f,\"max_ms\":%.4f,\"errors\":%llu}",
                  name, static_cast<unsigned long long>(latency.count()), per_second,
                  ms(latency.mean()), ms(latency.Quantile(0.5)), ms(latency.Quantile(0.9)),
                  ms(latency.Quantile(0.99)), ms(latency.Quantile(0.999)), ms(latency.max()),
                  static_cast<unsigned long long>(tally.errors));
    return line;
  }

  const Options& options_;
  RequestSource source_;
  const int epoll_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::array<char, 1 << 16> buffer_;
  uint64_t now_ = 0;
  uint64_t started_at_ = 0;
  size_t started_ = 0;    // calls
  size_t next_peer_ = 0;  // of those that are asked in turn whether they have room
  uint64_t count_from_ = 0;
  uint64_t count_until_ = 0;
  double counted_s_ = 0;
  double cpu_s_ = 0;
  std::array<Tally, kKindCount> tallies_;
};

}  // namespace
}  // namespace quoin::bench

int main(int argc, char** argv) {
  const quoin::bench::Options options = quoin::bench::ParseOptions(argc, argv);
  const auto generator = std::make_unique<quoin::bench::Generator>(options);
  generator->Run();
  return generator->Report() ? 0 : 1;
}

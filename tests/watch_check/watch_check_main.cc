// watch_check: writes to a cluster, watches it in every way that there is, and compares what the
// watchers are told with a model of the store. Whoever starts it breaks the members meanwhile.
//
//   watch_check [--seed N] [--events N] [--rate N] [--keep N] HOST:PORT …
//
// Prints "enough" once --events different events have happened, writes on until its standard input
// ends, and prints "done" and a line of JSON when everything was told. Exits with 1 and tells why
// when something was wrong. The store must be empty.

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <future>
#include <string>
#include <string_view>
#include <thread>

#include "client/client.h"
#include "env/posix/posix_env.h"
#include "tests/watch_check/load.h"
#include "tests/watch_check/shared.h"
#include "tests/watch_check/watch_stream.h"

namespace quoin::watch_check {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr env::Duration kPatience = seconds(60);  // for what must come at the end

struct Options {
  uint64_t seed = 1, events = 10000;
  Load::Options load;
  std::vector<client::Endpoint> endpoints;
};

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "watch_check: %s\n", what.c_str());
  std::fflush(stdout);
  std::_Exit(1);
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (!name.starts_with("--")) {
      StatusOr<client::Endpoint> endpoint = client::ParseEndpoint(argv[i]);
      if (!endpoint.ok()) Fail(std::string(endpoint.status().message()));
      options.endpoints.push_back(*endpoint);
      continue;
    }
    if (++i == argc) Fail("missing value of " + std::string(name));
    const uint64_t value = std::strtoull(argv[i], nullptr, 10);
    if (name == "--seed") {
      options.seed = value;
    } else if (name == "--events") {
      options.events = value;
    } else if (name == "--rate") {
      options.load.requests_per_second = value;
    } else if (name == "--keep") {
      options.load.kept_revisions_max = static_cast<int64_t>(value);
    } else {
      Fail("unknown option " + std::string(name));
    }
  }
  if (options.endpoints.empty()) Fail("no endpoint");
  return options;
}

std::vector<StreamOptions> Streams() {
  const Interest all{}, all_previous{.previous = true};
  const Interest puts{.deletes = false, .previous = true}, deletes{.puts = false, .previous = true};
  const Interest prefix{.from = 0, .to = 100, .previous = true}, range{.from = 300, .to = 700};
  const Interest key{.from = 7, .to = 8, .previous = true};
  const Interest narrow{.from = 500, .to = 502, .previous = true};
  return {
      {.name = "everything", .interests = {all_previous}, .tells = true},
      {.name = "parts",
       .interests = {prefix, range, key, narrow, puts, deletes},
       .first_endpoint = 1,
       .asks_for_progress = true},
      {.name = "fragments", .interests = {all_previous}, .first_endpoint = 2, .fragment = true},
      {.name = "idle",
       .interests = {key, narrow, {.from = 8, .to = 9}},
       .first_endpoint = 2,
       .progress_notify = true},
      {.name = "restless",
       .interests = {all, key},
       .progress_notify = true,
       .asks_for_progress = true,
       .restless = true},
      {.name = "restless parts",
       .interests = {range, narrow, deletes},
       .progress_notify = true,
       .asks_for_progress = true,
       .restless = true},
      {.name = "past", .interests = {all_previous}, .first_endpoint = 1, .roams = true},
      {.name = "past in fragments",
       .interests = {all_previous},
       .first_endpoint = 2,
       .fragment = true,
       .restless = true,
       .roams = true},
      {.name = "past of a key", .interests = {key}, .asks_for_progress = true, .roams = true},
      {.name = "past of parts",
       .interests = {prefix, puts},
       .first_endpoint = 1,
       .restless = true,
       .roams = true},
  };
}

// Thread: the loop, but for the constructor and Wait.
class Run {
 public:
  Run(env::Env& env, env::Executor& loop, const Options& options)
      : options_(options),
        shared_(env, loop, options.endpoints, options.seed,
                [](const std::string& what) { Fail("VIOLATION: " + what); }) {}

  void Begin() {
    client_ = shared_.NewClient(0);
    client_->Unary(client::kRange, Everything().SerializeAsString(), kPatience,
                   [this](StatusOr<std::string> answer) {
                     const etcdserverpb::RangeResponse response = Parse(answer);
                     if (response.count() != 0) Fail("the store is not empty");
                     Start(response.header().revision());
                   });
  }
  // The members are well again.
  void Finish() {
    load_->Stop();
    finishing_ = true;
  }
  void Wait() { ended_.get_future().wait(); }
  void Destroy() {
    shared_.loop.Cancel(timer_);
    load_.reset();
    streams_.clear();
    client_.reset();
  }

 private:
  static etcdserverpb::RangeRequest Everything() {
    etcdserverpb::RangeRequest request;
    request.set_key(KeyName(0));
    request.set_range_end("w0");
    return request;
  }
  static etcdserverpb::RangeResponse Parse(const StatusOr<std::string>& answer) {
    if (!answer.ok()) Fail("range: " + answer.status().ToString());
    etcdserverpb::RangeResponse response;
    if (!response.ParseFromString(*answer)) Fail("range: a malformed response");
    return response;
  }

  void Start(int64_t revision) {
    shared_.oracle = std::make_unique<Oracle>(revision, shared_.violation);
    for (StreamOptions& stream : Streams()) {
      streams_.push_back(std::make_unique<WatchStream>(shared_, std::move(stream), revision + 1,
                                                       [this] { CheckAll(); }));
    }
    load_ = std::make_unique<Load>(shared_, options_.load, [this] { return Needed(); });
    Watch();
  }

  void CheckAll() {
    for (auto& stream : streams_) stream->Check();
  }
  int64_t Needed() const {
    int64_t least = INT64_MAX;
    for (const auto& stream : streams_) least = std::min(least, stream->needed());
    return least;
  }

  // Every tenth of a second: is it enough, is it over?
  void Watch() {
    timer_ = shared_.loop.RunAfter(milliseconds(100), [this] { Watch(); });
    const uint64_t events = streams_.front()->events();
    if (!enough_ && events >= options_.events) {
      enough_ = true;
      std::printf("enough\n");
    }
    if (++turns_ % 50 == 0)
      std::printf("%llu events, %llu told\n", static_cast<unsigned long long>(events),
                  static_cast<unsigned long long>(Told()));
    std::fflush(stdout);
    if (!finishing_ || load_->running() > 0) return;
    if (!std::exchange(shared_.finishing, true))
      give_up_at_ = shared_.loop.clock().Now() + kPatience;
    if (shared_.loop.clock().Now() > give_up_at_) {
      const int64_t last = shared_.oracle->model().next_revision() - 1;
      Fail(fmt::format("VIOLATION: not all up to {} was told: {}", last, Missing()));
    }
    for (auto& stream : streams_) stream->AskForProgress();
    if (!Missing().empty() || compared_) return;
    compared_ = true;
    Compare();
  }

  std::string Missing() const {
    std::string missing;
    if (shared_.oracle->owed() > 0)
      missing = fmt::format("{} acknowledged requests; ", shared_.oracle->owed());
    const int64_t last = std::max(load_->newest(), shared_.oracle->model().next_revision() - 1);
    for (const auto& stream : streams_) {
      if (!stream->Reached(last)) missing += stream->Describe() + "; ";
    }
    return missing;
  }

  // The store itself at the end.
  void Compare() {
    etcdserverpb::RangeRequest request = Everything();
    request.set_revision(shared_.oracle->model().next_revision() - 1);
    client_->Unary(client::kRange, request.SerializeAsString(), kPatience,
                   [this](StatusOr<std::string> answer) {
                     const etcdserverpb::RangeResponse response = Parse(answer);
                     auto kv = response.kvs().begin();
                     for (uint32_t key = 0; key < kKeys; ++key) {
                       const std::optional<Record>& live = shared_.oracle->model().Live(key);
                       if (!live) continue;
                       if (kv == response.kvs().end() || kv->key() != KeyName(key) ||
                           TagOf(kv->value()) != live->tag ||
                           kv->mod_revision() != live->mod_revision ||
                           kv->version() != live->version)
                         Fail("VIOLATION: the store differs from the model at " + KeyName(key));
                       ++kv;
                     }
                     if (kv != response.kvs().end()) Fail("VIOLATION: keys that nobody wrote");
                     Report();
                   });
  }

  uint64_t Told() const {
    uint64_t told = 0;
    for (const auto& stream : streams_) told += stream->events();
    return told;
  }

  void Report() {
    uint64_t openings = 0, fragments = 0, promises = 0, compactions = 0;
    for (const auto& stream : streams_) {
      openings += stream->openings();
      fragments += stream->fragments();
      promises += stream->promises();
      compactions += stream->compactions();
    }
    const Model& model = shared_.oracle->model();
    fmt::print(
        "done\n{{\"seed\":{},\"events\":{},\"revisions\":{},\"told\":{},\"acknowledged\":{},"
        "\"lost\":{},\"compactions\":{},\"streams_opened\":{},\"fragments\":{},\"promises\":{},"
        "\"ended_by_compaction\":{}}}\n",
        options_.seed, streams_.front()->events(), model.next_revision() - model.first_revision(),
        Told(), load_->acknowledged(), load_->lost(), load_->compactions(), openings, fragments,
        promises, compactions);
    ended_.set_value();
  }

  const Options& options_;
  Shared shared_;
  std::unique_ptr<client::AsyncClient> client_;
  std::vector<std::unique_ptr<WatchStream>> streams_;
  std::unique_ptr<Load> load_;
  bool enough_ = false, finishing_ = false, compared_ = false;
  uint64_t turns_ = 0;
  env::Duration give_up_at_{};
  env::TimerId timer_;
  std::promise<void> ended_;
};

int Main(const Options& options) {
  auto env = env::NewPosixEnv();
  auto loop = env->NewExecutor("watch_check");
  Run run(*env, *loop, options);
  loop->Post([&run] { run.Begin(); });
  while (std::getchar() != EOF) {
  }
  loop->Post([&run] { run.Finish(); });
  run.Wait();
  std::promise<void> gone;
  loop->Post([&] {
    run.Destroy();
    loop->Post([&] { gone.set_value(); });  // after what that has posted
  });
  gone.get_future().wait();
  return 0;
}

}  // namespace
}  // namespace quoin::watch_check

int main(int argc, char** argv) {
  return quoin::watch_check::Main(quoin::watch_check::ParseOptions(argc, argv));
}

// Publish and subscribe: a configuration value that programs follow, and a topic whose messages
// reach every subscriber once and in order, also those who come later.
//
//   publish_subscribe [HOST:PORT …]
#include <fmt/format.h>

#include "client/registry.h"
#include "client/requests.h"
#include "client/stm.h"
#include "connect.h"

using namespace quoin;
using examples::kTimeout;
using examples::Require;

namespace {

constexpr int kMessages = 100;

int64_t Put(client::Client& store, const std::string& key, const std::string& value) {
  client::pb::PutRequest request;
  request.set_key(key);
  request.set_value(value);
  return Require(store.Call(client::kPut, request, kTimeout), "put").header().revision();
}

// Reads kMessages messages; says whether they came once and in order.
bool ReadAll(client::Watch& subscription) {
  int expected = 0;
  while (expected < kMessages) {
    auto response = Require(subscription.Next(kTimeout), "next");
    if (!response) return false;
    for (const mvccpb::Event& event : response->events()) {
      if (event.kv().value() != fmt::format("message {}", expected++)) return false;
    }
  }
  return true;
}

client::WatchOptions Topic(int64_t from) {
  client::WatchOptions options;
  options.key = "topic/news/";
  options.range_end = client::PrefixEnd(options.key);
  options.start_revision = from;
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  examples::Connection connection(examples::Endpoints(argc, argv));
  client::Client& store = connection.client;

  // A value that a program follows.
  client::ConfigSubscriber log_level(store, "config/log-level", [](const auto& value) {
    std::printf("log level is now %s\n", value ? value->c_str() : "(default)");
  });
  Put(store, "config/log-level", "info");
  Put(store, "config/log-level", "debug");
  if (!log_level.WaitFor(kTimeout, [](const auto& value) { return value == "debug"; })) return 1;

  // A counter numbers the messages: read, decide and write at once, whoever else publishes.
  client::Watch early(store, Topic(0));
  Require(early.WaitCreated(kTimeout), "subscribe");
  int64_t first = 0;
  for (int i = 0; i < kMessages; ++i) {
    const int64_t revision =
        Require(client::RunTransaction(store, kTimeout,
                                       [&](client::Stm& stm) -> Status {
                                         ASSIGN_OR_RETURN(auto next, stm.Get("topic/next"));
                                         const int number = next ? std::stoi(*next) : 0;
                                         stm.Put(fmt::format("topic/news/{:08}", number),
                                                 fmt::format("message {}", i));
                                         stm.Put("topic/next", std::to_string(number + 1));
                                         return OkStatus();
                                       }),
                "publish");
    if (first == 0) first = revision;
  }
  const bool live = ReadAll(early);
  std::printf("a subscriber from the start: %s\n", live ? "all, once, in order" : "NOT");

  // Whoever comes later begins at the revision where it wants to.
  client::Watch late(store, Topic(first));
  const bool replayed = ReadAll(late);
  std::printf("a subscriber that came later: %s\n", replayed ? "all, once, in order" : "NOT");
  return live && replayed ? 0 : 1;
}

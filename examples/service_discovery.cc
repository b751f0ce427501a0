// Service discovery: instances register themselves with a lease, clients follow the list.
//
//   service_discovery [HOST:PORT …]
#include "client/registry.h"
#include "connect.h"

using namespace quoin;
using examples::kTimeout;
using examples::Require;

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  examples::Connection connection(examples::Endpoints(argc, argv));
  client::Client& store = connection.client;

  // Whoever wants to call the service follows it; each change is told.
  client::Discovery shops(store, "services", "shop", [](const auto& instances) {
    std::string line;
    for (const auto& [name, address] : instances) line += " " + name + "=" + address;
    std::printf("shop is now at:%s\n", line.empty() ? " nowhere" : line.c_str());
  });

  // Two instances come up, each with a session of its own.
  auto first = Require(client::Session::Open(store, 5, kTimeout), "session");
  auto second = Require(client::Session::Open(store, 5, kTimeout), "session");
  auto a = Require(
      client::Registration::Register(*first, "services", "shop", "a", "10.0.0.1:80", kTimeout),
      "register a");
  Require(client::Registration::Register(*second, "services", "shop", "b", "10.0.0.2:80", kTimeout),
          "register b");
  if (!shops.WaitFor(kTimeout, [](const auto& all) { return all.size() == 2; })) return 1;

  // A name that is taken stays with its session.
  auto taken =
      client::Registration::Register(*second, "services", "shop", "a", "10.0.0.9:80", kTimeout);
  std::printf("taking another's name: %s\n", std::string(taken.status().message()).c_str());

  // An instance moves; another one goes away with its session.
  Require(a.Update("10.0.0.3:80", kTimeout), "move");
  Require(second->Close(kTimeout), "close");
  const bool seen = shops.WaitFor(
      kTimeout, [](const auto& all) { return all.size() == 1 && all.at("a") == "10.0.0.3:80"; });
  Require(first->Close(kTimeout), "close");
  if (!shops.WaitFor(kTimeout, [](const auto& all) { return all.empty(); })) return 1;
  std::printf("done\n");
  return seen && !taken.ok() ? 0 : 1;
}

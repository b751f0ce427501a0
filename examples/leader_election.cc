// Election: two candidates, one leader at a time, and an observer who hears each of its words.
//
//   leader_election [HOST:PORT …]
#include <thread>

#include "client/election.h"
#include "connect.h"

using namespace quoin;
using examples::kTimeout;
using examples::Require;

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  examples::Connection connection(examples::Endpoints(argc, argv));
  client::Client& store = connection.client;

  auto red_session = Require(client::Session::Open(store, 5, kTimeout), "session");
  auto blue_session = Require(client::Session::Open(store, 5, kTimeout), "session");
  client::Election red(*red_session, "elections/site");
  client::Election blue(*blue_session, "elections/site");
  client::ElectionObserver observer(store, "elections/site");
  auto hear = [&] {
    auto word = Require(observer.Next(kTimeout), "observe");
    std::printf("observer: %s\n", word ? word->value.c_str() : "nobody");
    return word ? word->value : "";
  };

  Require(red.Campaign("red leads", kTimeout), "campaign");
  bool good = hear() == "red leads";
  std::thread candidate([&] { Require(blue.Campaign("blue leads", kTimeout), "campaign"); });
  Require(red.Proclaim("red has news", kTimeout), "proclaim");
  good &= hear() == "red has news";
  Require(red.Resign(kTimeout), "resign");
  candidate.join();
  good &= hear() == "blue leads";
  // A leadership ends with its session.
  Require(blue_session->Close(kTimeout), "close");
  const Status late = blue.Proclaim("blue again", kTimeout);
  std::printf("proclaiming without a session: %s\n", std::string(late.message()).c_str());
  Require(red_session->Close(kTimeout), "close");
  return good && !late.ok() ? 0 : 1;
}

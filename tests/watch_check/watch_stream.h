// WatchStream: some watchers on one stream to one member, which is opened anew elsewhere whenever
// it breaks, or when it is bored.
//
// Thread: the loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/lasting_stream.h"
#include "tests/watch_check/shared.h"
#include "tests/watch_check/watch_checker.h"

namespace quoin::watch_check {

struct StreamOptions {
  std::string name;
  std::vector<Interest> interests;  // a watcher each
  size_t first_endpoint = 0;
  bool fragment = false;
  bool progress_notify = false;
  bool asks_for_progress = false;  // every now and then
  bool restless = false;           // moves to the next member every now and then
  bool roams = false;  // begins somewhere in the past, and again when it has come to the present
  bool tells = false;  // what it sees is what the oracle observes
};

class WatchStream final : private client::LastingStream::User {
 public:
  WatchStream(Shared& shared, StreamOptions options, int64_t start,
              std::function<void()> on_observed);
  ~WatchStream() override;

  // Compares what can be compared by now.
  void Check();
  void AskForProgress();
  // What a compaction must spare; INT64_MAX when it need not spare anything.
  int64_t needed() const;
  // Everything up to there has been told and compared, and what is owed of promises was given.
  bool Reached(int64_t revision) const;
  // For people: which of its watchers has come how far.
  std::string Describe() const;
  uint64_t events() const;
  uint64_t openings() const { return openings_; }
  uint64_t fragments() const { return fragments_; }
  uint64_t promises() const { return promises_; }
  uint64_t compactions() const { return compactions_; }

 private:
  struct Watch {
    int64_t id = 0;
    int64_t from = 0;  // asked for
    bool created = false;
    std::vector<Change> parts;  // of a response in fragments
    std::unique_ptr<WatchChecker> checker;
  };

  void OnOpened() override;
  void OnMessage(std::string_view message) override;
  bool OnBroken(const Status& status) override;

  void Create(Watch& watch);
  void OnCanceled(Watch& watch, const etcdserverpb::WatchResponse& response);
  void OnEvents(Watch& watch, etcdserverpb::WatchResponse& response);
  void OnPromise(const etcdserverpb::WatchResponse& response);
  std::optional<Change> Read(const mvccpb::Event& event);
  std::optional<Record> ReadRecord(const mvccpb::KeyValue& kv);
  void Tell(const std::vector<Change>& events);
  void RoamSoon();
  void Roam(Watch& watch);
  void ScheduleRestlessness();
  void ScheduleQuestions();

  Shared& shared_;
  const StreamOptions options_;
  const std::function<void()> on_observed_;
  std::vector<Watch> watches_;
  int64_t next_id_ = 1;
  uint64_t ended_events_ = 0;  // of checkers that were replaced
  uint64_t openings_ = 0, fragments_ = 0, promises_ = 0, compactions_ = 0;
  env::TimerId restless_timer_, question_timer_, roam_timer_;
  std::unique_ptr<client::AsyncClient> client_;
  client::LastingStream stream_;
};

}  // namespace quoin::watch_check

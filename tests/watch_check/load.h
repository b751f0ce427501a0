// Load: transactions of small and large values, deletions of ranges, and compactions, without end.
//
// Thread: the loop.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/watch_check/shared.h"

namespace quoin::watch_check {

class Load {
 public:
  struct Options {
    size_t writers = 64;
    uint64_t requests_per_second = 0;  // 0 = as many as the members take
    int64_t kept_revisions_max = 20000;
  };

  // `needed`: up to which revision compactions may go.
  Load(Shared& shared, Options options, std::function<int64_t()> needed);
  ~Load();

  // Begins nothing more.
  void Stop() { stopping_ = true; }
  size_t running() const { return running_; }
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t lost() const { return lost_; }
  uint64_t compactions() const { return compactions_; }
  // The newest revision of an answer.
  int64_t newest() const { return newest_; }

 private:
  void Tick();
  void StartWriters();
  void Write(size_t writer);
  void DeleteRange();
  void SendTxn(size_t writer, const Request& request);
  void Ended(size_t writer, uint64_t id, int64_t revision, const Status& status);
  void Compact();
  client::AsyncClient& ClientOf(size_t writer) { return *clients_[writer % clients_.size()]; }

  Shared& shared_;
  const Options options_;
  const std::function<int64_t()> needed_;
  std::vector<std::unique_ptr<client::AsyncClient>> clients_;
  std::vector<bool> busy_;  // writer 0 deletes ranges
  uint64_t next_id_ = 1;
  uint64_t tokens_ = 0;
  bool stopping_ = false;
  size_t running_ = 0;
  uint64_t acknowledged_ = 0, lost_ = 0, compactions_ = 0;
  int64_t newest_ = 0;
  env::TimerId tick_, compaction_;
};

}  // namespace quoin::watch_check

// Mirror: a live copy of a key or an interval: a range at one revision, then every change after it.
// The base of service discovery and of configuration that follows its source.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/lifeline.h"
#include "client/client.h"
#include "client/watcher.h"

namespace quoin::client {

struct MirroredValue {
  std::string value;
  int64_t mod_revision = 0;
  friend bool operator==(const MirroredValue&, const MirroredValue&) = default;
};
using MirroredMap = std::map<std::string, MirroredValue, std::less<>>;

struct MirrorChange {
  std::string key;
  std::optional<std::string> value;  // nullopt = gone
};

// Thread: any but the client's loop, but for what says otherwise.
class Mirror : private Watcher::Handler {
 public:
  struct Options {
    std::string key;
    std::string range_end;  // PrefixEnd(key) for all that begins with key
    // Changes of one or several whole revisions, in order; first all that was there. Runs on the
    // client's loop.
    std::function<void(const std::vector<MirrorChange>&)> on_change;
  };

  Mirror(Client& client, Options options);
  ~Mirror() override;

  // A copy as of one revision. Empty before the first answer: see WaitFor.
  MirroredMap Get() const;
  int64_t revision() const;
  // Waits until the copy satisfies `condition`: false when `timeout` came first. The first call
  // with a condition that is always true waits for the first answer.
  bool WaitFor(Client::Timeout timeout,
               absl::FunctionRef<bool(const MirroredMap&)> condition) const;

 private:
  // --- the loop's ---
  void Load();
  void OnLoaded(const StatusOr<std::string>& answer);
  void OnEvents(const pb::WatchResponse& response) override;
  void OnEnd(const Status& status, int64_t compact_revision) override;
  void Replace(MirroredMap fresh, int64_t revision);

  Client& client_;
  const Options options_;
  AsyncClient* async_ = nullptr;
  std::unique_ptr<Watcher> watcher_;
  Lifeline lifeline_;
  env::TimerId retry_;

  // Written by the loop, read by all.
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  MirroredMap map_;
  int64_t revision_ = 0;  // 0 = nothing is known yet
};

}  // namespace quoin::client

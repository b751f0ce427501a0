// LocalStore: the member's own store as a client would use it, for services that are built on it
// (locks, elections). Everything that waits ends with this object. It takes one question at a
// time, beside a watch.
//
// Thread: one I/O loop; callbacks run there, never inside the call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/context.h"
#include "api/watch_hub.h"
#include "proto/rpc.pb.h"

namespace quoin::api {

class LargeRange;

class LocalStore final : private watch::Sink {
 public:
  LocalStore(const Context& context, const env::Executor& loop);
  ~LocalStore() override;

  template <typename Response>
  using Done = std::function<void(StatusOr<Response>)>;

  void Txn(const etcdserverpb::TxnRequest& request, Done<etcdserverpb::TxnResponse> done);
  void Delete(const std::string& key, Done<etcdserverpb::DeleteRangeResponse> done);
  // Linearizable.
  void Range(const etcdserverpb::RangeRequest& request, Done<etcdserverpb::RangeResponse> done);
  // Grants a new lease with an id that nobody has.
  void Grant(int64_t ttl_seconds, Done<int64_t> done);

  // Changes of an interval from a revision on; one watch at a time. `on_event` until StopWatching;
  // OutOfRange at the end when that is compacted.
  struct Change {
    bool deleted = false;
    mvccpb::KeyValue kv;
  };
  using OnChange = std::function<void(StatusOr<Change>)>;
  void Watch(const std::string& key, const std::string& range_end, int64_t from,
             OnChange on_change);
  void StopWatching();

 private:
  using OnAnswer = std::function<void(const state::ApplyResult&)>;
  // As a client's call: space for `cost` bytes first, then its checks, then the log.
  void Propose(state::Operation operation, const std::string& payload, int64_t cost,
               const Status& checked, OnAnswer done);
  void Answer(const Status& refusal, OnAnswer done);
  struct Gathering;
  void RangeInSlices(const etcdserverpb::RangeRequest& request,
                     Done<etcdserverpb::RangeResponse> done);
  void Gather(std::shared_ptr<Gathering> gathering);
  void Gathered(Gathering& gathering, StatusOr<etcdserverpb::RangeResponse> answer);
  etcdserverpb::ResponseHeader Header(int64_t revision) const;
  // --- watch::Sink ---
  bool CanTake() const override { return true; }
  void OnEvents(watch::Watcher& watcher, int64_t revision,
                const std::vector<watch::Delivery>& events) override;
  void OnCompacted(watch::Watcher& watcher, int64_t compact_revision) override;

  const Context& context_;
  server::Frontend& frontend_;
  WatchHub& hub_;
  watch::Watcher* watcher_ = nullptr;
  OnChange on_change_;
  server::Frontend::Wait wait_;
  std::shared_ptr<LargeRange> range_;  // under way; ends with this object
  Lifeline lifeline_;
};

}  // namespace quoin::api

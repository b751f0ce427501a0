#include "api/watch_hub.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quoin::api {
namespace {

// How many times as long as a slice took to read its stream waits for it.
constexpr int kRests = 7;
constexpr env::Duration kRestMax = std::chrono::milliseconds(10);

watch::HistoryAnswer ReadSlice(server::Node& node, const watch::HistoryRequest& request) {
  watch::HistoryAnswer answer;
  EpochDomain::Guard guard(node.storage_slot());
  mvcc::Store& store = node.store();
  mvcc::HistoryQuery query;
  query.key = request.key;
  query.range_end = request.range_end;
  query.from = request.from;
  query.revisions_max = request.revisions_max;
  query.bytes_max = request.bytes_max;
  // Before the slice is read: one that was not cut short then ends behind it.
  answer.revision = store.current_revision();
  StatusOr<mvcc::HistorySlice> slice = store.ReadHistory(query, btree::OnMiss::kLoad);
  if (absl::IsOutOfRange(slice.status())) {
    answer.compact_revision = store.compact_revision();
    return answer;
  }
  if (!slice.ok()) DieOnDiskError(std::string(slice.status().message()));
  answer.next = slice->next;
  size_t bytes = 0;
  int64_t last = 0;
  for (const mvcc::Event& event : slice->events) {
    // Previous values count too: deletions are small, what they deleted need not be.
    if (event.at.main != last && bytes >= query.bytes_max) {
      answer.next = event.at.main;
      break;
    }
    if (std::exchange(last, event.at.main) != event.at.main) ++answer.revisions;
    if (event.type == mvcc::Event::Type::kPut ? !request.puts : !request.deletes) continue;
    std::string previous;
    if (request.prev_kv) {
      StatusOr<std::string> record =
          store.RecordBefore(watch::KeyOf(event), event.at.main, btree::OnMiss::kLoad);
      if (!record.ok()) DieOnDiskError(std::string(record.status().message()));
      previous = *std::move(record);
    }
    answer.events.push_back({event.at.main, watch::EncodeElement(event, previous)});
    bytes += answer.events.back().element.size();
  }
  answer.full = answer.revisions >= request.revisions_max || bytes >= request.bytes_max;
  return answer;
}

}  // namespace

WatchHub::WatchHub(server::Node& node, server::Frontend& frontend)
    : node_(node), frontend_(frontend), set_(*this), random_(node.info().member_id) {}

watch::Watcher& WatchHub::Add(watch::Sink& sink, watch::WatchOptions options) {
  if (!std::exchange(listening_, true)) {
    frontend_.set_on_events(
        [this](int64_t revision, const watch::Batch* batch) { set_.OnPublished(revision, batch); });
  }
  // Before the revision is read: the apply loop publishes first and then looks for watchers, and
  // one of the two must see the other (all four accesses are sequentially consistent).
  node_.info().watchers.fetch_add(1);
  return set_.Add(sink, std::move(options), frontend_.store().current_revision());
}

void WatchHub::Remove(watch::Watcher& watcher) {
  set_.Remove(watcher);
  NoteGone();
}

void WatchHub::NoteGone() { node_.info().watchers.fetch_sub(1, std::memory_order_release); }

void WatchHub::Read(watch::HistoryRequest request, Done done) {
  const env::Duration started = frontend_.loop().clock().Now();
  node_.storage_loop().Post(
      [this, started, request = std::move(request), done = std::move(done)]() mutable {
        frontend_.loop().Post(
            [this, started, answer = ReadSlice(node_, request), done = std::move(done)]() mutable {
              Answer(started, std::move(answer), std::move(done));
            });
      });
}

// A stream that is far behind could be told a million events a second, and would leave little of
// the machine to others: it waits for a slice that is not the last one, and so for the next, longer
// on a busy machine.
void WatchHub::Answer(env::Duration started, watch::HistoryAnswer answer, Done done) {
  if (answer.compact_revision || answer.next > answer.revision) return done(std::move(answer));
  const env::Duration took = frontend_.loop().clock().Now() - started;
  frontend_.loop().RunAfter(
      std::min(kRests * took, kRestMax),
      [answer = std::move(answer), done = std::move(done)]() mutable { done(std::move(answer)); });
}

std::optional<std::string> WatchHub::PreviousNow(std::string_view key, int64_t revision) {
  EpochDomain::Guard guard(frontend_.slot());
  StatusOr<std::string> record =
      frontend_.store().RecordBefore(key, revision, btree::OnMiss::kReport);
  if (!record.ok()) return std::nullopt;  // its page is not in memory: the storage loop reads it
  return *std::move(record);
}

}  // namespace quoin::api

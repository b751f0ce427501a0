#include "watch/watcher_set.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quoin::watch {
namespace {

// Slices of the past that are read at once for one loop: bounds what waits in memory.
constexpr size_t kReadsAtOnce = 8;
// What all watchers of one loop may keep of slices that do not fill a response. Beyond it each
// slice is a response.
constexpr size_t kHeldBytesMax = 4 << 20;
constexpr std::string_view kFromKey("\0", 1);

bool Wants(const WatchOptions& options, const mvcc::Event& event) {
  return event.type == mvcc::Event::Type::kPut ? options.puts : options.deletes;
}

}  // namespace

WatcherSet::Intervals::Interval WatcherSet::IntervalOf(const Watcher& watcher) {
  const bool to_the_end = watcher.range_end_.view() == kFromKey;
  return {watcher.key_, to_the_end ? SharedBytes() : watcher.range_end_};
}

std::vector<Watcher*>& WatcherSet::ListOf(const Watcher& watcher) {
  if (watcher.range_end_.empty()) return by_key_[watcher.key_];
  return by_interval_.At(IntervalOf(watcher));
}

Watcher& WatcherSet::Add(Sink& sink, WatchOptions options, int64_t current) {
  CHECK_GE(current, revision_);
  // Nobody was live at an older revision, or everybody would have been told of this one.
  if (watchers_.empty()) revision_ = current;
  auto made = std::make_unique<Watcher>();
  Watcher& watcher = *made;
  watcher.sink_ = &sink;
  watcher.key_ = SharedBytes(std::exchange(options.key, {}));
  watcher.range_end_ = SharedBytes(std::exchange(options.range_end, {}));
  watcher.options_ = std::move(options);
  watcher.number_ = next_number_++;
  watchers_.emplace(watcher.number_, std::move(made));
  std::vector<Watcher*>& list = ListOf(watcher);
  if (!list.empty()) {  // they are equal: once is enough
    watcher.key_ = list.front()->key_;
    watcher.range_end_ = list.front()->range_end_;
  }
  watcher.place_ = list.size();
  list.push_back(&watcher);
  const int64_t start = watcher.options_.start_revision;
  watcher.next_ = start == 0 ? current + 1 : start;
  watcher.live_ = watcher.next_ > revision_;
  if (!watcher.live_) ReadOn(watcher);
  return watcher;
}

void WatcherSet::Unlist(Watcher& watcher) {
  std::vector<Watcher*>& list = ListOf(watcher);
  CHECK(list[watcher.place_] == &watcher);
  list[watcher.place_] = list.back();
  list[watcher.place_]->place_ = watcher.place_;
  list.pop_back();
  if (!list.empty()) return;
  if (watcher.range_end_.empty()) {
    by_key_.erase(watcher.key_);
  } else {
    by_interval_.Erase(IntervalOf(watcher));
  }
}

void WatcherSet::Remove(Watcher& watcher) {
  Unlist(watcher);
  LetGo(watcher);
  std::replace(matched_.begin(), matched_.end(), &watcher, static_cast<Watcher*>(nullptr));
  watchers_.erase(watcher.number_);
}

// --- the live ---

void WatcherSet::OnPublished(int64_t revision, const Batch* batch) {
  if (revision <= revision_) return;
  const bool complete = batch != nullptr && batch->after <= revision_;
  if (complete) {
    Match(*batch);
    const int64_t before = std::exchange(revision_, revision);
    Deliver(*batch);
    CHECK_LE(before, revision_);
    return;
  }
  const int64_t next = revision_ + 1;
  revision_ = revision;
  for (auto& [number, watcher] : watchers_) {
    if (watcher->live_ && watcher->next_ <= revision)
      FallBehind(*watcher, std::max(next, watcher->next_));
  }
}

void WatcherSet::Match(const Batch& batch) {
  encoded_.assign(batch.events.size(), {});
  for (uint32_t at = 0; at < batch.events.size(); ++at) {
    const mvcc::Event& event = batch.events[at];
    if (event.at.main <= revision_) continue;  // known already
    const std::string_view key = KeyOf(event);
    auto note = [&](const std::vector<Watcher*>& list) {
      for (Watcher* watcher : list) {
        const bool had = !watcher->live_ || event.at.main < watcher->next_;
        if (had || !Wants(watcher->options_, event)) continue;
        if (watcher->matched_.empty()) matched_.push_back(watcher);
        watcher->matched_.push_back(at);
      }
    };
    if (auto found = by_key_.find(key); found != by_key_.end()) note(found->second);
    by_interval_.VisitHolding(key, note);
  }
}

void WatcherSet::Deliver(const Batch& batch) {
  // A sink may remove watchers meanwhile: their places are null then.
  for (size_t i = 0; i < matched_.size(); ++i) {
    Watcher* watcher = matched_[i];
    if (watcher == nullptr) continue;
    const int64_t first = batch.events[watcher->matched_.front()].at.main;
    if (!watcher->sink_->CanTake() || !DeliverTo(*watcher, batch)) FallBehind(*watcher, first);
    if (matched_[i] != nullptr) watcher->matched_.clear();
  }
  matched_.clear();
  encoded_.clear();
}

bool WatcherSet::DeliverTo(Watcher& watcher, const Batch& batch) {
  deliveries_.clear();
  for (uint32_t at : watcher.matched_) {
    const std::string* element = ElementOf(batch, at, watcher.options_.prev_kv);
    if (element == nullptr) return false;
    deliveries_.push_back({batch.events[at].at.main, *element});
  }
  watcher.sink_->OnEvents(watcher, deliveries_.back().revision, deliveries_);
  return true;
}

const std::string* WatcherSet::ElementOf(const Batch& batch, uint32_t at, bool with_previous) {
  const mvcc::Event& event = batch.events[at];
  std::optional<std::string>& element =
      with_previous ? encoded_[at].with_previous : encoded_[at].plain;
  if (!element) {
    std::string previous;
    if (with_previous) {
      std::optional<std::string> found = history_.PreviousNow(KeyOf(event), event.at.main);
      if (!found) return nullptr;
      previous = *std::move(found);
    }
    element = EncodeElement(event, previous);
  }
  return &*element;
}

// --- those who are behind ---

void WatcherSet::FallBehind(Watcher& watcher, int64_t next) {
  watcher.live_ = false;
  watcher.next_ = next;
  ReadOn(watcher);
}

void WatcherSet::ReadOn(Watcher& watcher) {
  std::shared_ptr<Line>& line = lines_[watcher.sink_];
  if (line == nullptr) line = std::make_shared<Line>(Line{.sink = watcher.sink_});
  line->numbers.push_back(watcher.number_);
  MakeReady(line);
  StartReads();
}

void WatcherSet::Forget(Sink& sink) {
  auto found = lines_.find(&sink);
  if (found == lines_.end()) return;
  found->second->sink = nullptr;
  lines_.erase(found);
}

void WatcherSet::OnDrained(Sink& sink) {
  auto found = lines_.find(&sink);
  if (found == lines_.end()) return;
  MakeReady(found->second);
  StartReads();
}

void WatcherSet::MakeReady(const std::shared_ptr<Line>& line) {
  if (line->sink == nullptr || line->busy || line->numbers.empty() || !line->sink->CanTake())
    return;
  line->busy = true;
  ready_.push_back(line);
}

void WatcherSet::StartReads() {
  while (reads_ < kReadsAtOnce && !ready_.empty()) {
    const std::shared_ptr<Line> line = std::move(ready_.front());
    ready_.pop_front();
    auto found = watchers_.end();
    // The stream may have filled up, and watchers may have gone, while the line waited its turn.
    while (line->sink != nullptr && line->sink->CanTake() && !line->numbers.empty() &&
           found == watchers_.end()) {
      found = watchers_.find(line->numbers.front());
      line->numbers.pop_front();
    }
    if (found == watchers_.end()) {
      line->busy = false;
      continue;
    }
    const Watcher& watcher = *found->second;
    const WatchOptions& options = watcher.options_;
    HistoryRequest request{.key = std::string(watcher.key_.view()),
                           .range_end = std::string(watcher.range_end_.view()),
                           .from = watcher.next_,
                           .prev_kv = options.prev_kv,
                           .puts = options.puts,
                           .deletes = options.deletes};
    request.revisions_max -= watcher.held_revisions_;
    request.bytes_max -= watcher.held_bytes_;
    ++reads_;
    history_.Read(std::move(request),
                  lifeline_.Tie([this, line, number = found->first](HistoryAnswer answer) {
                    OnRead(line, number, std::move(answer));
                  }));
  }
}

void WatcherSet::OnRead(const std::shared_ptr<Line>& line, uint64_t number, HistoryAnswer answer) {
  --reads_;
  Continue(number, std::move(answer));
  line->busy = false;
  MakeReady(line);
  StartReads();
}

void WatcherSet::Continue(uint64_t number, HistoryAnswer answer) {
  auto found = watchers_.find(number);
  if (found == watchers_.end()) return;
  Watcher& watcher = *found->second;
  if (answer.compact_revision) {
    if (!DeliverHeld(watcher, answer.revision)) return;
    std::unique_ptr<Watcher> ended = std::move(found->second);
    Unlist(watcher);
    watchers_.erase(found);
    return ended->sink_->OnCompacted(*ended, *answer.compact_revision);
  }
  Hold(watcher, answer);
  watcher.next_ = answer.next;
  // Few matches in a long past are one response, as with etcd, however many slices that takes. A
  // stream without room may wait for long: it holds nothing back meanwhile.
  const bool there = watcher.next_ > revision_ || watcher.next_ > answer.revision;
  const bool tell =
      there || answer.full || held_bytes_ > kHeldBytesMax || !watcher.sink_->CanTake();
  if (tell && !DeliverHeld(watcher, answer.revision)) return;
  // What was published after the slice was read is still in the store.
  watcher.live_ = watcher.next_ > revision_;
  if (!watcher.live_) ReadOn(watcher);
}

void WatcherSet::Hold(Watcher& watcher, HistoryAnswer& answer) {
  for (HistoryEvent& event : answer.events) {
    watcher.held_bytes_ += event.element.size();
    held_bytes_ += event.element.size();
    watcher.held_.push_back(std::move(event));
  }
  watcher.held_revisions_ += answer.revisions;
}

void WatcherSet::LetGo(Watcher& watcher) {
  held_bytes_ -= watcher.held_bytes_;
  watcher.held_bytes_ = watcher.held_revisions_ = 0;
  watcher.held_.clear();
}

// False: the sink has removed the watcher.
bool WatcherSet::DeliverHeld(Watcher& watcher, int64_t revision) {
  const std::vector<HistoryEvent> events = std::exchange(watcher.held_, {});
  LetGo(watcher);
  if (events.empty()) return true;
  deliveries_.clear();
  for (const HistoryEvent& event : events) deliveries_.push_back({event.revision, event.element});
  const uint64_t number = watcher.number_;
  watcher.sink_->OnEvents(watcher, std::max(revision, events.back().revision), deliveries_);
  return watchers_.contains(number);
}

}  // namespace quoin::watch

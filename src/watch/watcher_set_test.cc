// Watchers against a model: whatever the pace of streams, batches and compactions, each gets every
// event that is its own, once, in order, whole revisions at a time.

#include "watch/watcher_set.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "base/wire.h"

namespace quoin::watch {
namespace {

struct Change {
  int64_t revision;
  int64_t sub;
  bool deleted;
  std::string key;
};

mvcc::Event EventOf(const Change& change) {
  mvcc::KeyValue kv;
  kv.key = change.key;
  kv.mod_revision = change.revision;
  std::string record;
  mvcc::EncodeRecord(kv, record);
  return {change.deleted ? mvcc::Event::Type::kDelete : mvcc::Event::Type::kPut,
          {change.revision, change.sub},
          SharedBytes(record)};
}

bool InRange(const std::string& key, const std::string& begin, const std::string& end) {
  if (end.empty()) return key == begin;
  return key >= begin && (end == std::string(1, '\0') || key < end);
}

// The store's past, read when the test lets it.
class FakeHistory final : public History {
 public:
  void Read(HistoryRequest request, Done done) override {
    waiting.emplace_back(std::move(request), std::move(done));
  }
  std::optional<std::string> PreviousNow(std::string_view key, int64_t revision) override {
    if (pages_missing) return std::nullopt;
    return Previous(key, revision);
  }
  std::string Previous(std::string_view key, int64_t revision) const {
    return "before " + std::to_string(revision) + " of " + std::string(key);
  }
  void AnswerOne() {
    auto [request, done] = std::move(waiting.front());
    waiting.pop_front();
    HistoryAnswer answer;
    answer.revision = revision;
    if (request.from < compacted) {
      answer.compact_revision = compacted;
      return done(std::move(answer));
    }
    answer.next = revision + 1;
    const size_t left =
        response_revisions - (HistoryRequest().revisions_max - request.revisions_max);
    size_t revisions = 0;
    int64_t last_of_its_keys = 0;
    for (size_t i = 0; i < changes.size(); ++i) {
      const Change& change = changes[i];
      if (change.revision < request.from) continue;
      const bool first = i == 0 || changes[i - 1].revision != change.revision;
      if (first && (revisions++ == slice_revisions || answer.revisions == left)) {
        answer.next = change.revision;
        break;
      }
      if (!InRange(change.key, request.key, request.range_end)) continue;
      if (std::exchange(last_of_its_keys, change.revision) != change.revision) ++answer.revisions;
      if (change.deleted ? !request.deletes : !request.puts) continue;
      answer.events.push_back(
          {change.revision,
           EncodeElement(EventOf(change),
                         request.prev_kv ? Previous(change.key, change.revision) : "")});
    }
    answer.full = answer.revisions == left;
    done(std::move(answer));
  }

  std::vector<Change> changes;
  int64_t revision = 1;
  int64_t compacted = -1;
  size_t slice_revisions = 3;     // looked at
  size_t response_revisions = 6;  // told at once
  bool pages_missing = false;
  std::deque<std::pair<HistoryRequest, Done>> waiting;
};

class Stream final : public Sink {
 public:
  bool CanTake() const override { return room > 0; }
  void OnEvents(Watcher& watcher, int64_t revision, const std::vector<Delivery>& events) override {
    ASSERT_FALSE(events.empty());
    --room;
    ++responses;
    for (const Delivery& event : events) {
      // A revision that was delivered before never comes again.
      EXPECT_GT(event.revision, last_whole[watcher.id]);
      got[watcher.id].push_back(std::string(event.element));
    }
    last_whole[watcher.id] = events.back().revision;
    EXPECT_GE(revision, events.back().revision);
  }
  void OnCompacted(Watcher& watcher, int64_t compact_revision) override {
    compacted[watcher.id] = compact_revision;
  }

  int room = 1 << 30;
  int responses = 0;
  std::map<int64_t, std::vector<std::string>> got;  // by watcher
  std::map<int64_t, int64_t> last_whole;
  std::map<int64_t, int64_t> compacted;
};

class Model {
 public:
  explicit Model(uint32_t seed) : random_(seed), set_(history_) {}

  std::string Key() { return std::string(1, static_cast<char>('a' + random_() % 6)); }

  void Publish() {
    const int64_t after = history_.revision;
    Batch batch;
    batch.after = after;
    for (uint32_t n = 1 + random_() % 3; n > 0; --n) {
      ++history_.revision;
      std::set<std::string> keys;
      for (uint32_t k = 1 + random_() % 3; k > 0; --k) keys.insert(Key());
      int64_t sub = 0;
      for (const std::string& key : keys) {
        history_.changes.push_back({history_.revision, sub++, random_() % 4 == 0, key});
        batch.events.push_back(EventOf(history_.changes.back()));
      }
    }
    batch.revision = history_.revision;
    set_.OnPublished(history_.revision, random_() % 6 == 0 ? nullptr : &batch);
  }

  void Add() {
    WatchOptions options;
    options.key = Key();
    switch (random_() % 4) {
      case 0:
        options.range_end = std::string(1, '\0');
        break;
      case 1:
        options.range_end = options.key + "\xff";
        break;
      case 2:
        options.range_end = "f";
        break;
      default:
        break;
    }
    const int64_t oldest = std::max<int64_t>(history_.compacted, 1);
    if (random_() % 2 == 0)
      options.start_revision = oldest + random_() % (history_.revision - oldest + 5);
    options.prev_kv = random_() % 3 == 0;
    options.puts = random_() % 5 != 0;
    options.deletes = random_() % 5 != 0;
    wanted_.push_back(options);
    if (wanted_.back().start_revision == 0) wanted_.back().start_revision = history_.revision + 1;
    Watcher& watcher = set_.Add(stream_, options, history_.revision);
    watcher.id = static_cast<int64_t>(wanted_.size()) - 1;
    alive_[watcher.id] = &watcher;
  }

  void Step() {
    switch (random_() % 10) {
      case 0:
        return Add();
      case 1:
        if (!alive_.empty() && random_() % 8 == 0) {
          set_.Remove(*alive_.begin()->second);
          removed_.insert(alive_.begin()->first);
          alive_.erase(alive_.begin());
        }
        return;
      case 2:
        stream_.room = static_cast<int>(random_() % 3);
        return;
      case 3:
        stream_.room = 1 << 30;
        return set_.OnDrained(stream_);
      case 4:
        history_.pages_missing = random_() % 2 == 0;
        return;
      case 5:
        if (random_() % 20 == 0)
          history_.compacted = std::max<int64_t>(history_.compacted, history_.revision - 10);
        return Forget();
      case 6:
      case 7:
        if (!history_.waiting.empty()) history_.AnswerOne();
        return Forget();
      default:
        return Publish();
    }
  }

  void Check() {
    stream_.room = 1 << 30;
    set_.OnDrained(stream_);
    while (!history_.waiting.empty()) history_.AnswerOne();
    Forget();
    for (const auto& [id, watcher] : alive_) {
      const WatchOptions& options = wanted_[id];
      std::vector<std::string> expected;
      for (const Change& change : history_.changes) {
        if (change.revision < options.start_revision ||
            !InRange(change.key, options.key, options.range_end) ||
            (change.deleted ? !options.deletes : !options.puts)) {
          continue;
        }
        expected.push_back(
            EncodeElement(EventOf(change),
                          options.prev_kv ? history_.Previous(change.key, change.revision) : ""));
      }
      ASSERT_EQ(stream_.got[id], expected) << "watcher " << id;
      EXPECT_TRUE(watcher->live());
    }
  }

 private:
  // Those that compaction has ended are no longer ours.
  void Forget() {
    for (const auto& [id, revision] : stream_.compacted) alive_.erase(id);
  }

  std::mt19937 random_;
  FakeHistory history_;
  Stream stream_;
  WatcherSet set_;
  std::vector<WatchOptions> wanted_;
  std::map<int64_t, Watcher*> alive_;
  std::set<int64_t> removed_;
};

TEST(WatcherSetTest, EverybodyGetsWhatIsHisOnceAndInOrder) {
  for (int round = 0; round < 300; ++round) {
    const uint32_t seed = std::random_device()();
    SCOPED_TRACE("seed " + std::to_string(seed));
    Model model(seed);
    for (int step = 0; step < 300; ++step) model.Step();
    model.Check();
    if (HasFatalFailure()) return;
  }
}

TEST(WatcherSetTest, AFullStreamReadsOnWhenItHasRoom) {
  FakeHistory history;
  Stream stream;
  WatcherSet set(history);
  WatchOptions options;
  options.key = "k";
  Watcher& watcher = set.Add(stream, options, 1);
  stream.room = 0;
  for (int64_t revision = 2; revision <= 5; ++revision) {
    history.changes.push_back({revision, 0, false, "k"});
    history.revision = revision;
    Batch batch{revision - 1, revision, {EventOf(history.changes.back())}};
    set.OnPublished(revision, &batch);
  }
  EXPECT_TRUE(history.waiting.empty());  // nothing is read for a stream without room
  EXPECT_FALSE(watcher.live());
  stream.room = 100;
  set.OnDrained(stream);
  while (!history.waiting.empty()) history.AnswerOne();
  EXPECT_EQ(stream.got[0].size(), 4u);
  EXPECT_TRUE(watcher.live());
}

// A past of 50 revisions, read in slices of 3, in which key "k" was put every tenth time.
class LongPastTest : public testing::Test {
 protected:
  LongPastTest() : set_(history_) {
    for (int64_t revision = 2; revision <= 51; ++revision)
      history_.changes.push_back({revision, 0, false, revision % 10 == 0 ? "k" : "other"});
    history_.revision = 51;
    options_.key = "k";
    options_.start_revision = 2;
  }
  void Answer(size_t slices) {
    while (slices-- > 0 && !history_.waiting.empty()) history_.AnswerOne();
  }

  FakeHistory history_;
  Stream stream_;
  WatcherSet set_;
  WatchOptions options_;
};

TEST_F(LongPastTest, FewMatchesAreOneResponse) {
  const Watcher& watcher = set_.Add(stream_, options_, 51);
  Answer(16);
  EXPECT_EQ(stream_.responses, 0);
  EXPECT_FALSE(set_.IsSynced(watcher));
  Answer(1);
  EXPECT_EQ(stream_.responses, 1);
  EXPECT_EQ(stream_.got[0].size(), 5u);
  EXPECT_TRUE(watcher.live());
  history_.response_revisions = 2;
  set_.Add(stream_, options_, 51).id = 1;
  Answer(100);
  EXPECT_EQ(stream_.responses, 1 + 3);
  EXPECT_EQ(stream_.got[1].size(), 5u);
}

TEST_F(LongPastTest, NoMatchIsNoResponse) {
  options_.deletes = true;
  options_.puts = false;
  const Watcher& watcher = set_.Add(stream_, options_, 51);
  Answer(100);
  EXPECT_EQ(stream_.responses, 0);
  EXPECT_TRUE(watcher.live());
}

TEST_F(LongPastTest, WhatWasReadBeforeACompactionIsTold) {
  set_.Add(stream_, options_, 51);
  Answer(4);  // up to revision 13
  history_.compacted = 30;
  Answer(100);
  EXPECT_EQ(stream_.responses, 1);
  EXPECT_EQ(stream_.last_whole[0], 10);
  EXPECT_EQ(stream_.compacted[0], 30);
}

TEST_F(LongPastTest, AStreamWithoutRoomHoldsNothingBack) {
  Watcher& watcher = set_.Add(stream_, options_, 51);
  Answer(4);
  EXPECT_EQ(stream_.responses, 0);
  stream_.room = 0;
  Answer(1);
  EXPECT_EQ(stream_.responses, 1);
  EXPECT_TRUE(history_.waiting.empty());
  set_.Remove(watcher);
}

TEST_F(LongPastTest, AWatcherThatGoesTakesWhatItHeldAlong) {
  Watcher& watcher = set_.Add(stream_, options_, 51);
  Answer(4);
  set_.Remove(watcher);
  Answer(100);
  EXPECT_EQ(stream_.responses, 0);
}

// With large events each slice is told by itself: what all watchers hold has a bound.
TEST_F(LongPastTest, WatchersTogetherHoldLittleBack) {
  const std::string large(3 << 20, 'k');
  for (Change& change : history_.changes) change.key = change.revision == 10 ? large : "other";
  options_.key = large;
  for (int i = 0; i < 3; ++i) set_.Add(stream_, options_, 51).id = i;
  Answer(3 * 3);  // each up to revision 10
  EXPECT_EQ(stream_.responses, 2);
  Answer(100);
  EXPECT_EQ(stream_.responses, 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(stream_.got[i].size(), 1u);
}

TEST(WatcherSetTest, FewReadsAtOnceHoweverManyAreBehind) {
  FakeHistory history;
  Stream stream;
  WatcherSet set(history);
  for (int64_t revision = 2; revision <= 50; ++revision)
    history.changes.push_back({revision, 0, false, "k"});
  history.revision = 50;
  for (int i = 0; i < 1000; ++i) {
    WatchOptions options;
    options.key = "k";
    options.start_revision = 2;
    set.Add(stream, options, 50).id = i;
  }
  size_t most = 0;
  while (!history.waiting.empty()) {
    most = std::max(most, history.waiting.size());
    history.AnswerOne();
  }
  EXPECT_LE(most, 16u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(stream.got[i].size(), 49u);
}

TEST(WatcherSetTest, AFullStreamTakesAtMostOneSliceMoreHoweverManyAreBehind) {
  FakeHistory history;
  Stream stream;
  stream.room = 5;  // responses
  WatcherSet set(history);
  for (int64_t revision = 2; revision <= 50; ++revision)
    history.changes.push_back({revision, 0, false, "k"});
  history.revision = 50;
  WatchOptions options;
  options.key = "k";
  options.start_revision = 2;
  for (int i = 0; i < 1000; ++i) set.Add(stream, options, 50).id = i;
  while (!history.waiting.empty()) history.AnswerOne();
  EXPECT_EQ(stream.room, 0);
  // Nor does one watcher's room let all the others read.
  for (int round = 0; round < 10; ++round) {
    stream.room = 1;
    set.OnDrained(stream);
    while (!history.waiting.empty()) history.AnswerOne();
    EXPECT_EQ(stream.room, 0);
  }
  stream.room = 1 << 30;
  set.OnDrained(stream);
  while (!history.waiting.empty()) history.AnswerOne();
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(stream.got[i].size(), 49u);
}

TEST(WatcherSetTest, AStreamWithManyBehindDoesNotDelayAnother) {
  FakeHistory history;
  Stream many, one;
  WatcherSet set(history);
  for (int64_t revision = 2; revision <= 50; ++revision)
    history.changes.push_back({revision, 0, false, "k"});
  history.revision = 50;
  WatchOptions options;
  options.key = "k";
  options.start_revision = 2;
  for (int i = 0; i < 1000; ++i) set.Add(many, options, 50).id = i;
  Watcher& alone = set.Add(one, options, 50);
  size_t answers = 0;
  for (; !alone.live(); ++answers) history.AnswerOne();
  EXPECT_LE(answers, 50u);  // 17 slices of its own, in turn with the other stream's
  EXPECT_EQ(one.got[0].size(), 49u);
}

TEST(WatcherSetTest, AStreamThatGoesAwayWhileItIsReadFor) {
  FakeHistory history;
  WatcherSet set(history);
  history.changes.push_back({2, 0, false, "k"});
  history.revision = 2;
  WatchOptions options;
  options.key = "k";
  options.start_revision = 2;
  auto gone = std::make_unique<Stream>();
  Watcher& first = set.Add(*gone, options, 2);
  Watcher& second = set.Add(*gone, options, 2);
  set.Remove(first);
  set.Remove(second);
  set.Forget(*gone);
  gone.reset();
  Stream stream;
  set.Add(stream, options, 2);
  while (!history.waiting.empty()) history.AnswerOne();
  EXPECT_EQ(stream.got[0].size(), 1u);
}

TEST(IntervalMapTest, FindsWhatHoldsAKey) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  IntervalMap<int> map;
  std::map<std::pair<std::string, std::string>, std::vector<int>> model;
  const auto letter = [&] { return std::string(1, static_cast<char>('a' + random() % 20)); };
  for (int step = 0; step < 3000; ++step) {
    const std::string begin = letter(), end = random() % 5 == 0 ? "" : letter();
    if (random() % 3 != 0) {
      map.At({SharedBytes(begin), SharedBytes(end)}).push_back(step);
      model[{begin, end}].push_back(step);
    } else {
      map.Erase({SharedBytes(begin), SharedBytes(end)});
      model.erase({begin, end});
    }
    const std::string key = letter();
    std::multiset<int> found, expected;
    map.VisitHolding(
        key, [&](const std::vector<int>& values) { found.insert(values.begin(), values.end()); });
    for (const auto& [interval, values] : model) {
      if (interval.first <= key && (interval.second.empty() || key < interval.second))
        expected.insert(values.begin(), values.end());
    }
    ASSERT_EQ(found, expected) << key;
  }
}

}  // namespace
}  // namespace quoin::watch

#include "tests/watch_check/watch_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace quoin::watch_check {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kNearThePresent = 200;      // revisions
constexpr int64_t kBelowTheCompacted = 2000;  // revisions

}  // namespace

WatchStream::WatchStream(Shared& shared, StreamOptions options, int64_t start,
                         std::function<void()> on_observed)
    : shared_(shared),
      options_(std::move(options)),
      on_observed_(std::move(on_observed)),
      client_(shared.NewClient(options_.first_endpoint)),
      stream_(*client_, shared.loop, client::kWatch, *this) {
  for (size_t i = 0; i < options_.interests.size(); ++i) {
    watches_.emplace_back().checker = std::make_unique<WatchChecker>(
        fmt::format("{} {}", options_.name, i), options_.interests[i], start, shared_.violation);
  }
  stream_.Open();
  if (options_.restless) ScheduleRestlessness();
  if (options_.asks_for_progress) ScheduleQuestions();
}

WatchStream::~WatchStream() {
  shared_.loop.Cancel(restless_timer_);
  shared_.loop.Cancel(question_timer_);
  shared_.loop.Cancel(roam_timer_);
  // What is left of the stream goes after this turn, and its channel after that.
  stream_.Close();
  shared_.loop.Post([client = std::move(client_)] {});
}

void WatchStream::ScheduleRestlessness() {
  restless_timer_ = shared_.loop.RunAfter(milliseconds(shared_.random.Between(50, 600)), [this] {
    if (shared_.finishing) return;
    stream_.Move(std::chrono::seconds(5));
    ScheduleRestlessness();
  });
}

void WatchStream::ScheduleQuestions() {
  question_timer_ = shared_.loop.RunAfter(milliseconds(shared_.random.Between(1, 60)), [this] {
    AskForProgress();
    ScheduleQuestions();
  });
}

void WatchStream::AskForProgress() {
  etcdserverpb::WatchRequest request;
  request.mutable_progress_request();
  stream_.Send(request.SerializeAsString());
}

void WatchStream::OnOpened() {
  ++openings_;
  for (Watch& watch : watches_) Create(watch);
}

void WatchStream::Create(Watch& watch) {
  watch.id = next_id_++;
  watch.from = watch.checker->next();
  watch.created = false;
  watch.parts.clear();
  const Interest& interest = watch.checker->interest();
  etcdserverpb::WatchRequest request;
  etcdserverpb::WatchCreateRequest& create = *request.mutable_create_request();
  create.set_key(KeyName(interest.from));
  if (interest.to != interest.from + 1)
    create.set_range_end(interest.to == kKeys ? "w0" : KeyName(interest.to));
  create.set_start_revision(watch.from);
  create.set_watch_id(watch.id);
  create.set_prev_kv(interest.previous);
  create.set_fragment(options_.fragment);
  create.set_progress_notify(options_.progress_notify);
  if (!interest.puts) create.add_filters(etcdserverpb::WatchCreateRequest::NOPUT);
  if (!interest.deletes) create.add_filters(etcdserverpb::WatchCreateRequest::NODELETE);
  stream_.Send(request.SerializeAsString());
}

bool WatchStream::OnBroken(const Status&) { return true; }

void WatchStream::OnMessage(std::string_view message) {
  etcdserverpb::WatchResponse response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size())))
    return shared_.violation(options_.name + ": a malformed response");
  if (response.watch_id() == -1 && !response.canceled()) return OnPromise(response);
  for (Watch& watch : watches_) {
    if (watch.id != response.watch_id()) continue;
    if (response.canceled()) return OnCanceled(watch, response);
    if (std::exchange(watch.created, true) == response.created())
      shared_.violation(options_.name + ": a watcher is created when its first answer says so");
    if (response.created()) return;
    if (response.events_size() == 0) return OnPromise(response);
    return OnEvents(watch, response);
  }
  // Otherwise it is for one that roamed away.
  if (response.watch_id() <= 0 || response.watch_id() >= next_id_)
    shared_.violation(fmt::format("{}: nobody has watch id {}: {}", options_.name,
                                  response.watch_id(), response.cancel_reason()));
}

void WatchStream::OnCanceled(Watch& watch, const etcdserverpb::WatchResponse& response) {
  const int64_t compacted = response.compact_revision(), next = watch.checker->next();
  ++compactions_;
  if (!options_.roams || compacted <= next || compacted > shared_.compacted)
    shared_.violation(fmt::format("{}: canceled, compacted {} of {}, next {}: {}", options_.name,
                                  compacted, shared_.compacted, next, response.cancel_reason()));
  ended_events_ += watch.checker->events();
  watch.checker = std::make_unique<WatchChecker>(options_.name, watch.checker->interest(),
                                                 compacted, shared_.violation);
  Create(watch);
}

void WatchStream::OnEvents(Watch& watch, etcdserverpb::WatchResponse& response) {
  for (const mvccpb::Event& event : response.events()) {
    if (std::optional<Change> change = Read(event)) watch.parts.push_back(*change);
  }
  if (watch.parts.empty()) return;
  if (response.header().revision() < watch.parts.back().now.mod_revision)
    shared_.violation(options_.name + ": a header is older than its events");
  if (response.fragment()) {
    ++fragments_;
    if (!options_.fragment) shared_.violation(options_.name + ": fragments, not asked for");
    return;
  }
  std::vector<Change> events = std::exchange(watch.parts, {});
  if (options_.tells) Tell(events);
  watch.checker->OnEvents(std::move(events), shared_.compacted);
  Check();
  if (options_.tells) on_observed_();
  const int64_t present = shared_.oracle->model().next_revision();
  if (options_.roams && watch.checker->next() + kNearThePresent > present) RoamSoon();
}

void WatchStream::OnPromise(const etcdserverpb::WatchResponse& response) {
  ++promises_;
  for (Watch& watch : watches_) {
    const bool meant = response.watch_id() == watch.id || response.watch_id() == -1;
    if (!meant || !watch.created) continue;
    if (!watch.parts.empty()) shared_.violation(options_.name + ": progress between fragments");
    watch.checker->OnProgress(response.header().revision());
  }
  Check();
}

std::optional<Record> WatchStream::ReadRecord(const mvccpb::KeyValue& kv) {
  const std::optional<uint64_t> tag = TagOf(kv.value());
  if (!tag || kv.lease() != 0) {
    shared_.violation(fmt::format("{}: nobody wrote the {} bytes of {} at revision {}",
                                  options_.name, kv.value().size(), kv.key(), kv.mod_revision()));
    return std::nullopt;
  }
  return Record{*tag, kv.create_revision(), kv.mod_revision(), kv.version()};
}

std::optional<Change> WatchStream::Read(const mvccpb::Event& event) {
  const mvccpb::KeyValue& kv = event.kv();
  const std::optional<uint32_t> key = KeyNumber(kv.key());
  Change change{.deleted = event.type() == mvccpb::Event::DELETE};
  if (!key) {
    shared_.violation(fmt::format("{}: nobody wrote key {}", options_.name, kv.key()));
    return std::nullopt;
  }
  change.key = *key;
  change.now = {0, kv.create_revision(), kv.mod_revision(), kv.version()};
  if (!change.deleted) {
    const std::optional<Record> now = ReadRecord(kv);
    if (!now) return std::nullopt;
    change.now = *now;
  } else if (!kv.value().empty()) {
    shared_.violation(fmt::format("{}: a deletion with a value", options_.name));
  }
  if (event.has_prev_kv()) {
    if (event.prev_kv().key() != kv.key())
      shared_.violation(options_.name + ": a previous value of another key");
    change.previous = ReadRecord(event.prev_kv());
  }
  return change;
}

void WatchStream::Tell(const std::vector<Change>& events) {
  for (size_t at = 0; at < events.size();) {
    const int64_t revision = events[at].now.mod_revision;
    std::vector<Change> changes;
    for (; at < events.size() && events[at].now.mod_revision == revision; ++at)
      changes.push_back(events[at]);
    if (!shared_.oracle->Observe(revision, changes)) return;
  }
}

void WatchStream::RoamSoon() {
  if (roam_timer_.value != 0) return;
  roam_timer_ = shared_.loop.RunAfter(milliseconds(shared_.random.Between(10, 500)), [this] {
    roam_timer_ = {};
    if (shared_.finishing) return;
    for (Watch& watch : watches_) Roam(watch);
  });
}

// From some revision of the past on; now and then from one that has been compacted.
void WatchStream::Roam(Watch& watch) {
  const Model& model = shared_.oracle->model();
  const int64_t from = std::max(model.first_revision(), shared_.compacted - kBelowTheCompacted);
  const int64_t to = std::max(from, model.next_revision() - kNearThePresent);
  const int64_t start = shared_.random.Between(from, to);
  etcdserverpb::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(watch.id);
  stream_.Send(request.SerializeAsString());
  ended_events_ += watch.checker->events();
  watch.checker =
      std::make_unique<WatchChecker>(fmt::format("{} from {}", options_.name, start),
                                     watch.checker->interest(), start, shared_.violation);
  Create(watch);
}

void WatchStream::Check() {
  for (Watch& watch : watches_) watch.checker->Check(shared_.oracle->model());
}

int64_t WatchStream::needed() const {
  int64_t least = INT64_MAX;
  if (options_.roams) return least;
  for (const Watch& watch : watches_) least = std::min(least, watch.checker->checked());
  return least;
}

bool WatchStream::Reached(int64_t revision) const {
  std::vector<Resumed> stream;
  for (const Watch& watch : watches_) stream.push_back({watch.checker.get(), watch.from});
  return watch_check::Reached(shared_.oracle->model(), stream, revision,
                              options_.progress_notify ? Promises::kToEach : Promises::kToStreams);
}

std::string WatchStream::Describe() const {
  std::string text = fmt::format("{} (opened {} times", options_.name, openings_);
  for (const Watch& watch : watches_) {
    text += fmt::format(", watch {} {}created was told up to {}, compared up to {}", watch.id,
                        watch.created ? "" : "not ", watch.checker->next() - 1,
                        watch.checker->checked());
  }
  return text + ")";
}

uint64_t WatchStream::events() const {
  uint64_t total = ended_events_;
  for (const Watch& watch : watches_) total += watch.checker->events();
  return total;
}

}  // namespace quoin::watch_check

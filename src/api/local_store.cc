#include "api/local_store.h"

#include <algorithm>
#include <utility>

#include "api/large_range.h"
#include "base/errors.h"
#include "state/range_response.h"
#include "state/txn_check.h"

namespace quoin::api {
namespace {

constexpr uint64_t kPositive = 0x7fffffffffffffff;
constexpr int64_t kLeaseCost = 64;  // what a lease counts in the space quota

}  // namespace

LocalStore::LocalStore(const Context& context, const env::Executor& loop)
    : context_(context), frontend_(context.FrontendOf(loop)), hub_(context.WatchesOf(loop)) {}

LocalStore::~LocalStore() {
  if (range_ != nullptr) range_->Cancel();
  StopWatching();
  hub_.set().Forget(*this);
}

etcdserverpb::ResponseHeader LocalStore::Header(int64_t revision) const {
  std::string field;
  AppendHeader(frontend_.info(), revision, field);
  etcdserverpb::PutResponse holder;  // any message with a header
  holder.ParseFromString(field);
  return holder.header();
}

void LocalStore::Propose(state::Operation operation, const std::string& payload, int64_t cost,
                         const Status& checked, OnAnswer done) {
  auto answer = [this, done](const state::ApplyResult& result) {
    wait_.Over();
    done(result);
  };
  const bool fits = frontend_.HasSpace(cost);
  if (fits && !checked.ok()) return Answer(checked, std::move(done));
  StatusOr<server::Frontend::Wait> wait =
      fits ? frontend_.Propose(operation, payload, std::move(answer))
           : frontend_.RefuseForSpace(std::move(answer));
  if (!wait.ok()) return Answer(wait.status(), std::move(done));
  wait_ = *std::move(wait);
}

void LocalStore::Answer(const Status& refusal, OnAnswer done) {
  frontend_.loop().Post(lifeline_.Tie([done = std::move(done), refusal] {
    state::ApplyResult refused;
    refused.status = refusal;
    done(refused);
  }));
}

void LocalStore::Txn(const etcdserverpb::TxnRequest& request,
                     Done<etcdserverpb::TxnResponse> done) {
  Propose(state::Operation::kTxn, request.SerializeAsString(), state::TxnCost(request),
          state::CheckTxn(request, frontend_.config().txn_ops_max),
          [this, done = std::move(done)](const state::ApplyResult& result) {
            if (!result.status.ok()) return done(result.status);
            etcdserverpb::TxnResponse response;
            state::ParseDeep(result.body, response);
            *response.mutable_header() = Header(result.revision);
            done(std::move(response));
          });
}

void LocalStore::Delete(const std::string& key, Done<etcdserverpb::DeleteRangeResponse> done) {
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(key);
  Propose(state::Operation::kDeleteRange, request.SerializeAsString(), 0,
          state::CheckDelete(request),
          [this, done = std::move(done)](const state::ApplyResult& result) {
            if (!result.status.ok()) return done(result.status);
            etcdserverpb::DeleteRangeResponse response;
            state::ParseDeep(result.body, response);
            *response.mutable_header() = Header(result.revision);
            done(std::move(response));
          });
}

void LocalStore::Grant(int64_t ttl_seconds, Done<int64_t> done) {
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(std::max(ttl_seconds, frontend_.config().LeaseTtlSecondsMin()));
  while (request.id() == 0) request.set_id(static_cast<int64_t>(frontend_.TakeId() & kPositive));
  Propose(state::Operation::kLeaseGrant, request.SerializeAsString(), kLeaseCost, OkStatus(),
          [done = std::move(done), id = request.id()](const state::ApplyResult& result) {
            result.status.ok() ? done(id) : done(result.status);
          });
}

void LocalStore::Range(const etcdserverpb::RangeRequest& request,
                       Done<etcdserverpb::RangeResponse> done) {
  wait_ = frontend_.WaitReadable([this, request, done = std::move(done)](const Status& status) {
    wait_.Over();
    status.ok() ? RangeInSlices(request, done) : done(status);
  });
}

// An answer while it is gathered: all who ask here look at few keys, in the midst of many perhaps.
struct LocalStore::Gathering {
  std::string message;  // the query points into it
  LargeRange::Size size;
  std::string body;
  Done<etcdserverpb::RangeResponse> done;
};

void LocalStore::RangeInSlices(const etcdserverpb::RangeRequest& request,
                               Done<etcdserverpb::RangeResponse> done) {
  auto gathering = std::make_shared<Gathering>();
  gathering->message = request.SerializeAsString();
  gathering->done = std::move(done);
  const mvcc::RangeQuery query = state::ParseRange(gathering->message)->query;
  server::Node& node = context_.node();
  range_ =
      LargeRange::New(context_.SlicesOf(frontend_.loop()), query,
                      std::make_shared<Moment>(node, Moment::Hold::kCompactions, query.revision));
  range_->Measure([this, sign = lifeline_.sign(), gathering](StatusOr<LargeRange::Size> size) {
    if (!sign.alive()) return;
    if (!size.ok()) return Gathered(*gathering, size.status());
    gathering->size = *size;
    Gather(gathering);
  });
}

void LocalStore::Gather(std::shared_ptr<Gathering> gathering) {
  range_->ReadPart([this, sign = lifeline_.sign(), gathering = std::move(gathering)](
                       StatusOr<std::string> part, bool last) {
    if (!sign.alive()) return;
    if (!part.ok()) return Gathered(*gathering, part.status());
    gathering->body += *part;
    if (!last) return Gather(gathering);
    state::AppendRangeTail(gathering->size.more, gathering->size.count, gathering->body);
    etcdserverpb::RangeResponse response;
    response.ParseFromString(gathering->body);
    *response.mutable_header() = Header(gathering->size.store_revision);
    Gathered(*gathering, std::move(response));
  });
}

// The caller may ask for the next range at once, or destroy this object.
void LocalStore::Gathered(Gathering& gathering, StatusOr<etcdserverpb::RangeResponse> answer) {
  range_.reset();
  gathering.done(std::move(answer));
}

void LocalStore::Watch(const std::string& key, const std::string& range_end, int64_t from,
                       OnChange on_change) {
  StopWatching();
  on_change_ = std::move(on_change);
  watch::WatchOptions options;
  options.key = key;
  options.range_end = range_end;
  options.start_revision = from;
  watcher_ = &hub_.Add(*this, std::move(options));
}

void LocalStore::StopWatching() {
  if (watcher_ != nullptr) hub_.Remove(*std::exchange(watcher_, nullptr));
}

void LocalStore::OnEvents(watch::Watcher& watcher, int64_t,
                          const std::vector<watch::Delivery>& events) {
  // A callback may stop this watch, begin another one, or destroy this object.
  const Lifeline::Sign sign = lifeline_.sign();
  std::vector<Change> changes;
  for (const watch::Delivery& delivery : events) {
    etcdserverpb::WatchResponse holder;
    holder.ParseFromArray(delivery.element.data(), static_cast<int>(delivery.element.size()));
    const mvccpb::Event& event = holder.events(0);
    changes.push_back({event.type() == mvccpb::Event::DELETE, event.kv()});
  }
  const OnChange on_change = on_change_;
  for (Change& change : changes) {
    if (!sign.alive() || watcher_ != &watcher) return;
    on_change(std::move(change));
  }
}

void LocalStore::OnCompacted(watch::Watcher&, int64_t) {
  hub_.NoteGone();
  watcher_ = nullptr;
  const OnChange on_change = on_change_;  // may begin another watch
  on_change(errors::Compacted());
}

}  // namespace quoin::api

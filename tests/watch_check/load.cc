#include "tests/watch_check/load.h"

#include <algorithm>
#include <utility>

namespace quoin::watch_check {
namespace {

using std::chrono::milliseconds;

constexpr env::Duration kTick = milliseconds(10);
constexpr env::Duration kTimeout = std::chrono::seconds(2);
constexpr uint32_t kRangeKeysMax = 20;
constexpr uint64_t kOpsMax = 4;

}  // namespace

Load::Load(Shared& shared, Options options, std::function<int64_t()> needed)
    : shared_(shared), options_(options), needed_(std::move(needed)), busy_(options.writers) {
  for (size_t i = 0; i < shared.endpoints.size(); ++i) clients_.push_back(shared.NewClient(i));
  Tick();
  Compact();
}

Load::~Load() {
  shared_.loop.Cancel(tick_);
  shared_.loop.Cancel(compaction_);
}

void Load::Tick() {
  // What was not used is not saved up.
  tokens_ = options_.requests_per_second / 100;
  if (options_.requests_per_second == 0) tokens_ = UINT64_MAX;
  StartWriters();
  tick_ = shared_.loop.RunAfter(kTick, [this] { Tick(); });
}

void Load::StartWriters() {
  for (size_t writer = 0; writer < busy_.size() && tokens_ > 0; ++writer) {
    if (!busy_[writer]) Write(writer);
  }
}

void Load::Write(size_t writer) {
  if (stopping_ || tokens_ == 0) return;
  --tokens_;
  busy_[writer] = true;
  ++running_;
  if (writer == 0) return DeleteRange();
  Request request{.id = next_id_++};
  const uint64_t ops = 1 + shared_.random.Below(kOpsMax);
  while (request.ops.size() < ops) {
    const auto key = static_cast<uint32_t>(shared_.random.Below(kKeys));
    const auto same = [key](const Request::Op& op) { return op.key == key; };
    if (std::any_of(request.ops.begin(), request.ops.end(), same)) continue;
    // Each transaction writes something, so that it can be recognized.
    request.ops.push_back({key, !request.ops.empty() && shared_.random.Below(3) == 0});
  }
  SendTxn(writer, request);
}

void Load::SendTxn(size_t writer, const Request& request) {
  etcdserverpb::TxnRequest txn;
  for (size_t i = 0; i < request.ops.size(); ++i) {
    const Request::Op& op = request.ops[i];
    if (op.deletes) {
      txn.add_success()->mutable_request_delete_range()->set_key(KeyName(op.key));
    } else {
      etcdserverpb::PutRequest& put = *txn.add_success()->mutable_request_put();
      put.set_key(KeyName(op.key));
      put.set_value(ValueOf(request.tag(i)));
    }
  }
  if (request.from < request.to) {
    etcdserverpb::DeleteRangeRequest& range = *txn.add_success()->mutable_request_delete_range();
    range.set_key(KeyName(request.from));
    range.set_range_end(KeyName(request.to));
  }
  shared_.oracle->Sent(request);
  ClientOf(writer).Unary(client::kTxn, txn.SerializeAsString(), kTimeout,
                         [this, writer, id = request.id](StatusOr<std::string> answer) {
                           etcdserverpb::TxnResponse response;
                           if (answer.ok()) response.ParseFromString(*answer);
                           Ended(writer, id, response.header().revision(), answer.status());
                         });
}

// Without the put nobody could tell which of two deletions of the same keys was lost.
void Load::DeleteRange() {
  Request request{.id = next_id_++};
  request.from = static_cast<uint32_t>(shared_.random.Below(kKeys - kRangeKeysMax));
  request.to = request.from + 2 + static_cast<uint32_t>(shared_.random.Below(kRangeKeysMax - 2));
  request.ops.push_back({request.to});
  SendTxn(0, request);
}

void Load::Ended(size_t writer, uint64_t id, int64_t revision, const Status& status) {
  --running_;
  busy_[writer] = false;
  if (!status.ok()) {
    ++lost_;
    return shared_.oracle->Lost(id);  // goes on with the next tick
  }
  ++acknowledged_;
  newest_ = std::max(newest_, revision);
  shared_.oracle->Done(id, revision);
  if (writer != 0) Write(writer);
}

void Load::Compact() {
  compaction_ = shared_.loop.RunAfter(milliseconds(shared_.random.Between(200, 1500)), [this] {
    const int64_t to = needed_() - shared_.random.Between(0, options_.kept_revisions_max);
    if (!stopping_ && to > shared_.compacted) {
      shared_.compacted = to;
      etcdserverpb::CompactionRequest request;
      request.set_revision(to);
      ClientOf(1).Unary(client::kCompact, request.SerializeAsString(), kTimeout,
                        [this](StatusOr<std::string> answer) { compactions_ += answer.ok(); });
    }
    Compact();
  });
}

}  // namespace quoin::watch_check

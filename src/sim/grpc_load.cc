// Every kind of call over gRPC, by way of any member, of which many are cancelled at a drawn moment
// or lose their connection, and some have readers that take nothing. Answers of ranges go into the
// history. A range of the present is never "compacted" nor broken off, also when its reader takes
// little at a time. A reader that stalls may hold up nobody.
#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/errors.h"
#include "base/limits.h"
#include "proto/rpc.pb.h"
#include "sim/stalled_reader.h"
#include "sim/workload.h"

namespace quoin::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kCallsMax = 60;  // under way
constexpr size_t kSlowRangesMax = 3;
const std::string kEverything("\0", 1);

class GrpcLoad final : public Workload {
 public:
  explicit GrpcLoad(const Stage& stage)
      : fleet_(stage.fleet),
        observer_(stage.observer),
        clients_(stage.clients),
        slow_clients_(stage.fleet, kSlowClientHost) {}

  void Setup() override;
  void Start(Host& host) override;
  void Settle() override;
  void Check() override {}

 private:
  struct Row {
    const char* method;
    std::string (GrpcLoad::*request)();
    bool stays;  // does not end by itself
  };
  class OneCall;
  static const Row kRows[];

  Prng& random() { return fleet_.random(); }
  std::string Key() { return "g" + std::to_string(random().Below(keys_)); }
  void Call(Host& host, const Row& row);
  void Range(Host& host, Clients& clients, env::Duration timeout, std::function<void()> done);
  void ReadSlowly(Host& host);
  void CheckRefusal(const Status& status, env::Duration took);
  void Stall(Host& host);
  void LiftAlarms();

  std::string MakePut();
  std::string MakeDelete();
  std::string MakeTxn();
  std::string MakeReadTxn();
  std::string MakeWatch();
  std::string MakeRange();
  std::string MakeDowngrade();
  std::string MakeCancelDowngrade();
  std::string MakeRenewal();
  std::string MakeNothing() { return ""; }

  Fleet& fleet_;
  Observer& observer_;
  Clients& clients_;
  Clients slow_clients_;
  bool reads_slowly_ = false;
  size_t slow_ranges_ = 0;  // under way
  uint64_t keys_ = 8;
  uint64_t value_bytes_max_ = 100;
  double cancel_chance_ = 0;
  bool has_quota_ = false;
  std::map<OneCall*, std::unique_ptr<OneCall>> calls_;  // under way; looked up only
  std::vector<std::unique_ptr<StalledReader>> stalled_;
};

const GrpcLoad::Row GrpcLoad::kRows[] = {
    {"/etcdserverpb.KV/Put", &GrpcLoad::MakePut, false},
    {"/etcdserverpb.KV/Put", &GrpcLoad::MakePut, false},
    {"/etcdserverpb.KV/DeleteRange", &GrpcLoad::MakeDelete, false},
    {"/etcdserverpb.KV/Txn", &GrpcLoad::MakeTxn, false},
    {"/etcdserverpb.KV/Txn", &GrpcLoad::MakeReadTxn, false},
    {"/etcdserverpb.KV/RangeStream", &GrpcLoad::MakeRange, false},
    {"/etcdserverpb.Watch/Watch", &GrpcLoad::MakeWatch, true},
    {"/etcdserverpb.Lease/LeaseKeepAlive", &GrpcLoad::MakeRenewal, true},
    {"/etcdserverpb.Lease/LeaseTimeToLive", &GrpcLoad::MakeRenewal, false},
    {"/etcdserverpb.Lease/LeaseLeases", &GrpcLoad::MakeNothing, false},
    {"/etcdserverpb.Lease/LeaseRevoke", &GrpcLoad::MakeRenewal, false},
    {"/etcdserverpb.Cluster/MemberList", &GrpcLoad::MakeNothing, false},
    {"/etcdserverpb.Maintenance/Alarm", &GrpcLoad::MakeNothing, false},
    {"/etcdserverpb.Maintenance/Status", &GrpcLoad::MakeNothing, false},
    {"/etcdserverpb.Maintenance/Hash", &GrpcLoad::MakeNothing, false},
    {"/etcdserverpb.Maintenance/HashKV", &GrpcLoad::MakeNothing, false},
    {"/etcdserverpb.Maintenance/Snapshot", &GrpcLoad::MakeNothing, false},
    {"/etcdserverpb.Maintenance/Defragment", &GrpcLoad::MakeNothing, false},
    {"/etcdserverpb.Maintenance/Downgrade", &GrpcLoad::MakeDowngrade, false},
    {"/etcdserverpb.Maintenance/Downgrade", &GrpcLoad::MakeCancelDowngrade, false},
};

// One call and its end, which may be drawn. Thread: the clients' loop.
class GrpcLoad::OneCall final : public rpc::ClientStream::Handler {
 public:
  OneCall(GrpcLoad& load, Host& host, const char* method, const std::string& request, bool stays)
      : load_(load) {
    rpc::CallOptions options;
    options.timeout = milliseconds(1 + load.random().Below(8000));
    stream_ = load.clients_.To(host).Stream(method, options, *this);
    stream_->Send(request);
    if (!stays) stream_->HalfClose();
    if (!load.random().Chance(load.cancel_chance_)) return;
    const uint64_t most = load.random().Chance(0.7) ? 6'000 : 400'000;
    timer_ = load.clients_.loop().RunAfter(microseconds(load.random().Below(most)), [this] {
      timer_ = {};
      stream_->Cancel();
    });
  }
  ~OneCall() override { load_.clients_.loop().Cancel(timer_); }
  void OnMessage(std::string_view) override { ++load_.fleet_.result().grpc_answers; }
  void OnEnd(const Status&) override {
    load_.clients_.loop().Post([load = &load_, self = this] { load->calls_.erase(self); });
  }

 private:
  GrpcLoad& load_;
  std::unique_ptr<rpc::ClientStream> stream_;
  env::TimerId timer_;
};

void GrpcLoad::Setup() {
  cancel_chance_ = 0.2 * static_cast<double>(random().Below(6));
  if (random().Chance(0.4)) {
    value_bytes_max_ = 200'000;  // then all of them are a large range
    reads_slowly_ = random().Chance(0.5);
  }
  if (reads_slowly_) {  // an answer is more than a member gives to a connection at once
    keys_ = 24;
    fleet_.network().SetAppetite(kSlowClientHost, 16'384 << random().Below(3),
                                 milliseconds(5 + random().Below(100)));
  }
  has_quota_ = random().Chance(0.2);
  if (!has_quota_) return;
  for (auto& host : fleet_.hosts())
    host->machine->config().quota_bytes = static_cast<int64_t>(100'000 + random().Below(400'000));
}

void GrpcLoad::Start(Host& host) {
  if (!host.machine->serving()) return;
  const uint64_t count = random().Below(16);
  clients_.loop().Post([this, &host, count] {
    for (uint64_t i = 0; i < count && calls_.size() < kCallsMax; ++i) {
      if (random().Chance(0.2))
        Range(host, clients_, seconds(8), [] {});
      else
        Call(host, kRows[random().Below(std::size(kRows))]);
    }
    if (random().Chance(0.05)) Stall(host);
  });
  if (reads_slowly_) ReadSlowly(host);
  if (random().Chance(0.1)) fleet_.network().Reset(kClientHost, host.machine->host());
}

void GrpcLoad::Call(Host& host, const Row& row) {
  auto call = std::make_unique<OneCall>(*this, host, row.method, (this->*row.request)(), row.stays);
  calls_.emplace(call.get(), std::move(call));
}

void GrpcLoad::Range(Host& host, Clients& clients, env::Duration timeout,
                     std::function<void()> done) {
  etcdserverpb::RangeRequest request;
  request.set_key(kEverything);
  request.set_range_end(kEverything);
  request.set_serializable(random().Chance(0.2));
  History& history = observer_.history();
  const size_t number =
      history.Begin({.kind = request.serializable() ? Call::Kind::kStale : Call::Kind::kRead});
  clients.Call<etcdserverpb::RangeResponse>(
      host, "/etcdserverpb.KV/Range", request, timeout,
      [this, number, asked = clients.Now(), done = std::move(done)](auto answer) {
        done();
        if (!answer.ok()) return CheckRefusal(answer.status(), clients_.Now() - asked);
        Content seen;
        for (const auto& kv : answer->kvs())
          seen[kv.key()] = Held{Abridged(kv.value()), kv.mod_revision()};
        ++fleet_.result().grpc_answers;
        observer_.history().Answer(number, answer->header().revision(), false, std::move(seen));
      });
}

// A range of the present may be late, or lose its connection. It is given up only by a reader that
// is slower than is documented.
void GrpcLoad::CheckRefusal(const Status& status, env::Duration took) {
  const std::string what = "a range of the present: " + status.ToString();
  if (absl::IsOutOfRange(status) || absl::IsInternal(status) || absl::IsDataLoss(status))
    fleet_.Fail(what);
  if (status == errors::TakenTooSlowly() && took < limits::kPinIdleMax)
    fleet_.Fail(what + " after " + std::to_string(std::chrono::nanoseconds(took).count()) + " ns");
}

// Big values, and a reader of all of them that takes its time.
void GrpcLoad::ReadSlowly(Host& host) {
  const uint64_t puts = random().Below(6);
  clients_.loop().Post([this, &host, puts] {
    for (uint64_t i = 0; i < puts && calls_.size() < kCallsMax; ++i) Call(host, kRows[0]);
  });
  if (slow_ranges_ == kSlowRangesMax || !random().Chance(0.3)) return;
  ++slow_ranges_;
  fleet_.Say("a slow reader at " + host.machine->host());
  slow_clients_.loop().Post(
      [this, &host] { Range(host, slow_clients_, seconds(120), [this] { --slow_ranges_; }); });
}

void GrpcLoad::Stall(Host& host) {
  if (stalled_.size() >= 4) return;
  const bool snapshot = random().Chance(0.5);
  etcdserverpb::RangeRequest everything;
  everything.set_key(kEverything);
  everything.set_range_end(kEverything);
  fleet_.Say("a reader stalls at " + host.machine->host());
  stalled_.push_back(std::make_unique<StalledReader>(
      fleet_.network(), clients_.loop(), host.machine->client_address(),
      snapshot ? "/etcdserverpb.Maintenance/Snapshot" : "/etcdserverpb.KV/Range",
      snapshot ? std::string() : everything.SerializeAsString(), random().Chance(0.5)));
}

std::string GrpcLoad::MakePut() {
  etcdserverpb::PutRequest put;
  put.set_key(Key());
  put.set_value(std::string(random().Below(value_bytes_max_), 'g'));
  return put.SerializeAsString();
}

std::string GrpcLoad::MakeDelete() {
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(Key());
  if (random().Chance(0.2)) request.set_range_end("h");
  return request.SerializeAsString();
}

std::string GrpcLoad::MakeTxn() {
  etcdserverpb::TxnRequest request;
  etcdserverpb::Compare& compare = *request.add_compare();
  compare.set_key(Key());
  compare.set_target(etcdserverpb::Compare::VERSION);
  compare.set_result(etcdserverpb::Compare::GREATER);
  request.add_success()->mutable_request_put()->set_key("g0");
  request.add_success()->mutable_request_range()->set_key("g0");
  request.add_success()->mutable_request_put()->set_key("g1");
  request.add_failure()->mutable_request_delete_range()->set_key(Key());
  return request.SerializeAsString();
}

std::string GrpcLoad::MakeReadTxn() {
  etcdserverpb::TxnRequest request;
  const uint64_t ranges = 1 + random().Below(40);
  for (uint64_t i = 0; i < ranges; ++i) {
    etcdserverpb::RangeRequest& range = *request.add_success()->mutable_request_range();
    range.set_key("g");
    range.set_range_end("h");
  }
  return request.SerializeAsString();
}

std::string GrpcLoad::MakeRange() {
  etcdserverpb::RangeRequest request;
  request.set_key(kEverything);
  request.set_range_end(kEverything);
  return request.SerializeAsString();
}

std::string GrpcLoad::MakeWatch() {
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key(kEverything);
  request.mutable_create_request()->set_range_end(kEverything);
  if (random().Chance(0.5)) request.mutable_create_request()->set_start_revision(1);
  return request.SerializeAsString();
}

std::string GrpcLoad::MakeDowngrade() {
  etcdserverpb::DowngradeRequest request;
  request.set_action(etcdserverpb::DowngradeRequest::VALIDATE);
  request.set_version("3.6.0");
  return request.SerializeAsString();
}

std::string GrpcLoad::MakeCancelDowngrade() {
  etcdserverpb::DowngradeRequest request;
  request.set_action(etcdserverpb::DowngradeRequest::CANCEL);
  return request.SerializeAsString();
}

// Of a lease that nobody has; all requests of leases have their id in the same field.
std::string GrpcLoad::MakeRenewal() {
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(1'000'000 + static_cast<int64_t>(random().Below(3)));
  return request.SerializeAsString();
}

// Readers that stall stay: the others must get on all the same. A cluster without space gets some.
void GrpcLoad::Settle() {
  if (!std::exchange(has_quota_, false)) return;
  for (auto& host : fleet_.hosts()) {
    host->machine->config().quota_bytes = -1;
    if (!host->machine->up()) continue;
    fleet_.Crash(*host);
    fleet_.Start(*host);
  }
  LiftAlarms();
}

// Each member has its own.
void GrpcLoad::LiftAlarms() {
  for (int attempt = 0; attempt < 60; ++attempt) {
    fleet_.world().RunFor(seconds(1));
    Host* host = fleet_.AnyMemberUp();
    if (host == nullptr || !host->machine->serving()) continue;
    const auto newest = fleet_.Newest();
    if (newest->alarms.empty()) return;
    etcdserverpb::AlarmRequest request;
    request.set_action(etcdserverpb::AlarmRequest::DEACTIVATE);
    request.set_memberid(newest->alarms[0].first);
    request.set_alarm(etcdserverpb::NOSPACE);
    std::optional<bool> lifted;
    clients_.loop().Post([&] {
      clients_.Call<etcdserverpb::AlarmResponse>(*host, "/etcdserverpb.Maintenance/Alarm", request,
                                                 seconds(5),
                                                 [&](auto answer) { lifted = answer.ok(); });
    });
    if (!fleet_.Until([&] { return lifted.has_value(); }, "an answer to Alarm")) return;
  }
  fleet_.Fail("never: the alarms are lifted");
}

}  // namespace

std::unique_ptr<Workload> NewGrpcLoad(const Stage& stage) {
  return std::make_unique<GrpcLoad>(stage);
}

}  // namespace quoin::sim

// Keys are put, deleted, compared and read by way of any member, through its frontend: the calls
// whose every answer is compared with a plain map (sim/history.h).
#include <string>
#include <utility>

#include "proto/rpc.pb.h"
#include "sim/workload.h"

namespace quoin::sim {
namespace {

constexpr size_t kCallsMax = 40;  // of one member without an answer

class KvLoad final : public Workload {
 public:
  explicit KvLoad(const Stage& stage)
      : fleet_(stage.fleet), observer_(stage.observer), history_(stage.observer.history()) {}

  void Setup() override {
    keys_ = 1 + random().Below(12);
    if (random().Chance(0.3)) reads_of_twenty_ = 12;
  }

  void Start(Host& host) override {
    const uint64_t count = random().Below(12);
    for (uint64_t i = 0; i < count && host.calls < kCallsMax; ++i) Send(host);
  }

  void Settle() override { PutTheEnd(); }

  void Check() override {
    if (auto wrong = history_.Verify()) fleet_.Fail(*wrong);
  }

 private:
  Prng& random() { return fleet_.random(); }
  std::string RandomKey() { return "k" + std::to_string(random().Below(keys_)); }

  void Send(Host& host) {
    const uint64_t what = random().Below(20);
    if (what < reads_of_twenty_) return Read(host, /*stale=*/what % 5 > 2);
    Call call;
    call.key = RandomKey();
    if (random().Chance(0.25)) {
      call.kind = Call::Kind::kDelete;
    } else {
      call.value = "v" + std::to_string(next_value_++) + "." +
                   std::string(random().Chance(0.1) ? random().Below(3000) : 3, 'x');
      call.kind = random().Chance(0.35) ? Call::Kind::kPutIf : Call::Kind::kPut;
    }
    if (call.kind == Call::Kind::kPutIf) {
      const Content& latest = history_.state(history_.known());
      const auto found = latest.find(call.key);
      call.compare = found == latest.end() ? 0 : found->second.mod_revision;
    }
    Write(host, std::move(call));
  }

  void Write(Host& host, Call call);
  void OnWritten(size_t number, const state::ApplyResult& result);
  void Read(Host& host, bool stale);
  void PutTheEnd();

  Fleet& fleet_;
  Observer& observer_;
  History& history_;
  uint64_t keys_ = 8;
  uint64_t reads_of_twenty_ = 5;
  int next_value_ = 1;
};

// The operation and its payload.
std::pair<state::Operation, std::string> Encode(const Call& call) {
  etcdserverpb::PutRequest put;
  put.set_key(call.key);
  put.set_value(call.value);
  if (call.kind == Call::Kind::kDelete) {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(call.key);
    return {state::Operation::kDeleteRange, request.SerializeAsString()};
  }
  if (call.kind == Call::Kind::kPut) return {state::Operation::kPut, put.SerializeAsString()};
  etcdserverpb::TxnRequest request;
  etcdserverpb::Compare& compare = *request.add_compare();
  compare.set_result(etcdserverpb::Compare::EQUAL);
  compare.set_target(etcdserverpb::Compare::MOD);
  compare.set_key(call.key);
  compare.set_mod_revision(call.compare);
  *request.add_success()->mutable_request_put() = put;
  request.add_failure()->mutable_request_range()->set_key(call.key);
  return {state::Operation::kTxn, request.SerializeAsString()};
}

void KvLoad::Write(Host& host, Call call) {
  const auto [operation, payload] = Encode(call);
  call.value = Abridged(call.value);
  const size_t number = history_.Begin(std::move(call));
  ++host.calls;
  if (fleet_.options().mutant == Mutant::kProposesTwice)
    host.machine->Propose(operation, payload, [](const state::ApplyResult&) {});
  host.machine->Propose(operation, payload, [this, &host, number](const auto& result) {
    --host.calls;
    if (result.status.ok()) OnWritten(number, result);
  });
}

void KvLoad::OnWritten(size_t number, const state::ApplyResult& result) {
  switch (history_.call(number).kind) {
    case Call::Kind::kDelete: {
      etcdserverpb::DeleteRangeResponse response;
      if (!response.ParseFromString(result.body))
        return fleet_.Fail("a response that does not parse");
      return history_.Answer(number, result.revision, response.deleted() > 0);
    }
    case Call::Kind::kPutIf: {
      etcdserverpb::TxnResponse response;
      if (!response.ParseFromString(result.body))
        return fleet_.Fail("a response that does not parse");
      Content seen;
      for (const auto& one : response.responses()) {
        for (const auto& kv : one.response_range().kvs())
          seen[kv.key()] = Held{Abridged(kv.value()), kv.mod_revision()};
      }
      return history_.Answer(number, result.revision, response.succeeded(), std::move(seen));
    }
    default:
      return history_.Answer(number, result.revision, true);
  }
}

void KvLoad::Read(Host& host, bool stale) {
  Call call;
  call.kind = stale ? Call::Kind::kStale : Call::Kind::kRead;
  const size_t number = history_.Begin(std::move(call));
  auto look = [this, &host, number] {
    int64_t revision = 0;
    std::optional<Content> content = observer_.Read(host, &revision);
    if (content) history_.Answer(number, revision, false, *std::move(content));
  };
  if (stale) return host.machine->io().Post(look);
  ++host.calls;
  host.machine->WaitReadable([&host, look](const Status& status) {
    --host.calls;
    if (status.ok()) look();
  });
}

// A put that is answered: what was cut off before may still refuse some.
void KvLoad::PutTheEnd() {
  std::optional<Status> answer;
  for (int attempt = 0; attempt < 60 && !(answer && answer->ok()); ++attempt) {
    Host* host = fleet_.AnyMemberUp();
    if (host == nullptr) {  // none knows yet that it is one
      fleet_.world().RunFor(std::chrono::seconds(1));
      continue;
    }
    answer.reset();
    Call call;
    call.key = "end";
    call.value = "e" + std::to_string(next_value_++);
    const size_t number = history_.Begin(call);
    host->machine->Put(call.key, call.value, [&, number](const state::ApplyResult& result) {
      answer = result.status;
      if (result.status.ok()) OnWritten(number, result);
    });
    if (!fleet_.Until([&] { return answer.has_value(); }, "an answer after healing")) return;
  }
  if (!answer || !answer->ok())
    fleet_.Fail("no progress after healing: " + (answer ? answer->ToString() : "nobody is up"));
}

}  // namespace

std::unique_ptr<Workload> NewKvLoad(const Stage& stage) { return std::make_unique<KvLoad>(stage); }

}  // namespace quoin::sim

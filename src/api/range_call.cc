// KV.Range and KV.RangeStream: small answers at once on the I/O loop, big ones in slices
// (LargeRange).

#include "api/kv_service.h"
#include "api/large_range.h"
#include "base/errors.h"
#include "base/limits.h"
#include "base/wire.h"
#include "state/range_response.h"

namespace quoin::api {
namespace {

// What an I/O loop does itself; more goes to the storage loop.
constexpr size_t kKeysAtOnce = 1000;
constexpr size_t kBytesAtOnce = 256 * 1024;

size_t BytesToRead(const mvcc::RangeQuery& query, const mvcc::KeyValue& kv) {
  const bool from_index = query.keys_only && query.target != mvcc::SortTarget::kValue;
  return from_index ? kv.key.size() : kv.record_bytes;
}

// Whether the answer is small, as far as the index tells. Stops looking when it is not.
bool IsSmall(const mvcc::View& view, const mvcc::RangeQuery& query) {
  if (query.range_end.empty()) return true;
  StatusOr<int64_t> revision = view.ResolveRevision(query.revision);
  if (!revision.ok()) return true;  // an error is small
  size_t bytes = 0;
  const auto more = view.VisitSlice(query.key, query.range_end, *revision, kKeysAtOnce,
                                    [&](const mvcc::KeyValue& kv) {
                                      if (!query.count_only) bytes += BytesToRead(query, kv);
                                      return bytes <= kBytesAtOnce;
                                    });
  return !more && bytes <= kBytesAtOnce;
}

// `more` and `count` as they stand behind the elements.
std::string Tail(const LargeRange::Size& size) {
  std::string tail;
  wire::PutUintNonZero(tail, 3, size.more ? 1 : 0);
  wire::PutUintNonZero(tail, 4, static_cast<uint64_t>(size.count));
  return tail;
}

// The part of both calls that finds out how to answer. Thread: the call's I/O loop.
class RangeBase : public RemoteCall {
 public:
  using RemoteCall::RemoteCall;
  ~RangeBase() override {
    if (large_ != nullptr) large_->Cancel();
  }
  void OnCancel(const Status& why) override {
    if (large_ != nullptr) large_->Cancel();
    RemoteCall::OnCancel(why);
  }
  void OnDrained() override {
    if (wants_room_) NextPart();
  }

 protected:
  // Requests that this kind of call does not take.
  virtual Status CheckKind(const mvcc::RangeQuery&) const { return OkStatus(); }
  // Small answer: `body` is everything after the header.
  virtual void Answer(const std::string& body, int64_t store_revision) = 0;
  virtual void BeginLarge(const LargeRange::Size& size) = 0;
  virtual void SendPart(std::string part, bool last) = 0;
  // A stream may end with "compacted" between two messages, as etcd's; an answer is completed.
  virtual LargeRange::Hold Holds() const { return LargeRange::Hold::kCompactions; }

  bool LearnerMay(std::string_view message) const override {
    std::optional<state::RangeCommand> range = state::ParseRange(message);
    return range && range->serializable;
  }

  void Handle(std::string_view message) override {
    std::optional<state::RangeCommand> range = state::ParseRange(message);
    if (!range) return Fail(UnmarshalError());
    Status status = state::CheckRangeQuery(range->query);
    if (status.ok()) status = CheckKind(range->query);
    if (!status.ok()) return Fail(status);
    if (range->serializable || frontend_.ReadableNow()) return Read(range->query);
    message_ = std::string(message);  // the query points into it while the read waits
    WhenReadable([this] { Read(state::ParseRange(message_)->query); });
  }

  const LargeRange::Size& large_size() const { return large_size_; }

 private:
  void Read(const mvcc::RangeQuery& query) {
    EpochDomain::Guard guard(frontend_.slot());
    const mvcc::View view = frontend_.store().Current(btree::OnMiss::kReport);
    if (!IsSmall(view, query)) return StartLarge(query);
    StatusOr<mvcc::RangeResult> found = view.Range(query);
    if (absl::IsUnavailable(found.status())) return ReadWholeOnStorage(query);
    if (!found.ok()) return Fail(found.status());
    std::string body;
    state::AppendRangeBody(*found, query.keys_only, body);
    Answer(body, view.revision());
  }

  // Pages are missing: on the loop that may wait.
  void ReadWholeOnStorage(const mvcc::RangeQuery& query) {
    struct Found {
      StatusOr<std::string> body;
      int64_t revision;
    };
    auto done = BackHere<Found>([this](const Found& found) {
      found.body.ok() ? Answer(*found.body, found.revision) : Fail(found.body.status());
    });
    server::Node& node = context_.node();
    auto owned = std::make_shared<std::pair<std::string, std::string>>(query.key, query.range_end);
    mvcc::RangeQuery copy = query;
    copy.key = owned->first;
    copy.range_end = owned->second;
    node.storage_loop().Post([&node, owned, copy, done = std::move(done)]() mutable {
      EpochDomain::Guard guard(node.storage_slot());
      const mvcc::View view = node.store().Current(btree::OnMiss::kLoad);
      StatusOr<mvcc::RangeResult> found = view.Range(copy);
      if (!found.ok()) return done({found.status(), view.revision()});
      std::string body;
      state::AppendRangeBody(*found, copy.keys_only, body);
      done({std::move(body), view.revision()});
    });
  }

  void StartLarge(const mvcc::RangeQuery& query) {
    large_ = LargeRange::New(context_.node(), frontend_.loop(), query, Holds());
    large_->Measure([this, count_only = query.count_only](StatusOr<LargeRange::Size> size) {
      if (!size.ok()) return Fail(size.status());
      large_size_ = *size;
      if (count_only) return Answer(Tail(*size), size->store_revision);
      BeginLarge(*size);
      NextPart();
    });
  }

  void NextPart() {
    wants_room_ = call_.unsent_bytes() > limits::kCallUnsentBytesMax;
    if (wants_room_) return;  // OnDrained goes on
    large_->ReadPart([this](StatusOr<std::string> part, bool last) {
      if (!part.ok()) return Fail(part.status());
      SendPart(*std::move(part), last);
      if (!last) NextPart();
    });
  }

  std::string message_;
  std::shared_ptr<LargeRange> large_;
  LargeRange::Size large_size_;
  bool wants_room_ = false;
};

class RangeCall final : public RangeBase {
 public:
  using RangeBase::RangeBase;

 protected:
  void Answer(const std::string& body, int64_t store_revision) override {
    std::string response;
    response.reserve(body.size() + 48);
    AppendHeader(frontend_.info(), store_revision, response);
    response += body;
    Reply(std::move(response));
  }
  void BeginLarge(const LargeRange::Size& size) override {
    std::string header;
    AppendHeader(frontend_.info(), size.store_revision, header);
    call_.StartMessage(header.size() + size.elements_bytes + Tail(size).size());
    call_.AppendMessage(std::move(header));
  }
  void SendPart(std::string part, bool last) override {
    call_.AppendMessage(std::move(part));
    if (!last) return;
    call_.AppendMessage(Tail(large_size()));
    call_.Finish(OkStatus());
  }
};

// RangeStreamResponse {1 range_response}: elements first, header, more and count with the last.
class RangeStreamCall final : public RangeBase {
 public:
  using RangeBase::RangeBase;

 protected:
  bool LearnerMay(std::string_view) const override { return false; }
  LargeRange::Hold Holds() const override { return LargeRange::Hold::kNothing; }
  Status CheckKind(const mvcc::RangeQuery& query) const override {
    const bool key_order =
        query.order == mvcc::SortOrder::kNone ||
        (query.order == mvcc::SortOrder::kAscend && query.target == mvcc::SortTarget::kKey);
    if (!key_order) return errors::StreamCustomSort();
    if (query.min_mod_revision != 0 || query.max_mod_revision != 0 ||
        query.min_create_revision != 0 || query.max_create_revision != 0) {
      return errors::StreamRevisionFilters();
    }
    return OkStatus();
  }
  void Answer(const std::string& body, int64_t store_revision) override {
    std::string response;
    AppendHeader(frontend_.info(), store_revision, response);
    SendChunk(response + body);
    call_.Finish(OkStatus());
  }
  void BeginLarge(const LargeRange::Size&) override {}
  void SendPart(std::string part, bool last) override {
    if (!last) return SendChunk(part);
    std::string response;
    AppendHeader(frontend_.info(), large_size().store_revision, response);
    SendChunk(response + part + Tail(large_size()));
    call_.Finish(OkStatus());
  }

 private:
  void SendChunk(const std::string& range_response) {
    std::string message;
    wire::PutBytes(message, 1, range_response);
    call_.Send(std::move(message));
  }
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewRangeCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<RangeCall>(context, call);
}
std::unique_ptr<rpc::CallHandler> NewRangeStreamCall(const Context& context,
                                                     rpc::ServerCall& call) {
  return std::make_unique<RangeStreamCall>(context, call);
}

}  // namespace quoin::api

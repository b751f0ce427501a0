// KV.Range: small answers at once on the I/O loop, big ones in slices (LargeRange).

#include "api/kv_service.h"
#include "api/large_range.h"
#include "base/limits.h"
#include "state/range_response.h"

namespace quoin::api {
namespace {

// Whether the answer is small, as far as the index tells. One key is, whatever its value.
bool IsSmall(const mvcc::View& view, const mvcc::RangeQuery& query) {
  mvcc::ReadBudget budget = kAtOnce;
  return query.range_end.empty() || view.Fits(query, budget);
}

std::string Tail(const LargeRange::Size& size) {
  std::string tail;
  state::AppendRangeTail(size.more, size.count, tail);
  return tail;
}

class RangeCall final : public UnaryCall {
 public:
  RangeCall(const Context& context, rpc::ServerCall& call) : UnaryCall(context, call) {}
  ~RangeCall() override {
    if (large_ != nullptr) large_->Cancel();
  }
  void OnCancel(const Status& why) override {
    if (large_ != nullptr) large_->Cancel();
    UnaryCall::OnCancel(why);
  }
  void OnDrained() override {
    if (wants_room_) NextPart();
  }

 protected:
  bool LearnerMay(std::string_view message) const override {
    std::optional<state::RangeCommand> range = state::ParseRange(message);
    return range && range->serializable;
  }

  void Handle(std::string_view message) override {
    std::optional<state::RangeCommand> range = state::ParseRange(message);
    if (!range) return Fail(UnmarshalError());
    Status status = state::CheckRangeQuery(range->query);
    if (!status.ok()) return Fail(status);
    if (range->serializable || frontend_.ReadableNow()) return Read(range->query);
    message_ = std::string(message);  // the query points into it while the read waits
    WhenReadable([this] { Read(state::ParseRange(message_)->query); });
  }

 private:
  void Read(const mvcc::RangeQuery& query) {
    EpochDomain::Guard guard(frontend_.slot());
    const mvcc::View view = frontend_.store().Current(btree::OnMiss::kReport);
    if (!IsSmall(view, query)) return StartLarge(query);
    StatusOr<mvcc::RangeResult> found = view.Range(query);
    if (absl::IsUnavailable(found.status())) return StartLarge(query);  // pages are to be loaded
    if (!found.ok()) return Fail(found.status());
    std::string body;
    state::AppendRangeBody(*found, query.keys_only, body);
    Answer(body, view.revision());
  }

  void StartLarge(const mvcc::RangeQuery& query) {
    auto moment =
        std::make_shared<Moment>(context_.node(), Moment::Hold::kCompactions, query.revision);
    large_ = LargeRange::New(context_.node(), frontend_.loop(), query, std::move(moment));
    large_->Measure([this, count_only = query.count_only](StatusOr<LargeRange::Size> size) {
      if (!size.ok()) return Fail(size.status());
      large_size_ = *size;
      if (count_only) return Answer(Tail(*size), size->store_revision);
      SendHead();
    });
  }

  void NextPart() {
    wants_room_ = !call_.has_room();
    if (wants_room_) return;  // OnDrained goes on
    large_->ReadPart([this](StatusOr<std::string> part, bool last) {
      if (!part.ok()) return Fail(part.status());
      SendPart(*std::move(part), last);
      if (!last) NextPart();
    });
  }

  void Answer(const std::string& body, int64_t store_revision) {
    std::string response;
    response.reserve(body.size() + 48);
    AppendHeader(frontend_.info(), store_revision, response);
    response += body;
    Reply(std::move(response));
  }
  void SendHead() {
    std::string header;
    AppendHeader(frontend_.info(), large_size_.store_revision, header);
    const uint64_t bytes = header.size() + large_size_.elements_bytes + Tail(large_size_).size();
    if (bytes > kMessageBytesMax) return Fail(MessageTooLarge(bytes));
    call_.StartMessage(bytes);
    call_.AppendMessage(std::move(header));
    NextPart();
  }
  void SendPart(std::string part, bool last) {
    call_.AppendMessage(std::move(part));
    if (!last) return;
    call_.AppendMessage(Tail(large_size_));
    call_.Finish(OkStatus());
  }

  std::string message_;
  std::shared_ptr<LargeRange> large_;
  LargeRange::Size large_size_;
  bool wants_room_ = false;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewRangeCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<RangeCall>(context, call);
}

}  // namespace quoin::api

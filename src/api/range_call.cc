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

class RangeCall final : public PartedCall {
 public:
  using PartedCall::PartedCall;

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
    call_.SetWaitingBytes(message_.size());
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
    const std::shared_ptr<LargeRange> large =
        LargeRange::New(context_.SlicesOf(frontend_.loop()), query, std::move(moment));
    Keep(large);
    // It has the keys, and where it has got to.
    call_.SetWaitingBytes(2 * query.key.size() + query.range_end.size());
    const bool count_only = query.count_only;
    message_ = {};
    large->Measure([this, count_only](StatusOr<LargeRange::Size> size) {
      if (!size.ok()) return Fail(size.status());
      if (count_only) return Answer(Tail(*size), size->store_revision);
      std::string header;
      AppendHeader(frontend_.info(), size->store_revision, header);
      SendParts(std::move(header), size->elements_bytes, Tail(*size));
    });
  }

  void Answer(const std::string& body, int64_t store_revision) {
    std::string response;
    response.reserve(body.size() + 48);
    AppendHeader(frontend_.info(), store_revision, response);
    response += body;
    Reply(std::move(response));
  }
  std::string message_;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewRangeCall(const Context& context, rpc::ServerCall& call) {
  return std::make_unique<RangeCall>(context, call);
}

}  // namespace quoin::api

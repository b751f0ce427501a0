// KV.RangeStream: a range in messages of growing size.

#include "api/kv_service.h"
#include "api/large_range.h"
#include "api/range_stream.h"
#include "base/errors.h"
#include "base/limits.h"
#include "base/wire.h"
#include "state/range_response.h"

namespace quoin::api {
namespace {

// Requests that a stream does not take.
Status CheckStreamable(const mvcc::RangeQuery& query) {
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

// RangeStreamResponse {1 range_response}: elements first, header, more and count with the last.
class RangeStreamCall final : public UnaryCall {
 public:
  RangeStreamCall(const Context& context, rpc::ServerCall& call) : UnaryCall(context, call) {}
  ~RangeStreamCall() override { StopReading(); }
  void OnCancel(const Status& why) override {
    StopReading();
    UnaryCall::OnCancel(why);
  }
  void OnDrained() override {
    if (wants_room_) NextChunk();
  }

 protected:
  void Handle(std::string_view message) override {
    std::optional<state::RangeCommand> range = state::ParseRange(message);
    if (!range) return Fail(UnmarshalError());
    Status status = state::CheckRangeQuery(range->query);
    if (status.ok()) status = CheckStreamable(range->query);
    if (!status.ok()) return Fail(status);
    message_ = std::string(message);  // the query points into it while the read waits
    call_.SetWaitingBytes(2 * message_.size());
    if (range->serializable) return Begin();
    WhenReadable([this] { Begin(); });
  }

 private:
  void Begin() {
    const mvcc::RangeQuery query = state::ParseRange(message_)->query;
    if (query.count_only) return Count(query);
    stream_ = std::make_shared<RangeStream>(context_.node(), context_.SlicesOf(frontend_.loop()),
                                            query, frontend_.config().request_bytes_max);
    NextChunk();
  }

  void Count(const mvcc::RangeQuery& query) {
    auto moment = std::make_shared<Moment>(context_.node(), Moment::Hold::kNothing, query.revision);
    count_ = LargeRange::New(context_.SlicesOf(frontend_.loop()), query, std::move(moment));
    count_->Measure([this](StatusOr<LargeRange::Size> size) {
      if (!size.ok()) return Fail(size.status());
      RangeStream::Chunk chunk;
      chunk.last = true;
      chunk.store_revision = size->store_revision;
      chunk.count = size->count;
      SendChunk(chunk);
    });
  }

  void NextChunk() {
    wants_room_ = !call_.has_room();
    if (wants_room_) return;  // OnDrained goes on
    stream_->ReadChunk([this](StatusOr<RangeStream::Chunk> chunk) {
      if (!chunk.ok()) return Fail(chunk.status());
      SendChunk(*chunk);
      if (!chunk->last) NextChunk();
    });
  }

  // After the last one the call has ended.
  void SendChunk(const RangeStream::Chunk& chunk) {
    std::string response;
    if (chunk.last) AppendHeader(frontend_.info(), chunk.store_revision, response);
    response += chunk.elements;
    if (chunk.last) state::AppendRangeTail(chunk.more, chunk.count, response);
    std::string message;
    wire::PutBytes(message, 1, response);
    call_.Send(std::move(message));
    if (chunk.last) call_.Finish(OkStatus());
  }

  void StopReading() {
    if (stream_ != nullptr) stream_->Cancel();
    if (count_ != nullptr) count_->Cancel();
  }

  std::string message_;
  std::shared_ptr<RangeStream> stream_;
  std::shared_ptr<LargeRange> count_;
  bool wants_room_ = false;
};

}  // namespace

std::unique_ptr<rpc::CallHandler> NewRangeStreamCall(const Context& context,
                                                     rpc::ServerCall& call) {
  return std::make_unique<RangeStreamCall>(context, call);
}

}  // namespace quoin::api

#include "api/context.h"

#include <algorithm>

#include "api/parts.h"
#include "api/slice_turns.h"
#include "api/watch_hub.h"
#include "base/check.h"
#include "base/errors.h"
#include "base/limits.h"
#include "base/wire.h"

namespace quoin::api {
namespace {

bool IsUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80         ? 1
                          : (lead >> 5) == 6  ? 2
                          : (lead >> 4) == 14 ? 3
                          : (lead >> 3) == 30 ? 4
                                              : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

}  // namespace

Context::Context(server::Node& node, std::vector<env::Executor*> io_loops,
                 ReadStats read_process_stats)
    : node_(node),
      io_loops_(std::move(io_loops)),
      read_process_stats_(std::move(read_process_stats)) {
  for (size_t i = 0; i < io_loops_.size(); ++i) {
    watches_.push_back(std::make_unique<WatchHub>(node_, node_.frontend(i)));
    slices_.push_back(std::make_unique<SliceTurns>(*io_loops_[i], node_.storage_loop()));
    slices_.back()->sorts().set_bytes_max(
        std::max<size_t>(1 << 20, limits::kUnreadBytesMax / 2 / io_loops_.size()));
    lease_doors_.push_back(std::make_unique<server::LeaseDoor>(
        node_.lease_loop(), node_.lease_executor(), *io_loops_[i]));
  }
}

Context::~Context() = default;

size_t Context::NumberOf(const env::Executor& loop) const {
  for (size_t i = 0; i < io_loops_.size(); ++i) {
    if (io_loops_[i] == &loop) return i;
  }
  CHECK(false) << "a call on a loop that has no frontend";
  return 0;
}

server::Frontend& Context::FrontendOf(const env::Executor& loop) const {
  return node_.frontend(NumberOf(loop));
}

WatchHub& Context::WatchesOf(const env::Executor& loop) const { return *watches_[NumberOf(loop)]; }

SliceTurns& Context::SlicesOf(const env::Executor& loop) const { return *slices_[NumberOf(loop)]; }

server::LeaseDoor& Context::LeasesOf(const env::Executor& loop) const {
  return *lease_doors_[NumberOf(loop)];
}

void AppendHeader(const server::NodeInfo& info, int64_t revision, std::string& out) {
  char header[40];
  char* at = header;
  auto put = [&at](uint32_t number, uint64_t value) {
    if (value == 0) return;
    *at++ = static_cast<char>(number << 3);
    at = wire::PutVarint(at, value);
  };
  put(1, info.cluster_id);
  put(2, info.member_id);
  put(3, static_cast<uint64_t>(revision));
  put(4, info.term.load(std::memory_order_relaxed));
  wire::PutBytes(out, 1, std::string_view(header, static_cast<size_t>(at - header)));
}

Status AdmitCall(const rpc::ServerCall& call, const server::Frontend& frontend, bool learner_may) {
  const server::NodeInfo& info = frontend.info();
  if (!info.capable.load(std::memory_order_acquire)) return errors::NotCapable();
  if (info.is_learner.load(std::memory_order_relaxed) && !learner_may)
    return errors::NotSupportedForLearner();
  if (auto version = call.metadata("client-api-version"); version && !IsUtf8(*version)) {
    return errors::InvalidClientApiVersion();
  }
  if (auto wants_leader = call.metadata("hasleader"); wants_leader && *wants_leader == "true") {
    if (info.leader.load(std::memory_order_relaxed) == 0) return errors::NoLeader();
  }
  return OkStatus();
}

Status UnmarshalError() {
  return absl::InternalError(
      "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data");
}

void UnaryCall::OnMessage(std::string_view message) {
  Status admitted = AdmitCall(call_, frontend_, LearnerMay(message));
  if (!admitted.ok()) return Fail(admitted);
  Handle(message);
}

void UnaryCall::Await(StatusOr<server::Frontend::Wait> wait) {
  if (!wait.ok()) return Fail(wait.status());
  wait_ = *std::move(wait);
}

void UnaryCall::ProposeThen(state::Operation operation, std::string_view message,
                            server::Frontend::OnApplied then) {
  Await(frontend_.Propose(operation, message,
                          [this, then = std::move(then)](state::ApplyResult result) mutable {
                            wait_.Over();
                            then(std::move(result));
                          }));
}

void UnaryCall::ProposeAndReply(state::Operation operation, std::string_view message) {
  Await(frontend_.Propose(operation, message, [this](state::ApplyResult result) {
    wait_.Over();
    if (!result.status.ok()) return Fail(result.status);
    std::string response;
    response.reserve(result.body.size() + 48);
    AppendHeader(frontend_.info(), result.revision, response);
    response += result.body;
    Reply(std::move(response));
  }));
}

bool UnaryCall::AdmitSpace(int64_t cost) {
  if (frontend_.HasSpace(cost)) return true;
  Await(frontend_.RefuseForSpace([this](const state::ApplyResult& refused) {
    wait_.Over();
    Fail(refused.status);
  }));
  return false;
}

void UnaryCall::WhenReadable(absl::AnyInvocable<void()> then) {
  // A wait that is over at once must not be stored: the call is gone then.
  if (frontend_.ReadableNow()) return then();
  wait_ = frontend_.WaitReadable([this, then = std::move(then)](const Status& status) mutable {
    wait_.Over();
    status.ok() ? then() : Fail(status);
  });
}

Status MessageTooLarge(uint64_t bytes) {
  return absl::ResourceExhaustedError("grpc: trying to send message larger than max (" +
                                      std::to_string(bytes) + " vs. " +
                                      std::to_string(kGrpcMessageBytesMax) + ")");
}

void UnaryCall::Reply(std::string response) {
  if (response.size() > kGrpcMessageBytesMax) return Fail(MessageTooLarge(response.size()));
  call_.Send(std::move(response));
  call_.Finish(OkStatus());
}

void UnaryCall::Fail(const Status& status) { call_.Finish(status); }

}  // namespace quoin::api

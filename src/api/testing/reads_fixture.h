// Reads with a whole member behind them, and clients that take their answers when they are told to.
//
// Thread: the test's.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/testing/member_fixture.h"
#include "proto/rpc.pb.h"

namespace quoin::api {

inline const std::string kFromKey(1, '\0');

// The library's side of a call, and a client that takes bytes when it is told to.
class FakeCall final : public rpc::ServerCall {
 public:
  explicit FakeCall(env::Executor& loop) : loop_(loop) {}

  std::string_view method() const override { return "/etcdserverpb.KV/Range"; }
  std::optional<std::string_view> metadata(std::string_view) const override { return {}; }
  std::optional<env::Duration> deadline() const override { return {}; }
  std::string remote_address() const override { return "client"; }
  env::Executor& executor() override { return loop_; }
  void Send(std::string message) override {
    StartMessage(message.size());
    AppendMessage(std::move(message));
  }
  void StartMessage(uint64_t total_bytes) override {
    EXPECT_EQ(missing_, 0) << "a message within a message";
    missing_ = total_bytes;
    messages_.emplace_back();
  }
  void AppendMessage(std::string part) override {
    EXPECT_LE(part.size(), missing_) << "more than was announced";
    missing_ -= part.size();
    unsent_ += part.size();
    most_unsent_ = std::max(most_unsent_, unsent_);
    messages_.back() += part;
  }
  void AppendMessage(SharedBytes part) override { AppendMessage(std::string(part.view())); }
  size_t unsent_bytes() const override { return unsent_; }
  void Finish(const Status& status) override {
    EXPECT_TRUE(missing_ == 0 || !status.ok()) << "less than was announced";
    finished_ = status;
  }
  void PauseRequests() override {}
  void ResumeRequests() override {}
  void SetWaitingBytes(size_t bytes) override { waiting_bytes_ = bytes; }

  // The client takes up to `bytes` of what is there; true: there was something.
  bool Take(size_t bytes) {
    const size_t taken = std::min(bytes, unsent_);
    unsent_ -= taken;
    return taken > 0;
  }
  const std::vector<std::string>& messages() const { return messages_; }
  size_t most_unsent() const { return most_unsent_; }
  const std::optional<Status>& finished() const { return finished_; }
  size_t waiting_bytes() const { return waiting_bytes_; }

 private:
  env::Executor& loop_;
  std::vector<std::string> messages_;
  uint64_t missing_ = 0;
  size_t unsent_ = 0, most_unsent_ = 0, waiting_bytes_ = 0;
  std::optional<Status> finished_;
};

class ReadsTest : public MemberTest {
 protected:
  // A client's call.
  struct Call {
    explicit Call(env::Executor& loop) : call(loop) {}
    FakeCall call;
    std::unique_ptr<rpc::CallHandler> handler;
    bool ended() const { return call.finished().has_value(); }
    Status status() const { return call.finished().value_or(absl::UnknownError("goes on")); }
  };
  using NewCall = std::unique_ptr<rpc::CallHandler> (*)(const Context&, rpc::ServerCall&);

  ~ReadsTest() override {
    OnLoop([this] { calls_.clear(); });
  }

  Call& Ask(NewCall new_call, const google::protobuf::MessageLite& request) {
    calls_.push_back(std::make_unique<Call>(*io_));
    Call& call = *calls_.back();
    OnLoop([&] {
      call.handler = new_call(*context_, call.call);
      call.handler->OnMessage(request.SerializeAsString());
    });
    return call;
  }
  // The client takes `bytes` at once; time passes until the member has filled up again.
  void Take(Call& call, size_t bytes) {
    OnLoop([&] {
      const bool drained = call.call.Take(bytes);
      if (drained && !call.ended()) call.handler->OnDrained();
    });
    world_.RunFor(std::chrono::milliseconds(5));
  }
  // To its end; the session then destroys the handler.
  void TakeAll(Call& call) {
    while (!call.ended()) Take(call, SIZE_MAX);
    OnLoop([&] { call.handler.reset(); });
  }

  static std::string Key(int i) { return "k" + std::to_string(1'000'000 + i); }
  // Keys 0 … count-1, a hundred a transaction; returns the last revision.
  int64_t Fill(int count, size_t value_bytes) {
    int64_t revision = 0;
    for (int first = 0; first < count; first += 100) {
      etcdserverpb::TxnRequest txn;
      for (int i = first; i < std::min(count, first + 100); ++i) {
        etcdserverpb::PutRequest* put = txn.add_success()->mutable_request_put();
        put->set_key(Key(i));
        put->set_value(std::string(value_bytes, 'v'));
      }
      revision = Apply(state::Operation::kTxn, txn.SerializeAsString());
    }
    return revision;
  }
  // Reads ask the raft loop from now on, as those of a member of several do.
  void NotAlone() {
    OnLoop([this] { node_->info().sole_member_leads.store(false); });
  }
  bool CompactionPending() {
    std::optional<bool> pending;
    node_->apply_executor().Post(
        [&] { pending = node_->apply_loop().machine().store().compaction_pending(); });
    CHECK(world_.RunUntil([&] { return pending.has_value(); }, kStepsMax));
    return *pending;
  }

  static etcdserverpb::RangeRequest Everything() {
    etcdserverpb::RangeRequest range;
    range.set_key(kFromKey);
    range.set_range_end(kFromKey);
    return range;
  }
  static etcdserverpb::RangeResponse Answer(const Call& call) {
    etcdserverpb::RangeResponse response;
    EXPECT_EQ(call.status(), OkStatus());
    const bool is_one = call.call.messages().size() == 1;
    EXPECT_TRUE(is_one && response.ParseFromString(call.call.messages()[0]));
    return response;
  }

  std::vector<std::unique_ptr<Call>> calls_;
};

}  // namespace quoin::api

#include "server/lease_forwarder.h"

#include <utility>

#include "base/errors.h"

namespace quoin::server {
namespace {

constexpr env::Duration kPause = std::chrono::milliseconds(50);

}  // namespace

void LeaseForwarder::Ask(std::string target, std::string body, LeaseHost::OnAnswer done) {
  const uint64_t number = next_number_++;
  auto question = std::make_unique<Question>();
  question->target = std::move(target);
  question->body = std::move(body);
  question->until = loop_.clock().Now() + time_max_;
  question->done = std::move(done);
  questions_.emplace(number, std::move(question));
  if (questions_.size() - waiting_.size() > kAskedAtOnce) return waiting_.push_back(number);
  Try(number);
}

void LeaseForwarder::Stop() {
  waiting_.clear();
  for (auto& [number, question] : std::exchange(questions_, {})) {
    loop_.Cancel(question->timer);
    question->done(errors::Stopped());
  }
}

void LeaseForwarder::Try(uint64_t number) {
  Question& question = *questions_.at(number);
  question.timer = {};
  if (answer_is_here_()) return End(number, absl::AbortedError("this member leads"));
  const env::Duration left = question.until - loop_.clock().Now();
  if (left <= env::Duration(0)) return End(number, errors::TimedOut());
  question.fetch = host_.AskLeader(
      question.target, question.body, left,
      [this, number](StatusOr<rpc::HttpResponse> answer) { OnAnswer(number, std::move(answer)); });
  if (question.fetch == nullptr) OnAnswer(number, absl::UnavailableError("no leader"));
}

void LeaseForwarder::OnAnswer(uint64_t number, StatusOr<rpc::HttpResponse> answer) {
  Question& question = *questions_.at(number);
  if (answer.ok() && (answer->status == 200 || answer->status == 404))
    return End(number, std::move(answer));
  if (loop_.clock().Now() + kPause >= question.until) return End(number, errors::TimedOut());
  question.timer = loop_.RunAfter(kPause, [this, number] { Try(number); });
}

void LeaseForwarder::End(uint64_t number, StatusOr<rpc::HttpResponse> answer) {
  auto found = questions_.find(number);
  auto done = std::move(found->second->done);
  // Its fetch may be the one that is calling.
  loop_.Post([ended = std::shared_ptr<Question>(std::move(found->second))] {});
  questions_.erase(found);
  if (!waiting_.empty()) {
    const uint64_t next = waiting_.front();
    waiting_.pop_front();
    questions_.at(next)->timer = loop_.RunAfter(env::Duration(0), [this, next] { Try(next); });
  }
  done(std::move(answer));
}

}  // namespace quoin::server

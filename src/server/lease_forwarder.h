// LeaseForwarder: asks the leader what this member cannot answer, again and again until there is an
// answer or no time left. At most kAskedAtOnce questions are on their way; the others wait.
//
// Thread: the lease loop.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "env/executor.h"
#include "server/lease_host.h"

namespace quoin::server {

class LeaseForwarder {
 public:
  static constexpr size_t kAskedAtOnce = 64;

  // `answer_is_here`: this member has become the leader.
  LeaseForwarder(env::Executor& loop, LeaseHost& host, env::Duration time_max,
                 std::function<bool()> answer_is_here)
      : loop_(loop), host_(host), time_max_(time_max), answer_is_here_(std::move(answer_is_here)) {}

  // `done` gets an answer of status 200 or 404; or Aborted: ask this member; or etcd's text for
  // time that ran out.
  void Ask(std::string target, std::string body, LeaseHost::OnAnswer done);
  // Answers everything with "server stopped".
  void Stop();

 private:
  struct Question {
    std::string target, body;
    env::Duration until;
    LeaseHost::OnAnswer done;
    std::unique_ptr<rpc::Fetch> fetch;
    env::TimerId timer;
  };
  void Try(uint64_t number);
  void OnAnswer(uint64_t number, StatusOr<rpc::HttpResponse> answer);
  void End(uint64_t number, StatusOr<rpc::HttpResponse> answer);

  env::Executor& loop_;
  LeaseHost& host_;
  const env::Duration time_max_;
  const std::function<bool()> answer_is_here_;
  std::map<uint64_t, std::unique_ptr<Question>> questions_;
  std::deque<uint64_t> waiting_;  // not yet tried
  uint64_t next_number_ = 0;
};

}  // namespace quoin::server

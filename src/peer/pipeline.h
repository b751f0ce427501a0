// Pipeline: single messages to a member, each in a POST of its own: for what no stream takes.
//
// Thread: the peer loop.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "peer/context.h"

namespace quoin::peer {

class Pipeline {
 public:
  // Who sends by it. Outlives it.
  class User {
   public:
    virtual ~User() = default;
    virtual void OnPosted() = 0;
    virtual void OnPostFailed(const Status& why) = 0;
  };

  Pipeline(const Context& context, UrlPicker& urls, User& user)
      : context_(context), urls_(urls), user_(user) {}
  // False: too many wait, the message is dropped.
  bool Send(const raft::Message& message);

 private:
  void StartWaiting();
  void OnAnswer(uint64_t id, const StatusOr<rpc::HttpResponse>& answer);

  const Context context_;
  UrlPicker& urls_;
  User& user_;
  std::deque<std::string> waiting_;  // encoded
  struct Post {
    std::string url;
    std::unique_ptr<rpc::Fetch> fetch;
  };
  std::map<uint64_t, Post> posts_;
  uint64_t next_id_ = 0;
};

}  // namespace quoin::peer

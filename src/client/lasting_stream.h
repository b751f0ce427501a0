// LastingStream: a stream that is opened again, at the next endpoint, whenever it breaks: what
// watches and lease renewals are built on.
//
// Thread: the loop of its AsyncClient.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client/async_client.h"
#include "client/methods.h"
#include "env/executor.h"

namespace quoin::client {

class LastingStream {
 public:
  // Who uses the stream. Outlives it. May close the stream inside any of these.
  class User {
   public:
    virtual ~User() = default;
    // A fresh stream takes messages; nothing of what was said on the one before is known to it.
    virtual void OnOpened() = 0;
    virtual void OnMessage(std::string_view message) = 0;
    // False: it stays closed, otherwise it is opened again after a pause that grows with the
    // number of failures in a row.
    virtual bool OnBroken(const Status& status) = 0;
  };

  // `client` and `loop` outlive the stream.
  LastingStream(AsyncClient& client, env::Executor& loop, const MethodInfo& method, User& user)
      : client_(client), loop_(loop), method_(method), user_(user) {}
  ~LastingStream() { Close(); }
  LastingStream(const LastingStream&) = delete;
  LastingStream& operator=(const LastingStream&) = delete;

  void Open();
  // On a stream that is not open just now the message is dropped: OnOpened says it anew.
  void Send(std::string message);
  void Close();
  // The endpoint does not answer: has the connection tested (AsyncClient::Doubt), and goes on at
  // the next endpoint at once. Nothing while the stream is not open: endpoints are tried already.
  void Move(env::Duration patience);
  // Where there is no other endpoint the stream stays: a late answer is worth more than a new
  // question to the same one.
  bool MayMove() const { return client_.endpoints() > 1; }
  bool is_open() const { return connection_ != nullptr; }

 private:
  class Connection;

  void OnOpened(size_t endpoint);
  void OnMessage(std::string_view message);
  void OnEnd(const Status& status);
  void Drop();

  AsyncClient& client_;
  env::Executor& loop_;
  const MethodInfo method_;
  User& user_;
  std::shared_ptr<Connection> connection_;  // null: closed, or waits for the next attempt
  std::optional<size_t> endpoint_;          // of the open stream
  env::TimerId retry_;
  int failures_ = 0;  // since the last message
};

}  // namespace quoin::client

// Client: the waiting form of AsyncClient, for tools and tests: call, wait, get the answer.
//
// Thread: any thread but the loop's; one Client may be used from several. `loop` runs on a thread
// of its own and outlives the client.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "client/async_client.h"
#include "client/methods.h"

namespace quoin::client {

// An answer as it came, and how long it took from the call's start on the loop.
struct Arrival {
  StatusOr<std::string> bytes;
  env::Duration took{};
};

// What a wait returns whose stop token was asked to stop; etcd's clients say it in these words.
Status StoppedWaiting();

// Where the loop puts an answer and a thread takes it. Thread: Put on the loop, Take on any other.
class ArrivalBox {
 public:
  void Put(Arrival arrival);
  // Waits; call once. StoppedWaiting() when `stop` comes first: the answer is dropped then.
  Arrival Take(const std::stop_token& stop);

 private:
  std::mutex mutex_;
  std::condition_variable_any came_;
  std::optional<Arrival> arrival_;
};

// An answer that is on its way.
template <typename Response>
class Pending {
 public:
  explicit Pending(std::shared_ptr<ArrivalBox> arrival) : arrival_(std::move(arrival)) {}

  // Waits. Call once. `stop` ends the wait, not the call: its effect may still come.
  StatusOr<Response> Wait(const std::stop_token& stop = {}) {
    const Arrival arrival = arrival_->Take(stop);
    took_ = arrival.took;
    RETURN_IF_ERROR(arrival.bytes.status());
    Response response;
    if (!response.ParseFromString(*arrival.bytes)) {
      return absl::InternalError("malformed response message");
    }
    return response;
  }

  // How long the call took, however long Wait() waited. REQUIRES: Wait() was called.
  env::Duration took() const { return took_; }

 private:
  std::shared_ptr<ArrivalBox> arrival_;
  env::Duration took_{};
};

class Client {
 public:
  using Timeout = AsyncClient::Timeout;

  Client(env::Env& env, env::Executor& loop, ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  env::Executor& loop() { return loop_; }
  // Runs `task` on the loop with the client that lives there, and waits until it has run.
  void OnLoop(absl::FunctionRef<void(AsyncClient&)> task) {
    RunOnLoop([&] { task(*async_); });
  }

  // Sends a request; several may be on their way at once.
  template <typename MethodType>
  Pending<typename MethodType::Response> Start(const MethodType& method,
                                               const typename MethodType::Request& request,
                                               Timeout timeout) {
    return Pending<typename MethodType::Response>(
        StartBytes(method, request.SerializeAsString(), timeout));
  }

  // Sends a request and waits for its answer, or for `stop` (see Pending::Wait).
  template <typename MethodType>
  StatusOr<typename MethodType::Response> Call(const MethodType& method,
                                               const typename MethodType::Request& request,
                                               Timeout timeout, const std::stop_token& stop = {}) {
    return Start(method, request, timeout).Wait(stop);
  }

  // Sends one request and gives every message of the answering stream to `take`, on the loop's
  // thread: a `take` that waits slows the sender down. An error of `take` cancels the stream and is
  // returned. Waits for the end.
  template <typename MethodType>
  Status ReadStream(const MethodType& method, const typename MethodType::Request& request,
                    Timeout timeout,
                    absl::FunctionRef<Status(typename MethodType::Response)> take) {
    return ReadStreamBytes(
        method, request.SerializeAsString(), timeout, [&](std::string_view bytes) -> Status {
          typename MethodType::Response response;
          if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
            return absl::InternalError("malformed response message");
          }
          return take(std::move(response));
        });
  }

 private:
  std::shared_ptr<ArrivalBox> StartBytes(const MethodInfo& method, std::string request,
                                         Timeout timeout);
  Status ReadStreamBytes(const MethodInfo& method, std::string request, Timeout timeout,
                         absl::FunctionRef<Status(std::string_view)> take);
  // Runs `task` on the loop and waits until it has run.
  void RunOnLoop(absl::FunctionRef<void()> task);

  env::Executor& loop_;
  std::unique_ptr<AsyncClient> async_;  // made, used and destroyed on the loop
};

}  // namespace quoin::client

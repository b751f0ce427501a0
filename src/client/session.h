// Session: a lease that is kept alive as long as the program lives. What hangs on it (locks,
// leaderships, registrations) ends with it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <stop_token>

#include "client/client.h"
#include "client/lasting_stream.h"

namespace quoin::client {

// Thread: the loop of its AsyncClient; `lost` runs there.
class LeaseKeeper : private LastingStream::User {
 public:
  // Renews `lease` every third of its time to live. A renewal that is not answered soon makes the
  // stream go to the next endpoint, the first time before half of the time to live is over. `lost`
  // is called once, when the server says that it is gone, or when a whole time to live has passed
  // since the last renewal that was answered was sent: from then on the server may have given it
  // up.
  LeaseKeeper(AsyncClient& client, env::Executor& loop, int64_t lease, int64_t ttl_seconds,
              std::function<void()> lost);
  ~LeaseKeeper() override;

 private:
  void OnOpened() override;
  void OnMessage(std::string_view message) override;
  bool OnBroken(const Status& status) override;
  void Renew();
  // Waits for the answer to the oldest renewal.
  void AwaitAnswer(env::Duration patience);
  void OnSilence();
  void Lost();

  env::Executor& loop_;
  const int64_t lease_;
  const env::Duration ttl_;
  std::function<void()> lost_;
  std::deque<env::Duration> sent_;  // when the renewals left that this stream has not answered
  env::Duration patience_;          // how long an answer may take before the stream moves
  env::TimerId renew_timer_, deadline_timer_, answer_timer_;
  LastingStream stream_;
};

// Thread: any but the client's loop.
class Session {
 public:
  // Grants a lease. `lost` (may be empty) runs on the client's loop, once, when the lease can no
  // longer be relied on.
  static StatusOr<std::unique_ptr<Session>> Open(Client& client, int64_t ttl_seconds,
                                                 Client::Timeout timeout,
                                                 std::function<void()> lost = nullptr);
  // Stops renewing: the lease then ends by itself.
  ~Session();
  // Gives the lease back at once; what hangs on it is gone when this returns OK.
  Status Close(Client::Timeout timeout);

  Client& client() { return client_; }
  int64_t lease() const { return lease_; }
  bool lost() const { return lost_.stop_requested(); }
  // Stopped when the lease can no longer be relied on, and by Close.
  std::stop_token lost_token() const { return lost_.get_token(); }

 private:
  Session(Client& client, int64_t lease) : client_(client), lease_(lease) {}

  Client& client_;
  const int64_t lease_;
  std::stop_source lost_;
  std::unique_ptr<LeaseKeeper> keeper_;  // the loop's
};

}  // namespace quoin::client

// Transactions as programs: read, decide, write; done at once or tried again when somebody else
// changed what was read. (Software transactional memory, as etcd's Go client calls it.)
//
// Thread: any but the client's loop.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "client/client.h"

namespace quoin::client {

// What one attempt reads and wants to write. All reads are of one revision, and of the attempt's
// own writes. Valid during the body's run.
class Stm {
 public:
  StatusOr<std::optional<std::string>> Get(std::string_view key);
  void Put(std::string_view key, std::string_view value, int64_t lease = 0);
  void Delete(std::string_view key);

 private:
  friend StatusOr<int64_t> RunTransaction(Client&, Client::Timeout,
                                          absl::FunctionRef<Status(Stm&)>);
  struct Read {
    int64_t mod_revision = 0;  // 0 = absent
    std::optional<std::string> value;
  };
  struct Write {
    std::optional<std::string> value;  // nullopt = delete
    int64_t lease = 0;
  };
  Stm(Client& client, Client::Timeout timeout) : client_(client), timeout_(timeout) {}
  pb::TxnRequest Commit() const;

  Client& client_;
  const Client::Timeout timeout_;
  int64_t revision_ = 0;  // of all reads; 0 = nothing was read yet
  std::map<std::string, Read, std::less<>> reads_;
  std::map<std::string, Write, std::less<>> writes_;
};

// Runs `body` until its reads still hold when its writes are done (serializable, and reads of one
// attempt never mix revisions); returns the revision of the commit. `body` may run several times
// and must have no other effects; an error of it ends the transaction without writing. `timeout`
// bounds each call to the server. Keys below 128 per transaction, as the server's own bound says.
StatusOr<int64_t> RunTransaction(Client& client, Client::Timeout timeout,
                                 absl::FunctionRef<Status(Stm&)> body);

}  // namespace quoin::client

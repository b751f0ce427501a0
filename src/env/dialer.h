// Dialer: connects to "host:port", where the host may be a name. What both worlds share, so that
// the simulator runs the code that production runs.
//
// A name is looked up anew for each connection; those that wait for the same name share one
// look-up. The addresses by which a name was last reached are kept: they are used when a look-up
// fails or is slow. All addresses of a name are tried in turn: the next one starts when the one
// before has failed, or has been silent for kStagger. The first that answers wins.
//
// There are Dialer, World (what each world offers it) and Attempt (one address being tried).
//
// Thread: one executor owns a Dialer. Callbacks run there, never inside the call that caused them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/lifeline.h"
#include "base/status.h"
#include "env/executor.h"
#include "env/network.h"

namespace quoin::env {

class Dialer {
 public:
  using Done = absl::AnyInvocable<void(StatusOr<std::unique_ptr<Connection>>)>;
  using Found = absl::AnyInvocable<void(StatusOr<std::vector<std::string>>)>;

  // A connection that is being made. Destroying it gives it up; also inside its own callback.
  class Attempt {
   public:
    virtual ~Attempt() = default;
  };

  // Outlives the dialer. Thread: the dialer's executor.
  class World {
   public:
    virtual ~World() = default;
    // The IP addresses of `host`, best first, without brackets. Errors read "lookup HOST: why".
    // Never waits. `found` may come after the dialer's end.
    virtual void Lookup(const std::string& host, Executor& on, Found found) = 0;
    // Connects to "ip:port", "[ip]:port" or "unix:path". Errors read as Network::Connect's.
    virtual std::unique_ptr<Attempt> Dial(const std::string& address, Executor& on, Done done) = 0;
  };

  static constexpr Duration kStagger = std::chrono::milliseconds(300);
  // A look-up that takes longer is slow.
  static constexpr Duration kPatience = std::chrono::milliseconds(200);
  // Names that are remembered at once; strangers may name some.
  static constexpr size_t kNamesMax = 256;

  Dialer(World& world, Executor& loop) : world_(world), loop_(loop) {}
  // Gives everything up without callbacks.
  ~Dialer();

  // As Network::Connect. `timeout` covers the look-up too.
  void Connect(const std::string& address, Duration timeout, Done done);

 private:
  struct Name {
    bool asking = false;            // a look-up is under way
    std::set<uint64_t> waiting;     // dials that want its result
    std::vector<std::string> good;  // the addresses by which it was reached last
  };
  struct Dial {
    std::string host, port;  // host empty: a fixed address
    Done done;
    TimerId deadline, next;          // next: the end of patience, or of a stagger
    std::vector<std::string> hosts;  // to try, in this order; of a fixed address its whole text
    size_t tried = 0;
    std::map<size_t, std::unique_ptr<Attempt>> running;  // by place in `hosts`
    bool waits = false;                                  // for the look-up
    Status error;                                        // what is said when nothing is left
  };

  void Ask(uint64_t id, Dial& dial);
  void OnFound(const std::string& host, StatusOr<std::vector<std::string>> result);
  void Add(uint64_t id, const std::vector<std::string>& hosts);
  void TryNext(uint64_t id);
  void OnTried(uint64_t id, size_t place, StatusOr<std::unique_ptr<Connection>> result);
  void OnDeadline(uint64_t id);
  void Finish(uint64_t id, StatusOr<std::unique_ptr<Connection>> result);
  std::string AddressOf(const Dial& dial, size_t place) const;
  Name* NameOf(const std::string& host);

  World& world_;
  Executor& loop_;
  std::map<uint64_t, Dial> dials_;
  std::map<std::string, Name> names_;
  uint64_t next_id_ = 1;
  Lifeline lifeline_;
};

// "host:port" in its two halves, the host without brackets; the port is empty when there is none.
std::pair<std::string, std::string> SplitHostPort(std::string_view address);
// The inverse.
std::string JoinHostPort(std::string_view host, std::string_view port);
// Whether `host` is an address and no name.
bool IsIpAddress(std::string_view host);

}  // namespace quoin::env

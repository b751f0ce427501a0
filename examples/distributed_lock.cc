// A lock, and why it needs fencing: its holder is stopped for longer than its lease lives, another
// one takes over, and the late write of the first is refused by the store.
//
//   distributed_lock [HOST:PORT …]
//
// The holder is a process of its own, so that it can be paused as a whole (SIGSTOP), as a long
// garbage collection or a virtual machine that moves would do.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/mutex.h"
#include "client/requests.h"
#include "connect.h"

using namespace quoin;
using examples::kTimeout;
using examples::Require;

namespace {

constexpr int64_t kLeaseSeconds = 2;
constexpr char kLock[] = "locks/report";
constexpr char kGuarded[] = "report";

// Writes what the lock guards, if the lock is still held. False: it is not, and nothing happened.
bool WriteGuarded(client::Client& store, const client::Mutex& mutex, const std::string& value) {
  client::pb::TxnRequest txn;
  *txn.add_compare() = mutex.is_held();
  *txn.add_success() = client::PutOp(kGuarded, value);
  return Require(store.Call(client::kTxn, txn, kTimeout), "guarded write").succeeded();
}

char WaitForByte(int fd) {
  char byte = 0;
  if (read(fd, &byte, 1) != 1) std::exit(1);
  return byte;
}

void SendByte(int fd, char byte) {
  if (write(fd, &byte, 1) != 1) std::exit(1);
}

// The holder that will be paused: takes the lock, says so, and writes when it is told to.
int Holder(std::vector<client::Endpoint> endpoints, int from_parent, int to_parent) {
  examples::Connection connection(std::move(endpoints));
  auto session =
      Require(client::Session::Open(connection.client, kLeaseSeconds, kTimeout), "session");
  client::Mutex mutex(*session, kLock);
  Require(mutex.Lock(kTimeout), "lock");
  std::printf("first holder: locked, fencing token %ld\n",
              static_cast<long>(mutex.fencing_token()));
  const bool wrote = WriteGuarded(connection.client, mutex, "by the first");
  SendByte(to_parent, wrote ? 'y' : 'n');
  WaitForByte(from_parent);
  const bool late = WriteGuarded(connection.client, mutex, "by the first, too late");
  std::printf("first holder: the late write was %s\n", late ? "ACCEPTED" : "refused");
  SendByte(to_parent, late ? 'y' : 'n');
  return 0;
}

std::string Guarded(client::Client& store) {
  client::pb::RangeRequest request;
  request.set_key(kGuarded);
  auto answer = Require(store.Call(client::kRange, request, kTimeout), "get");
  return answer.kvs_size() > 0 ? answer.kvs(0).value() : "";
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  int to_child[2], from_child[2];
  if (pipe(to_child) != 0 || pipe(from_child) != 0) return 1;
  const pid_t child = fork();  // before any thread exists
  if (child == 0) _exit(Holder(examples::Endpoints(argc, argv), to_child[0], from_child[1]));

  examples::Connection connection(examples::Endpoints(argc, argv));
  const bool first_wrote = WaitForByte(from_child[0]) == 'y';
  kill(child, SIGSTOP);
  std::printf("the first holder is stopped; its lease of %ld s runs out\n",
              static_cast<long>(kLeaseSeconds));

  auto session =
      Require(client::Session::Open(connection.client, kLeaseSeconds, kTimeout), "session");
  client::Mutex mutex(*session, kLock);
  auto at_once = Require(mutex.TryLock(kTimeout), "try lock");
  std::printf("second holder: %s at once\n", at_once ? "locked" : "not free");
  if (!at_once) Require(mutex.Lock(std::chrono::seconds(60)), "lock");
  std::printf("second holder: locked, fencing token %ld\n",
              static_cast<long>(mutex.fencing_token()));
  const bool second_wrote = WriteGuarded(connection.client, mutex, "by the second");

  kill(child, SIGCONT);
  SendByte(to_child[1], 'g');
  const bool late_wrote = WaitForByte(from_child[0]) == 'y';
  waitpid(child, nullptr, 0);
  const std::string value = Guarded(connection.client);
  std::printf("the report is %s\n", value.c_str());
  Require(mutex.Unlock(kTimeout), "unlock");
  Require(session->Close(kTimeout), "close");
  return first_wrote && second_wrote && !late_wrote && value == "by the second" ? 0 : 1;
}

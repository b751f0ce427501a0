// History: what clients asked and heard, what the store was at every revision, and whether the two
// go together.
//
// Every change of the store has a revision of its own, so that the order in which things happened
// is known, and checking it takes one pass: a call that began after another had answered has a
// higher revision (a read: no lower one); every answer is what a plain map gives at its revision;
// every change was asked for, and happened once. That holds for the keys of IsCalled; other keys
// are there and are compared between members, but other checkers say what may happen to them.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace quoin::sim {

// A value as it is compared here: a long one by its beginning, its size and its checksum.
std::string Abridged(std::string_view value);

// One key as a reader sees it. Value type.
struct Held {
  std::string value;  // abridged
  int64_t mod_revision = 0;
  friend bool operator==(const Held&, const Held&) = default;
};
using Content = std::map<std::string, Held>;

// One call of a client. Value type.
struct Call {
  enum class Kind : uint8_t {
    kPut,
    kDelete,
    kPutIf,  // a transaction: puts if the key's mod_revision is `compare`, else reads the key
    kRead,   // linearizable, of everything
    kStale,  // serializable, of everything
  };
  Kind kind = Kind::kPut;
  std::string key;
  std::string value;  // abridged; of no other call
  int64_t compare = 0;
  int64_t floor = 0;  // the highest revision that anybody had heard of when it began

  // The answer; a call without one may have happened or not.
  int64_t revision = 0;  // 0 = none
  bool changed = false;  // the put was made, the key deleted
  Content seen;          // of reads, and of a kPutIf that put nothing
};

// Keys that calls write.
bool IsCalled(const std::string& key);
// Keys that differ, in order.
std::vector<std::string> Difference(const Content& before, const Content& after);

// Thread: one.
class History {
 public:
  // Returns the call's number.
  size_t Begin(Call call);
  void Answer(size_t number, int64_t revision, bool changed, Content seen = {});
  const Call& call(size_t number) const { return calls_[number]; }

  // A member holds this at that revision. REQUIRES: every revision up to known() + 1 is learned in
  // turn. Says what is wrong when it is not what another member held.
  std::optional<std::string> Learn(int64_t revision, Content content);
  int64_t known() const { return static_cast<int64_t>(states_.size()) - 1; }
  const Content& state(int64_t revision) const { return states_[static_cast<size_t>(revision)]; }

  // After all was learned: what is wrong, if anything is.
  std::optional<std::string> Verify() const;

  size_t answered() const { return answered_; }
  size_t reads() const { return reads_; }

 private:
  std::optional<std::string> VerifyCall(const Call& call) const;
  std::optional<std::string> VerifyChange(int64_t revision, std::set<size_t>& used) const;
  bool Explains(const Call& call, int64_t revision) const;

  std::vector<Call> calls_;
  std::map<std::string, size_t> by_value_;
  std::vector<Content> states_ = std::vector<Content>(2);  // by revision; 0 and 1 are empty
  int64_t highest_ = 0;                                    // revision that anybody has heard of
  size_t answered_ = 0;
  size_t reads_ = 0;
};

}  // namespace quoin::sim

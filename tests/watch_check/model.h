// Model: what the store must hold after each revision, from the requests that made them.
//
// The keys are numbered; a value says which write wrote it, so that a value read somewhere can be
// compared without being kept.
//
// One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quoin::watch_check {

inline constexpr uint32_t kKeys = 1000;
std::string KeyName(uint32_t key);
std::optional<uint32_t> KeyNumber(std::string_view name);

// The value that write `tag` writes: its number and some padding, as long as the number says.
std::string ValueOf(uint64_t tag);
std::optional<uint64_t> TagOf(std::string_view value);

// A key-value pair without its key. Value type.
struct Record {
  uint64_t tag = 0;
  int64_t create_revision = 0, mod_revision = 0, version = 0;
  friend bool operator==(const Record&, const Record&) = default;
};

// What one revision did to one key: an event. Value type.
struct Change {
  uint32_t key = 0;
  bool deleted = false;
  Record now;  // of a deletion: mod_revision alone
  std::optional<Record> previous;
  friend bool operator==(const Change&, const Change&) = default;
};
std::string Describe(const Change& change);

// A transaction: puts and deletions, and then a deletion of all keys in [from, to), which are other
// ones. At least one put: its value tells whose revision it is. Value type.
struct Request {
  static constexpr uint64_t kOpsMax = 8;
  struct Op {
    uint32_t key = 0;
    bool deletes = false;
  };
  uint64_t id = 0;
  std::vector<Op> ops;  // of different keys
  uint32_t from = 0, to = 0;

  uint64_t tag(size_t op) const { return id * kOpsMax + op; }
};

class Model {
 public:
  // The store is empty, and its revision is `revision`.
  explicit Model(int64_t revision) : first_(revision + 1), live_(kKeys) {}

  int64_t first_revision() const { return first_; }
  int64_t next_revision() const { return first_ + static_cast<int64_t>(history_.size()); }
  const std::vector<Change>& At(int64_t revision) const {
    return history_[static_cast<size_t>(revision - first_)];
  }
  const std::optional<Record>& Live(uint32_t key) const { return live_[key]; }

  // What the request would do as the next revision; nothing: it would make none.
  std::vector<Change> Effect(const Request& request) const;
  void Append(std::vector<Change> changes);

 private:
  Change Put(uint32_t key, uint64_t tag) const;
  Change Delete(uint32_t key) const;

  const int64_t first_;
  std::vector<std::vector<Change>> history_;
  std::vector<std::optional<Record>> live_;
};

}  // namespace quoin::watch_check

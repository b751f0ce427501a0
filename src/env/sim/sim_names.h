// SimNames: the directory tree of a simulated disk, as programs see it and as it is on the platter.
//
// Changes reach the platter in the order in which they were made, as with a journal: a directory's
// sync carries the last change of that directory and all that came before it, and a crash leaves
// some first part of the others.
//
// Thread: one.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "base/prng.h"
#include "env/sim/sim_inode.h"

namespace quoin::env {

// "/a//b/" → "/a/b", "./a" → "a"; the working directory is "".
std::string CleanPath(const std::string& path);
std::string ParentPath(const std::string& path);
bool IsBelow(const std::string& path, const std::string& directory);

// Value type by Clone. Paths are clean.
class SimNames {
 public:
  using Map = std::map<std::string, std::shared_ptr<SimInode>>;

  SimNames() = default;
  SimNames(SimNames&&) = default;
  SimNames& operator=(SimNames&&) = default;
  // A disk with the same content and history.
  SimNames Clone() const;

  const Map& seen() const { return seen_; }
  // Null when absent. The roots "" and "/" are there always.
  std::shared_ptr<SimInode> Find(const std::string& path) const;
  bool IsDirectory(const std::string& path) const;
  bool IsEmpty(const std::string& directory) const;

  void Add(const std::string& path, std::shared_ptr<SimInode> inode);
  // Of a directory with all below it. What `to` named before is gone.
  void Rename(const std::string& from, const std::string& to);
  void Remove(const std::string& path);

  // The number of the last change of `directory`'s entries; 0 = all are durable.
  uint64_t LastChange(const std::string& directory) const;
  void Sync(uint64_t up_to);
  void Crash(Prng& random, bool tears_sectors);

 private:
  struct Change {
    uint64_t number;
    std::string from;                 // gone afterwards ("" = nothing goes)
    std::string to;                   // there afterwards ("" = nothing comes)
    std::shared_ptr<SimInode> inode;  // of what is new
  };
  void Note(std::string from, std::string to, std::shared_ptr<SimInode> inode);
  static void Carry(const Change& change, Map& names);

  std::shared_ptr<SimInode> root_ = std::make_shared<SimInode>(0755, /*is_directory=*/true);
  Map seen_, durable_;
  std::deque<Change> changes_;  // seen, and not yet durable
  uint64_t next_change_ = 1;
};

}  // namespace quoin::env

#include "env/sim/sim_names.h"

#include <set>
#include <utility>

namespace quoin::env {

std::string CleanPath(const std::string& path) {
  std::string out = path.starts_with('/') ? "/" : "";
  for (size_t at = 0; at <= path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    const std::string part = path.substr(at, slash - at);
    at = slash + 1;
    if (part.empty() || part == ".") continue;
    if (!out.empty() && out.back() != '/') out += '/';
    out += part;
  }
  return out;
}

std::string ParentPath(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return "";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool IsBelow(const std::string& path, const std::string& directory) {
  if (directory == "/") return path.size() > 1 && path.front() == '/';
  if (directory.empty()) return !path.empty() && path.front() != '/';
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

SimNames SimNames::Clone() const {
  std::map<const SimInode*, std::shared_ptr<SimInode>> copies;
  auto copy = [&](const std::shared_ptr<SimInode>& inode) -> std::shared_ptr<SimInode> {
    if (inode == nullptr) return nullptr;
    std::shared_ptr<SimInode>& made = copies[inode.get()];
    if (made == nullptr) made = std::make_shared<SimInode>(*inode);
    return made;
  };
  SimNames out;
  for (const auto& [path, inode] : seen_) out.seen_[path] = copy(inode);
  for (const auto& [path, inode] : durable_) out.durable_[path] = copy(inode);
  for (const Change& change : changes_)
    out.changes_.push_back({change.number, change.from, change.to, copy(change.inode)});
  out.next_change_ = next_change_;
  return out;
}

std::shared_ptr<SimInode> SimNames::Find(const std::string& path) const {
  if (path.empty() || path == "/") return root_;
  auto found = seen_.find(path);
  return found == seen_.end() ? nullptr : found->second;
}

bool SimNames::IsDirectory(const std::string& path) const {
  const std::shared_ptr<SimInode> inode = Find(path);
  return inode != nullptr && inode->is_directory();
}

bool SimNames::IsEmpty(const std::string& directory) const {
  for (auto at = seen_.upper_bound(directory); at != seen_.end(); ++at) {
    if (IsBelow(at->first, directory)) return false;
    if (!at->first.starts_with(directory)) break;
  }
  return true;
}

void SimNames::Add(const std::string& path, std::shared_ptr<SimInode> inode) {
  Note("", path, std::move(inode));
}
void SimNames::Rename(const std::string& from, const std::string& to) {
  if (from != to) Note(from, to, nullptr);
}
void SimNames::Remove(const std::string& path) { Note(path, "", nullptr); }

void SimNames::Note(std::string from, std::string to, std::shared_ptr<SimInode> inode) {
  changes_.push_back({next_change_++, std::move(from), std::move(to), std::move(inode)});
  Carry(changes_.back(), seen_);
}

void SimNames::Carry(const Change& change, Map& names) {
  if (change.inode != nullptr) {
    names[change.to] = change.inode;
    return;
  }
  Map moved;
  for (auto at = names.lower_bound(change.from); at != names.end();) {
    if (!at->first.starts_with(change.from)) break;
    if (at->first != change.from && !IsBelow(at->first, change.from)) {
      ++at;
      continue;
    }
    if (!change.to.empty()) moved[change.to + at->first.substr(change.from.size())] = at->second;
    at = names.erase(at);
  }
  for (auto& [path, inode] : moved) names[path] = std::move(inode);
}

uint64_t SimNames::LastChange(const std::string& directory) const {
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    const bool here = (!change->to.empty() && ParentPath(change->to) == directory) ||
                      (!change->from.empty() && ParentPath(change->from) == directory);
    if (here) return change->number;
  }
  return 0;
}

void SimNames::Sync(uint64_t up_to) {
  while (!changes_.empty() && changes_.front().number <= up_to) {
    Carry(changes_.front(), durable_);
    changes_.pop_front();
  }
}

void SimNames::Crash(Prng& random, bool tears_sectors) {
  uint64_t happened = random.Below(changes_.size() + 1);
  if (random.Chance(0.25)) happened = changes_.size();
  for (uint64_t i = 0; i < happened; ++i) Carry(changes_[i], durable_);
  changes_.clear();
  seen_ = durable_;
  std::set<const SimInode*> done;  // looked up only: one file may have two names on the way
  for (auto& [path, inode] : seen_) {
    if (done.insert(inode.get()).second) inode->Crash(random, tears_sectors);
  }
}

}  // namespace quoin::env

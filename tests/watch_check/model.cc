#include "tests/watch_check/model.h"

#include <fmt/format.h>

#include <charconv>

namespace quoin::watch_check {
namespace {

// Most values are small. Now and then comes a burst of large ones, so that responses are split.
size_t PaddingBytes(uint64_t tag) {
  constexpr uint64_t kBurstRequests = 64, kBurstEvery = 1600;
  const uint64_t mixed = tag * 0x9e3779b97f4a7c15u >> 32;
  if (tag / Request::kOpsMax % kBurstEvery < kBurstRequests && mixed % 4 == 0) return 90'000;
  if (mixed % 200 == 0) return 3000;
  return mixed % 32;
}

}  // namespace

std::string KeyName(uint32_t key) { return fmt::format("w/{:04}", key); }

std::optional<uint32_t> KeyNumber(std::string_view name) {
  uint32_t key = 0;
  if (name.size() != 6 || !name.starts_with("w/")) return std::nullopt;
  const auto [end, error] = std::from_chars(name.data() + 2, name.data() + name.size(), key);
  if (error != std::errc() || end != name.data() + name.size() || key >= kKeys) return std::nullopt;
  return key;
}

std::string ValueOf(uint64_t tag) { return fmt::format("{}:", tag).append(PaddingBytes(tag), 'p'); }

std::optional<uint64_t> TagOf(std::string_view value) {
  uint64_t tag = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), tag);
  if (error != std::errc() || end == value.data() + value.size() || *end != ':')
    return std::nullopt;
  const std::string_view padding = value.substr(static_cast<size_t>(end + 1 - value.data()));
  if (padding.size() != PaddingBytes(tag) || padding.find_first_not_of('p') != padding.npos)
    return std::nullopt;
  return tag;
}

std::string Describe(const Change& change) {
  const auto record = [](const Record& r) {
    return fmt::format("write {} created {} modified {} version {}", r.tag, r.create_revision,
                       r.mod_revision, r.version);
  };
  return fmt::format("{} {} ({}), before: {}", change.deleted ? "delete" : "put",
                     KeyName(change.key), record(change.now),
                     change.previous ? record(*change.previous) : "nothing");
}

Change Model::Put(uint32_t key, uint64_t tag) const {
  const std::optional<Record>& old = live_[key];
  const int64_t revision = next_revision();
  return {key,
          false,
          {tag, old ? old->create_revision : revision, revision, old ? old->version + 1 : 1},
          old};
}

Change Model::Delete(uint32_t key) const {
  return {key, true, {.mod_revision = next_revision()}, live_[key]};
}

std::vector<Change> Model::Effect(const Request& request) const {
  std::vector<Change> changes;
  for (size_t i = 0; i < request.ops.size(); ++i) {
    const Request::Op& op = request.ops[i];
    if (!op.deletes) {
      changes.push_back(Put(op.key, request.tag(i)));
    } else if (live_[op.key]) {
      changes.push_back(Delete(op.key));
    }
  }
  for (uint32_t key = request.from; key < request.to; ++key) {
    if (live_[key]) changes.push_back(Delete(key));
  }
  return changes;
}

void Model::Append(std::vector<Change> changes) {
  for (const Change& change : changes) {
    if (change.deleted) {
      live_[change.key].reset();
    } else {
      live_[change.key] = change.now;
    }
  }
  history_.push_back(std::move(changes));
}

}  // namespace quoin::watch_check

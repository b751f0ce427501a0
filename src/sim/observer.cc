#include "sim/observer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "mvcc/store.h"

namespace quoin::sim {
namespace {

Content Copy(const mvcc::RangeResult& range) {
  Content content;
  for (const mvcc::KeyValue& kv : range.kvs)
    content.emplace(kv.key, Held{Abridged(kv.value), kv.mod_revision});
  return content;
}

}  // namespace

std::optional<Content> Observer::Read(Host& host, int64_t* revision) {
  server::Frontend& frontend = host.machine->node().frontend(0);
  EpochDomain::Guard guard(frontend.slot());
  const mvcc::View view = frontend.store().Current(btree::OnMiss::kLoad);
  mvcc::RangeQuery query;
  query.key = query.range_end = std::string_view("\0", 1);
  query.revision = *revision;
  StatusOr<mvcc::RangeResult> range = view.Range(query);
  if (!range.ok()) {
    fleet_.Fail(host.machine->host() + " cannot read revision " + std::to_string(*revision) + ": " +
                std::string(range.status().message()));
    return std::nullopt;
  }
  if (*revision == 0) {
    *revision = view.revision();
    if (*revision < host.revision) fleet_.Fail("a revision went back on " + host.machine->host());
    host.revision = std::max(host.revision, *revision);
  }
  return Copy(*range);
}

int64_t Observer::Revision(Host& host) {
  server::Frontend& frontend = host.machine->node().frontend(0);
  EpochDomain::Guard guard(frontend.slot());
  return frontend.store().Current(btree::OnMiss::kLoad).revision();
}

void Observer::Learn(Host& host) {
  if (!host.machine->up() || fleet_.failed()) return;
  int64_t newest = 0;
  std::optional<Content> content = Read(host, &newest);
  for (int64_t revision = history_.known() + 1; content && revision < newest; ++revision) {
    int64_t at = revision;
    std::optional<Content> step = Read(host, &at);
    if (!step) return;
    history_.Learn(revision, *std::move(step));
  }
  if (!content) return;
  if (auto wrong = history_.Learn(newest, *std::move(content)))
    fleet_.Fail(*wrong + " (" + host.machine->host() + ")");
}

int64_t Observer::DrawCompaction(Host& host) {
  Learn(host);
  if (history_.known() < 3) return 0;
  const auto revision =
      1 + static_cast<int64_t>(fleet_.random().Below(static_cast<uint64_t>(history_.known()) - 1));
  compaction_asked_ = std::max(compaction_asked_, revision);
  return revision;
}

}  // namespace quoin::sim

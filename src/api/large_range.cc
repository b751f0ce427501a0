#include "api/large_range.h"

#include "state/range_response.h"

namespace quoin::api {
namespace {

constexpr size_t kKeysPerMeasure = 20000;
constexpr size_t kPartBytes = 256 * 1024;

}  // namespace

bool LargeRange::IsStreamable(const mvcc::RangeQuery& query) {
  const bool key_order =
      query.target == mvcc::SortTarget::kKey && query.order != mvcc::SortOrder::kDescend;
  return key_order && !query.count_only && query.min_mod_revision == 0 &&
         query.max_mod_revision == 0 && query.min_create_revision == 0 &&
         query.max_create_revision == 0;
}

LargeRange::LargeRange(server::Node& node, env::Executor& loop, const mvcc::RangeQuery& query)
    : node_(node),
      loop_(loop),
      key_(query.key),
      range_end_(query.range_end),
      keys_only_(query.keys_only),
      limit_(query.limit > 0 ? static_cast<uint64_t>(query.limit) : UINT64_MAX),
      revision_(query.revision),
      next_key_(query.key) {}

void LargeRange::Measure(OnSize on_size) {
  node_.storage_loop().Post(
      [self = shared_from_this(), on_size = std::move(on_size)] { self->MeasureSlice(on_size); });
}

void LargeRange::MeasureSlice(OnSize on_size) {
  if (cancelled_.load()) return;
  auto answer = [&](StatusOr<Size> size) {
    loop_.Post([self = shared_from_this(), on_size, size = std::move(size)] {
      if (!self->cancelled_.load()) on_size(size);
    });
  };
  EpochDomain::Guard guard(node_.storage_slot());
  const mvcc::View view = node_.store().Current(btree::OnMiss::kLoad);
  if (size_.store_revision == 0) {  // the first slice pins
    StatusOr<int64_t> revision = view.ResolveRevision(revision_);
    if (!revision.ok()) return answer(revision.status());
    revision_ = *revision;
    size_.store_revision = view.revision();
  }
  size_t left = kKeysPerMeasure;
  bool more_keys = false;
  view.VisitKeys(next_key_, range_end_, revision_, [&](const mvcc::KeyValue& kv) {
    if (left-- == 0) {
      next_key_ = std::string(kv.key);
      more_keys = true;
      return false;
    }
    ++size_.count;
    if (size_.keys < limit_) {
      ++size_.keys;
      size_.elements_bytes += state::RangeElementSize(kv, keys_only_);
    }
    return true;
  });
  if (Status status = view.StillReadable(revision_); !status.ok()) return answer(status);
  if (more_keys) {
    node_.storage_loop().Post(
        [self = shared_from_this(), on_size] { self->MeasureSlice(on_size); });
    return;
  }
  size_.more = static_cast<uint64_t>(size_.count) > size_.keys;
  next_key_ = key_;
  answer(size_);
}

void LargeRange::ReadPart(OnPart on_part) {
  node_.storage_loop().Post([self = shared_from_this(), on_part = std::move(on_part)] {
    if (self->cancelled_.load()) return;
    bool last = false;
    StatusOr<std::string> part = self->ReadSlice(last);
    self->loop_.Post([self, on_part, last, part = std::move(part)]() mutable {
      if (!self->cancelled_.load()) on_part(std::move(part), last);
    });
  });
}

StatusOr<std::string> LargeRange::ReadSlice(bool& last) {
  EpochDomain::Guard guard(node_.storage_slot());
  const mvcc::View view = node_.store().Current(btree::OnMiss::kLoad);
  RETURN_IF_ERROR(view.StillReadable(revision_));
  std::string out;
  Status status;
  bool stopped = false;
  view.VisitKeys(next_key_, range_end_, revision_, [&](const mvcc::KeyValue& found) {
    if (sent_ == size_.keys) return false;
    if (out.size() >= kPartBytes) {
      next_key_ = std::string(found.key);
      stopped = true;
      return false;
    }
    mvcc::KeyValue kv = found;
    if (!keys_only_) status = view.Fill(kv);
    if (!status.ok()) return false;
    state::AppendRangeElement(kv, keys_only_, out);
    ++sent_;
    return true;
  });
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(view.StillReadable(revision_));
  last = !stopped;
  if (last && sent_ != size_.keys)
    return absl::InternalError("the range changed under a pinned revision");
  return out;
}

}  // namespace quoin::api

#include "lease/lessor.h"

#include "base/check.h"
#include "base/errors.h"
#include "base/wire.h"

namespace quoin::lease {
namespace {

constexpr std::string_view kBucket = "lease";

std::string KeyOf(LeaseId id) {
  std::string key;
  for (int shift = 56; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>(static_cast<uint64_t>(id.value()) >> shift));
  }
  return key;
}

// leasepb.Lease {1 ID, 2 TTL, 3 RemainingTTL}, zeros left out.
std::string Encode(const Lease& lease) {
  std::string out;
  wire::PutUintNonZero(out, 1, static_cast<uint64_t>(lease.id.value()));
  wire::PutUintNonZero(out, 2, static_cast<uint64_t>(lease.ttl_seconds));
  wire::PutUintNonZero(out, 3, static_cast<uint64_t>(lease.remaining_seconds));
  return out;
}

std::optional<Lease> Decode(std::string_view data) {
  Lease lease;
  wire::Reader reader(data);
  for (wire::Field field; reader.Next(field);) {
    if (field.type != wire::Type::kVarint) continue;
    if (field.number == 1) lease.id = LeaseId(field.int64());
    if (field.number == 2) lease.ttl_seconds = field.int64();
    if (field.number == 3) lease.remaining_seconds = field.int64();
  }
  if (!reader.ok()) return std::nullopt;
  return lease;
}

}  // namespace

StatusOr<Lessor> Lessor::Load(const btree::Snapshot& snapshot) {
  Lessor out;
  btree::Cursor cursor = snapshot.NewCursor(kBucket, btree::OnMiss::kLoad);
  RETURN_IF_ERROR(cursor.SeekFirst());
  while (cursor.Valid()) {
    std::optional<Lease> lease = Decode(cursor.value());
    if (!lease) return absl::DataLossError("bucket lease: a row is malformed");
    out.leases_[lease->id] = *std::move(lease);
    RETURN_IF_ERROR(cursor.Next());
  }
  return out;
}

const Lease* Lessor::Find(LeaseId id) const {
  auto lease = leases_.find(id);
  return lease == leases_.end() ? nullptr : &lease->second;
}

LeaseId Lessor::LeaseOf(std::string_view key) const {
  auto found = lease_of_key_.find(key);
  return found == lease_of_key_.end() ? LeaseId() : found->second;
}

StatusOr<int64_t> Lessor::Grant(LeaseId id, int64_t ttl_seconds, int64_t ttl_seconds_min,
                                btree::Writer& writer) {
  if (ttl_seconds > kTtlSecondsMax) return errors::LeaseTtlTooLarge();
  if (leases_.contains(id)) return errors::LeaseExists();
  Lease& lease = leases_[id];
  lease.id = id;
  lease.ttl_seconds = std::max(ttl_seconds, ttl_seconds_min);
  RETURN_IF_ERROR(writer.Put(kBucket, KeyOf(id), Encode(lease)));
  changes_.push_back({Change::Kind::kGranted, id.value(), lease.ttl_seconds, 0});
  return lease.ttl_seconds;
}

Status Lessor::Revoke(LeaseId id, btree::Writer& writer) {
  auto lease = leases_.find(id);
  if (lease == leases_.end()) return errors::LeaseNotFound();
  for (const std::string& key : lease->second.keys) lease_of_key_.erase(key);
  leases_.erase(lease);
  changes_.push_back({Change::Kind::kRevoked, id.value(), 0, 0});
  return writer.Delete(kBucket, KeyOf(id));
}

Status Lessor::Checkpoint(LeaseId id, int64_t remaining_seconds, bool persist,
                          btree::Writer& writer) {
  auto lease = leases_.find(id);
  if (lease == leases_.end()) return OkStatus();
  lease->second.remaining_seconds = remaining_seconds;
  changes_.push_back(
      {Change::Kind::kCheckpointed, id.value(), lease->second.ttl_seconds, remaining_seconds});
  return persist ? writer.Put(kBucket, KeyOf(id), Encode(lease->second)) : OkStatus();
}

std::vector<Change> Lessor::All() const {
  std::vector<Change> all;
  all.reserve(leases_.size());
  for (const auto& [id, lease] : leases_) {
    all.push_back({Change::Kind::kGranted, id.value(), lease.ttl_seconds, lease.remaining_seconds});
  }
  return all;
}

void Lessor::Attach(std::string_view key, LeaseId id) {
  auto old = lease_of_key_.find(key);
  if (old != lease_of_key_.end()) {
    if (old->second == id) return;
    leases_.at(old->second).keys.erase(std::string(key));
    lease_of_key_.erase(old);
  }
  auto lease = leases_.find(id);
  if (lease == leases_.end()) return;
  lease->second.keys.emplace(key);
  lease_of_key_.emplace(key, id);
}

}  // namespace quoin::lease

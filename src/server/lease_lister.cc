#include "server/lease_lister.h"

#include "base/check.h"
#include "base/wire.h"
#include "server/slices.h"

namespace quoin::server {

void LeaseLister::Make(Done done) {
  CHECK(!done_);
  done_ = std::move(done);
  looking_ = true;
  OnReplaced();
  RunInSlices(loop_, [this] { return Slice(); });
}

void LeaseLister::OnGranted(int64_t id, int64_t at) {
  if (!Looked(id)) return;
  if (revoked_.erase(id) == 0) order_.insert({at, id});
}

void LeaseLister::OnRevoked(int64_t id) {
  if (Looked(id)) revoked_.insert(id);
}

void LeaseLister::OnReplaced() {
  if (!looking_) return;
  from_ = INT64_MIN;
  order_.clear();
  revoked_.clear();
}

bool LeaseLister::Slice() {
  if (looking_) {
    Look();
    return false;
  }
  Encode();
  if (at_ != order_.end()) return false;
  order_.clear();
  revoked_.clear();
  std::exchange(done_, nullptr)(SharedBytes(std::exchange(bytes_, {})));
  return true;
}

void LeaseLister::Look() {
  const std::vector<End> found = read_(from_, kLeasesOfSlice);
  order_.insert(found.begin(), found.end());
  looking_ = found.size() == kLeasesOfSlice && found.back().id != INT64_MAX;
  if (looking_)
    from_ = found.back().id + 1;
  else
    at_ = order_.begin();
}

void LeaseLister::Encode() {
  for (size_t i = 0; i < kLeasesOfSlice && at_ != order_.end(); ++i, ++at_) {
    if (revoked_.contains(at_->id)) continue;
    std::string status;
    wire::PutUintNonZero(status, 1, static_cast<uint64_t>(at_->id));
    wire::PutBytes(bytes_, 2, status);
  }
}

}  // namespace quoin::server

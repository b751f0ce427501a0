#include "rpc/flood_guard.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace quoin::rpc {
namespace {

// RFC 9113 §6.
constexpr unsigned char kData = 0, kPriority = 2, kContinuation = 9;
constexpr unsigned char kEndStream = 1, kEndHeaders = 4;

}  // namespace

bool FrameMeter::IsUseless() const {
  const unsigned char type = head_[3], flags = head_[4];
  if (type > kContinuation || type == kPriority) return true;
  if (payload_left_ != 0) return false;
  return (type == kData && (flags & kEndStream) == 0) ||
         (type == kContinuation && (flags & kEndHeaders) == 0);
}

uint64_t FrameMeter::Take(std::string_view data) {
  uint64_t useless = 0;
  while (!data.empty()) {
    if (payload_left_ > 0) {
      const size_t passed = std::min(payload_left_, data.size());
      payload_left_ -= passed;
      data.remove_prefix(passed);
      continue;
    }
    const size_t more = std::min(kHeadBytes - head_bytes_, data.size());
    std::memcpy(head_.data() + head_bytes_, data.data(), more);
    head_bytes_ += more;
    data.remove_prefix(more);
    if (head_bytes_ < kHeadBytes) continue;
    head_bytes_ = 0;
    payload_left_ = size_t{head_[0]} << 16 | size_t{head_[1]} << 8 | head_[2];
    if (IsUseless()) ++useless;
  }
  return useless;
}

std::optional<std::string_view> FloodGuard::NoteReset() {
  if (++resets_ <= completed_ + kResetsBeyondCompletedMax) return std::nullopt;
  return "too many stream resets";
}

std::optional<std::string_view> FloodGuard::NoteUselessFrames(uint64_t count) {
  useless_frames_ += count;
  if (useless_frames_ <= completed_ + kUselessFramesMax) return std::nullopt;
  return "too many useless frames";
}

std::optional<std::string_view> FloodGuard::NoteHeaderFlood() {
  if (++header_floods_ < kHeaderFloodsMax) return std::nullopt;
  return "too many headers";
}

std::optional<std::string_view> FloodGuard::NotePing(env::Duration now, env::Duration least) {
  if (std::exchange(answered_since_ping_, false)) {
    ping_strikes_ = 0;
    last_ping_ = now;
    return std::nullopt;
  }
  const bool early = last_ping_ && now - *last_ping_ < least;
  last_ping_ = now;
  if (early && ++ping_strikes_ > kPingStrikesMax) return "too_many_pings";
  return std::nullopt;
}

}  // namespace quoin::rpc

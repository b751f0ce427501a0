// The requests of the load: Put and Range over numbered keys, marshalled by hand.
//
// One thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quoin::bench {

enum class Kind : uint8_t { kPut, kRange, kLeaseGrant };
inline constexpr size_t kKindCount = 3;

inline constexpr std::array<std::string_view, kKindCount> kPaths = {
    "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range", "/etcdserverpb.Lease/LeaseGrant"};

struct Load {
  enum class Mode : uint8_t { kPut, kRange, kMixed, kFill };
  Mode mode = Mode::kPut;
  uint64_t keys = 100000;
  size_t value_bytes = 256;
  double read_share = 0.5;    // of kMixed
  bool serializable = false;  // of ranges
  uint64_t seed = 1;
};

std::optional<Load::Mode> ParseMode(std::string_view text);

class RequestSource {
 public:
  explicit RequestSource(const Load& load);
  virtual ~RequestSource() = default;

  // False: no request for now.
  virtual bool Ready() const { return true; }
  // The next request's kind; its gRPC message (with the 5-byte prefix) is appended to `out`.
  // nullopt when the load is done: only kFill ends by itself, after each key once.
  virtual std::optional<Kind> Next(std::string& out);

  size_t largest_message_bytes() const { return load_.value_bytes + 64; }

 private:
  uint64_t Random();

  const Load load_;
  uint64_t random_state_;
  uint64_t next_fill_ = 0;
  std::string noise_;  // values are pieces of it: hard to compress, cheap to make
};

}  // namespace quoin::bench

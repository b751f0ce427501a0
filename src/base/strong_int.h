// Integers with a meaning: a Term cannot be passed where an Index is wanted.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>

namespace quoin {

// Value type. Arithmetic is with plain integers of the same representation; the difference of two
// is plain.
template <typename Tag, typename Rep>
class StrongInt {
 public:
  using rep = Rep;
  constexpr StrongInt() = default;
  constexpr explicit StrongInt(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }

  friend constexpr auto operator<=>(StrongInt, StrongInt) = default;
  constexpr StrongInt operator+(Rep n) const { return StrongInt(value_ + n); }
  constexpr StrongInt operator-(Rep n) const { return StrongInt(value_ - n); }
  constexpr Rep operator-(StrongInt other) const { return value_ - other.value_; }
  constexpr StrongInt& operator++() {
    ++value_;
    return *this;
  }
  constexpr StrongInt& operator--() {
    --value_;
    return *this;
  }
  constexpr StrongInt& operator+=(Rep n) {
    value_ += n;
    return *this;
  }
  friend std::ostream& operator<<(std::ostream& out, StrongInt x) { return out << x.value_; }
  template <typename H>
  friend H AbslHashValue(H h, StrongInt x) {
    return H::combine(std::move(h), x.value_);
  }

 private:
  Rep value_ = 0;
};

using Term = StrongInt<struct TermTag, uint64_t>;
using Index = StrongInt<struct IndexTag, uint64_t>;     // of a log entry
using NodeId = StrongInt<struct NodeIdTag, uint64_t>;   // a member's raft id; 0 = none
using LeaseId = StrongInt<struct LeaseIdTag, int64_t>;  // 0 = none

}  // namespace quoin

template <typename Tag, typename Rep>
struct std::hash<quoin::StrongInt<Tag, Rep>> {
  size_t operator()(quoin::StrongInt<Tag, Rep> x) const { return std::hash<Rep>()(x.value()); }
};

// Which of the keys that a range finds its answer is made of.
#pragma once

#include <cstdint>

#include "mvcc/store.h"

namespace quoin::mvcc {

// How many keys, the first ones in key order. Without filters and an order etcd takes as many as
// the limit and one more, also where it then puts these in the order of a target.
uint64_t KeysTaken(const RangeQuery& query);

}  // namespace quoin::mvcc

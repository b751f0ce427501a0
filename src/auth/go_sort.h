// GoSort: an unstable sort whose result for equal elements is that of Go's sort.Sort since Go 1.19.
//
// etcd sorts a role's permissions by their key alone, so the order of those with one key is what
// that sort leaves. It stands in the row, and members' rows must be equal. The algorithm is
// pattern-defeating quicksort (O. Peters, arXiv:2106.05123): insertion sort up to 12 elements,
// heapsort after too many bad pivots, and a xorshift generator with Go's constants.
//
// Thread: any.
#pragma once

#include "absl/functional/function_ref.h"

namespace quoin::auth {

// Sorts n elements that are named by their places. `less(i, j)`: the one at i comes first.
void GoSort(int n, absl::FunctionRef<bool(int, int)> less, absl::FunctionRef<void(int, int)> swap);

}  // namespace quoin::auth

#include "auth/go_sort.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

namespace quoin::auth {
namespace {

// Every comparison and swap below happens where Go's happens: one that is saved changes the result.
class Sorter {
 public:
  Sorter(absl::FunctionRef<bool(int, int)> less, absl::FunctionRef<void(int, int)> swap)
      : less_(less), swap_(swap) {}

  // Sorts [begin, end). `bad_pivots_left`: after so many the rest is left to heapsort.
  void Sort(int begin, int end, int bad_pivots_left) {
    bool balanced = true, partitioned = true;  // what the last partition was
    for (;;) {
      const int length = end - begin;
      if (length <= kInsertionMax) return InsertionSort(begin, end);
      if (bad_pivots_left == 0) return HeapSort(begin, end);
      if (!balanced) {
        BreakPatterns(begin, end);
        --bad_pivots_left;
      }
      auto [pivot, hint] = ChoosePivot(begin, end);
      if (hint == Hint::kDecreasing) {
        Reverse(begin, end);
        pivot = end - 1 - (pivot - begin);
        hint = Hint::kIncreasing;
      }
      if (balanced && partitioned && hint == Hint::kIncreasing && FewInsertions(begin, end)) return;
      // Nothing is below the pivot: what equals it is done.
      if (begin > 0 && !less_(begin - 1, pivot)) {
        begin = PartitionEqual(begin, end, pivot);
        continue;
      }
      const auto [middle, was_partitioned] = Partition(begin, end, pivot);
      partitioned = was_partitioned;
      const int left = middle - begin, right = end - middle;
      balanced = std::min(left, right) >= length / 8;
      // The shorter side first, by recursion.
      if (left < right) {
        Sort(begin, middle, bad_pivots_left);
        begin = middle + 1;
      } else {
        Sort(middle + 1, end, bad_pivots_left);
        end = middle;
      }
    }
  }

 private:
  static constexpr int kInsertionMax = 12;
  static constexpr int kShortestOfNine = 50;     // the pivot is a median of medians from here on
  static constexpr int kShortestShifted = 50;    // FewInsertions gives up at once below it
  static constexpr int kInsertionsMax = 5;       // of FewInsertions
  static constexpr int kSwapsIfDecreasing = 12;  // of ChoosePivot
  enum class Hint : uint8_t { kUnknown, kIncreasing, kDecreasing };

  void InsertionSort(int begin, int end) {
    for (int i = begin + 1; i < end; ++i) {
      for (int j = i; j > begin && less_(j, j - 1); --j) swap_(j, j - 1);
    }
  }

  void SiftDown(int root, int size, int first) {
    for (;;) {
      int child = 2 * root + 1;
      if (child >= size) return;
      if (child + 1 < size && less_(first + child, first + child + 1)) ++child;
      if (!less_(first + root, first + child)) return;
      swap_(first + root, first + child);
      root = child;
    }
  }

  void HeapSort(int begin, int end) {
    const int size = end - begin;
    for (int i = (size - 1) / 2; i >= 0; --i) SiftDown(i, size, begin);
    for (int i = size - 1; i >= 0; --i) {
      swap_(begin, begin + i);
      SiftDown(0, i, begin);
    }
  }

  // Swaps three elements around the middle with others, by a xorshift generator seeded with the
  // length.
  void BreakPatterns(int begin, int end) {
    const int length = end - begin;
    uint64_t random = static_cast<uint64_t>(length);
    const uint64_t mask = (uint64_t{1} << std::bit_width(static_cast<uint64_t>(length))) - 1;
    const int middle = begin + length / 4 * 2;
    for (int i = 0; i < 3; ++i) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      int other = static_cast<int>(random & mask);
      if (other >= length) other -= length;
      swap_(middle - 1 + i, begin + other);
    }
  }

  std::pair<int, Hint> ChoosePivot(int begin, int end) {
    const int length = end - begin;
    int swaps = 0;
    int low = begin + length / 4, middle = begin + length / 4 * 2, high = begin + length / 4 * 3;
    if (length >= kShortestOfNine) {
      low = Median(low - 1, low, low + 1, swaps);
      middle = Median(middle - 1, middle, middle + 1, swaps);
      high = Median(high - 1, high, high + 1, swaps);
    }
    middle = Median(low, middle, high, swaps);
    if (swaps == 0) return {middle, Hint::kIncreasing};
    return {middle, swaps == kSwapsIfDecreasing ? Hint::kDecreasing : Hint::kUnknown};
  }

  int Median(int a, int b, int c, int& swaps) {
    auto order = [&](int& x, int& y) {
      if (!less_(y, x)) return;
      ++swaps;
      std::swap(x, y);
    };
    order(a, b);
    order(b, c);
    order(a, b);
    return b;
  }

  void Reverse(int begin, int end) {
    for (int i = begin, j = end - 1; i < j; ++i, --j) swap_(i, j);
  }

  // True: a few shifted elements, and all is sorted.
  bool FewInsertions(int begin, int end) {
    int i = begin + 1;
    for (int step = 0; step < kInsertionsMax; ++step) {
      while (i < end && !less_(i, i - 1)) ++i;
      if (i == end) return true;
      if (end - begin < kShortestShifted) return false;
      swap_(i, i - 1);
      if (i - begin >= 2) {
        for (int j = i - 1; j >= 1 && less_(j, j - 1); --j) swap_(j, j - 1);
      }
      if (end - i >= 2) {
        for (int j = i + 1; j < end && less_(j, j - 1); ++j) swap_(j, j - 1);
      }
    }
    return false;
  }

  // Smaller ones, the pivot, the rest. Returns the pivot's place, and whether it was so already.
  std::pair<int, bool> Partition(int begin, int end, int pivot) {
    swap_(begin, pivot);
    int i = begin + 1, j = end - 1;
    bool already = true;
    for (;;) {
      while (i <= j && less_(i, begin)) ++i;
      while (i <= j && !less_(j, begin)) --j;
      if (i > j) break;
      already = false;
      swap_(i++, j--);
    }
    swap_(j, begin);
    return {j, already};
  }

  // Those that equal the pivot, then the greater ones. Returns where these begin.
  int PartitionEqual(int begin, int end, int pivot) {
    swap_(begin, pivot);
    int i = begin + 1, j = end - 1;
    for (;;) {
      while (i <= j && !less_(begin, i)) ++i;
      while (i <= j && less_(begin, j)) --j;
      if (i > j) return i;
      swap_(i++, j--);
    }
  }

  absl::FunctionRef<bool(int, int)> less_;
  absl::FunctionRef<void(int, int)> swap_;
};

}  // namespace

void GoSort(int n, absl::FunctionRef<bool(int, int)> less, absl::FunctionRef<void(int, int)> swap) {
  Sorter(less, swap).Sort(0, n, std::bit_width(static_cast<unsigned>(n)));
}

}  // namespace quoin::auth

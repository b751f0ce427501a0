#include "btree/page.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace quoin::btree {
namespace {

// A leaf page of `keys`, ascending, without values.
std::vector<char> LeafOf(const std::vector<std::string>& keys) {
  size_t bytes = kPageHeaderBytes;
  for (const std::string& key : keys) bytes += kElementBytes + key.size();
  std::vector<char> data(bytes);
  uint32_t upper = static_cast<uint32_t>(bytes), garbage = 0;
  PageEditor editor(data.data(), bytes, upper, garbage);
  editor.Format(2, kLeafFlag, 0);
  for (size_t i = 0; i < keys.size(); ++i) editor.Insert(i, {.key = keys[i]});
  return data;
}

std::string Revision(uint64_t main, uint64_t sub) {
  std::string key;
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(main >> shift);
  key += '_';
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(sub >> shift);
  return key;
}

// Looks up every key, its neighbours, and what the keys leave out at both ends.
void ExpectLowerBounds(std::vector<std::string> keys) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  const std::vector<char> page = LeafOf(keys);
  std::vector<std::string> wanted = {std::string(), std::string(17, '\xff')};
  for (const std::string& key : keys) {
    wanted.push_back(key);
    wanted.push_back(key + '\0');
    if (key.empty()) continue;
    wanted.push_back(key.substr(0, (key.size() + 1) / 2));
    ++wanted.back().back();
    wanted.push_back(key);
    --wanted.back().back();
  }
  for (const std::string& want : wanted) {
    const auto found = std::lower_bound(keys.begin(), keys.end(), want);
    ASSERT_EQ(PageView(page.data()).LowerBound(want), static_cast<size_t>(found - keys.begin()));
  }
}

TEST(PageTest, LowerBoundFindsWhatASearchOfAllFinds) {
  const uint64_t seed = 20261127;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Prng prng(seed);
  for (int round = 0; round < 300; ++round) {
    const size_t count = prng.Next() % 130;
    std::vector<std::string> even, gaps, clusters, subs, words;
    uint64_t main = prng.Next() % 1000, far = main;
    for (size_t i = 0; i < count; ++i) {
      even.push_back(Revision(main + i, 0));
      gaps.push_back(Revision(far += 1 + prng.Next() % 50, prng.Next() % 3));
      clusters.push_back(Revision((prng.Next() % 3) << (prng.Next() % 60), prng.Next() % 7));
      subs.push_back(Revision(main, i));
      words.push_back(std::string(prng.Next() % 12, static_cast<char>(prng.Next() % 3)));
      words.back() += static_cast<char>(prng.Next());
    }
    for (auto& keys : {even, gaps, clusters, subs, words}) ExpectLowerBounds(keys);
  }
}

}  // namespace
}  // namespace quoin::btree

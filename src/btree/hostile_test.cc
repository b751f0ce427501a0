// Files that nobody's writer makes: what reads them runs in bounded room.

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "btree/tree.h"
#include "env/posix/posix_env.h"

namespace quoin::btree {
namespace {

constexpr uint32_t kPage = 1024;

std::string KeyOf(uint64_t i) {
  std::string key(8, '\0');
  for (int byte = 0; byte < 8; ++byte)
    key[static_cast<size_t>(byte)] = static_cast<char>(i >> (56 - 8 * byte));
  return key;
}

std::string PageOf(PageId id, uint16_t flags, const std::vector<Element>& elements) {
  std::string page(kPage, '\0');
  uint32_t free_upper = 0, garbage = 0;
  PageEditor editor(page.data(), page.size(), free_upper, garbage);
  editor.Format(id, flags, 0);
  for (size_t i = 0; i < elements.size(); ++i) editor.Insert(i, elements[i]);
  return page;
}

// A file whose bucket "key" is a tree over `leaves` leaves without elements.
std::string FileOfEmptyLeaves(uint64_t leaves) {
  std::vector<std::string> pages(4);
  std::vector<std::pair<std::string, PageId>> level;
  for (uint64_t i = 0; i < leaves; ++i) {
    level.emplace_back(KeyOf(i), pages.size());
    pages.push_back(PageOf(pages.size(), kLeafFlag, {}));
  }
  while (level.size() > 1) {
    std::vector<std::pair<std::string, PageId>> above;
    for (size_t at = 0; at < level.size();) {
      std::vector<Element> elements;
      const std::string first = level[at].first;
      for (size_t n = 0; n < 40 && at < level.size(); ++n, ++at) {
        Element element;
        element.key = level[at].first;
        element.child = level[at].second;
        elements.push_back(element);
      }
      above.emplace_back(first, pages.size());
      pages.push_back(PageOf(pages.size(), kBranchFlag, elements));
    }
    level = std::move(above);
  }
  Element bucket;
  bucket.key = "key";
  const std::string value = BucketValue(level[0].second);
  bucket.value = value;
  bucket.flags = kBucketElementFlag;
  pages[2] = PageOf(2, kFreelistFlag, {});
  pages[3] = PageOf(3, kLeafFlag, {bucket});
  for (uint64_t i = 0; i < 2; ++i) pages[i] = Meta{kPage, 3, pages.size(), i, 2}.Encode(i);
  std::string out;
  for (const std::string& page : pages) out += page;
  return out;
}

// Runs `body` on a thread with little stack: recursion by what a file says would end the process.
void OnSmallStack(std::function<void()> body) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 << 10), 0);
  pthread_t thread;
  const auto run = [](void* argument) -> void* {
    (*static_cast<std::function<void()>*>(argument))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, &body), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
}

class Hostile : public testing::Test {
 protected:
  Hostile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "quoin-btree-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
  }
  ~Hostile() override { std::filesystem::remove_all(dir_); }

  std::unique_ptr<env::FileSystem> files_ = env::NewPosixFileSystem();
  std::string dir_;
};

TEST_F(Hostile, ManyEmptyLeavesInARowTakeNoStack) {
  const std::string path = dir_ + "/db";
  std::ofstream(path, std::ios::binary) << FileOfEmptyLeaves(20000);
  OnSmallStack([&] {
    Options options;
    options.read_only = true;
    StatusOr<std::unique_ptr<Tree>> tree = Tree::Open(files_->blocking(), path, options);
    ASSERT_TRUE(tree.ok()) << tree.status();
    EpochDomain::ReaderSlot slot((*tree)->epochs());
    EpochDomain::Guard guard(slot);
    Cursor cursor = (*tree)->Current().NewCursor("key", OnMiss::kLoad);
    for (const auto& seek : std::vector<std::function<Status()>>{
             [&] { return cursor.SeekFirst(); }, [&] { return cursor.SeekLast(); },
             [&] { return cursor.Seek(KeyOf(7)); }}) {
      const Status status = seek();
      ASSERT_TRUE(status.ok()) << status;
      EXPECT_FALSE(cursor.Valid());
    }
    EXPECT_TRUE((*tree)->Check().problems.empty());
  });
}

}  // namespace
}  // namespace quoin::btree

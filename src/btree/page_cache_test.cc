// The cache's bounds, and reading without waiting.

#include "btree/page_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "base/epoch.h"

namespace quoin::btree {
namespace {

constexpr uint32_t kPage = 4096;
constexpr PageId kHighWater = 100'000;

// A file in memory, of which the kernel holds what the test says. Thread: one.
class MemoryFile final : public env::BlockingFile {
 public:
  StatusOr<size_t> Read(uint64_t offset, std::span<char> into) override {
    if (offset >= data.size()) return 0;
    return data.copy(into.data(), into.size(), offset);
  }
  StatusOr<size_t> ReadNow(uint64_t offset, std::span<char> into) override {
    if (!in_memory || offset + into.size() > data.size()) return absl::UnavailableError("");
    return Read(offset, into);
  }
  Status Write(uint64_t offset, std::string_view bytes) override {
    if (data.size() < offset + bytes.size()) data.resize(offset + bytes.size());
    data.replace(offset, bytes.size(), bytes);
    return OkStatus();
  }
  Status Sync() override { return OkStatus(); }
  Status Resize(uint64_t size) override {
    data.resize(size);
    return OkStatus();
  }
  Status Allocate(uint64_t size) override { return Resize(size); }
  StatusOr<uint64_t> Size() override { return data.size(); }

  std::string data;
  bool in_memory = false;
};

class PageCacheTest : public testing::Test {
 protected:
  std::unique_ptr<Frame> LeafFrame(PageId id, uint32_t pages) {
    std::unique_ptr<Frame> frame = cache_.NewFrame(id, size_t{pages} * kPage);
    std::memset(frame->data, 0, frame->bytes);
    frame->editor().Format(id, kLeafFlag, pages - 1);
    const std::string key = "page " + std::to_string(id), value(frame->bytes / 2, 'x');
    Element element;
    element.key = key;
    element.value = value;
    frame->editor().Insert(0, element);
    return frame;
  }
  void WriteLeaf(PageId id, uint32_t pages) {
    const std::unique_ptr<Frame> frame = LeafFrame(id, pages);
    ASSERT_TRUE(file_.Write(id * kPage, {frame->data, frame->bytes}).ok());
  }

  EpochDomain epochs_;
  MemoryFile file_;
  PageCache cache_{epochs_, "db", &file_, kPage, /*bytes_max=*/64 * kPage};
  EpochDomain::ReaderSlot slot_{epochs_};
};

TEST_F(PageCacheTest, DirtyFramesStayAndCountAgainstTheBound) {
  std::vector<Frame*> dirty;
  for (PageId id = 2; id < 202; ++id) dirty.push_back(cache_.Add(LeafFrame(id, 1)));
  cache_.Shrink();
  EXPECT_EQ(cache_.bytes(), 200 * kPage);
  cache_.MarkClean({dirty.begin(), dirty.begin() + 100});
  EXPECT_EQ(cache_.bytes(), 100 * kPage);
  cache_.MarkClean({dirty.begin() + 100, dirty.end()});
  EXPECT_EQ(cache_.bytes(), 64 * kPage);
  // Clean ones make room for what the writer makes.
  for (PageId id = 300; id < 350; ++id) cache_.Add(LeafFrame(id, 1));
  cache_.Shrink();
  EXPECT_EQ(cache_.bytes(), 64 * kPage);
}

TEST_F(PageCacheTest, LargePagesKeepTheBoundToo) {
  std::vector<Frame*> dirty;
  for (PageId id = 2; id < 40'002; id += 400) dirty.push_back(cache_.Add(LeafFrame(id, 400)));
  cache_.MarkClean(dirty);
  EXPECT_LE(cache_.bytes(), 64 * kPage);
  EXPECT_LE(cache_.retired_bytes(), 400 * kPage);
}

TEST_F(PageCacheTest, WhatWaitsForReadersIsCountedAndGoesWhenTheyHaveGone) {
  for (PageId id = 2; id < 2002; id += 200) cache_.Add(LeafFrame(id, 200));
  {
    EpochDomain::Guard guard(slot_);
    const Frame* seen = cache_.Find(2);
    for (PageId id = 2; id < 1002; id += 200) cache_.Remove(id);
    EXPECT_EQ(cache_.retired_bytes(), 5 * 200 * kPage);
    EXPECT_EQ(seen->view().key(0), "page 2");
  }
  for (PageId id = 1002; id < 2002; id += 200) cache_.Remove(id);
  EXPECT_EQ(cache_.bytes(), 0u);
  EXPECT_EQ(cache_.retired_bytes(), 0u);
}

TEST_F(PageCacheTest, LoadsWithoutWaitingOnlyWhatTheKernelHas) {
  WriteLeaf(2, 1);
  WriteLeaf(3, 3);
  EpochDomain::Guard guard(slot_);
  EXPECT_TRUE(absl::IsUnavailable(cache_.LoadNow(2, kHighWater).status()));
  file_.in_memory = true;
  for (PageId id : {2, 3}) {
    StatusOr<Frame*> frame = cache_.LoadNow(id, kHighWater);
    ASSERT_TRUE(frame.ok()) << frame.status();
    EXPECT_EQ((*frame)->view().key(0), "page " + std::to_string(id));
  }
  file_.in_memory = false;
  EXPECT_TRUE(cache_.LoadNow(3, kHighWater).ok());  // by now in the cache
  // What only a waiting read may judge.
  EXPECT_TRUE(absl::IsUnavailable(cache_.LoadNow(50, kHighWater).status()));
  EXPECT_TRUE(absl::IsDataLoss(cache_.Load(50, kHighWater).status()));
}

// A range over everything evicts what the writer has made: its memory must not stay with the
// writer's thread while the reader takes new.
TEST(PageMemory, WhatOneThreadGivesBackAnotherTakes) {
  PageMemory memory(kPage);
  std::set<char*> made;
  for (int i = 0; i < 10; ++i) made.insert(memory.Take(kPage));
  char* several = memory.Take(3 * kPage);
  std::thread([&] {
    for (char* page : made) memory.Give(page, kPage);
    std::set<char*> again;
    for (int i = 0; i < 10; ++i) again.insert(memory.Take(kPage));
    EXPECT_EQ(again, made);
    for (char* page : again) memory.Give(page, kPage);
  }).join();
  memory.Give(several, 3 * kPage);
}

}  // namespace
}  // namespace quoin::btree

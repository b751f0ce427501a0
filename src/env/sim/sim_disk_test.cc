// What a simulated disk promises, and what it takes away.

#include "env/sim/sim_disk.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <set>

#include "env/posix/posix_env.h"
#include "env/sim/sim_world.h"

namespace quoin::env {
namespace {

std::unique_ptr<File> MustOpen(SimDisk& disk, const std::string& path,
                               OpenMode mode = OpenMode::kReadWrite) {
  StatusOr<std::unique_ptr<File>> file = disk.Open(path, mode);
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? *std::move(file) : nullptr;
}

// A file with this content, name and all durable.
void Put(SimDisk& disk, const std::string& path, const std::string& content) {
  std::unique_ptr<File> file = MustOpen(disk, path, OpenMode::kCreateTrunc);
  ASSERT_TRUE(file->blocking().Write(0, content).ok());
  ASSERT_TRUE(file->blocking().Sync().ok());
  ASSERT_TRUE(disk.SyncDirectory(ParentPath(path)).ok());
}

std::string ReadAll(BlockingFile& file) {
  std::string out(file.Size().value(), '\0');
  EXPECT_EQ(file.Read(0, out).value(), out.size());
  return out;
}
std::string Content(SimDisk& disk, const std::string& path) {
  return ReadAll(MustOpen(disk, path, OpenMode::kRead)->blocking());
}

// What is left of `disk` after crashes with many seeds.
std::set<std::string> Outcomes(const SimDisk& disk,
                               const std::function<std::string(SimDisk&)>& look) {
  std::set<std::string> out;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::unique_ptr<SimDisk> after = disk.Clone();
    after->Restart(seed);
    out.insert(look(*after));
  }
  return out;
}

TEST(SparseBytes, BehavesAsAString) {
  Prng random(7);
  SparseBytes bytes;
  std::string model;
  for (int step = 0; step < 3000; ++step) {
    const uint64_t at = random.Below(20000);
    const uint64_t length = random.Below(9000);
    switch (random.Below(3)) {
      case 0: {
        const std::string data(length, static_cast<char>('a' + random.Below(26)));
        bytes.Write(at, data);
        if (length > 0 && model.size() < at + length) model.resize(at + length);
        model.replace(at < model.size() ? at : model.size(), length, data);
        break;
      }
      case 1:
        bytes.Resize(at);
        model.resize(at);
        break;
      default: {
        std::string got(length, '?');
        got.resize(bytes.Read(at, got));
        ASSERT_EQ(got, at < model.size() ? model.substr(at, length) : "") << "step " << step;
      }
    }
    ASSERT_EQ(bytes.size(), model.size()) << "step " << step;
  }
  SparseBytes sparse;
  sparse.Resize(uint64_t{1} << 40);
  EXPECT_EQ(sparse.stored_bytes(), 0u);
}

TEST(SimDisk, SyncedBytesAndLengthSurvive) {
  SimDisk disk;
  Put(disk, "f", "abc");
  EXPECT_EQ(Outcomes(disk, [](SimDisk& d) { return Content(d, "f"); }),
            std::set<std::string>{"abc"});
}

TEST(SimDisk, AnUnsyncedWriteIsThereOrNot) {
  SimDisk disk;
  Put(disk, "f", "old");
  ASSERT_TRUE(MustOpen(disk, "f")->blocking().Write(0, "new").ok());
  EXPECT_EQ(Content(disk, "f"), "new");
  EXPECT_EQ(Outcomes(disk, [](SimDisk& d) { return Content(d, "f"); }),
            (std::set<std::string>{"old", "new"}));
}

TEST(SimDisk, SectorsOfOneWriteFareEachForItself) {
  SimDisk disk;
  Put(disk, "f", std::string(2 * kSectorBytes, 'o'));
  ASSERT_TRUE(
      MustOpen(disk, "f")->blocking().Write(100, std::string(2 * kSectorBytes - 200, 'n')).ok());
  const auto seen = Outcomes(disk, [](SimDisk& d) {
    const std::string content = Content(d, "f");
    return std::string{content[99],  content[100], content[511],
                       content[512], content[923], content[924]};
  });
  EXPECT_EQ(seen, (std::set<std::string>{"oooooo", "onnooo", "ooonno", "onnnno"}));
}

TEST(SimDisk, ALaterWriteToASectorNeverComesWithoutTheEarlierOne) {
  SimDisk disk;
  Put(disk, "f", "....");
  ASSERT_TRUE(MustOpen(disk, "f")->blocking().Write(0, "a").ok());
  ASSERT_TRUE(MustOpen(disk, "f")->blocking().Write(2, "b").ok());
  EXPECT_EQ(Outcomes(disk, [](SimDisk& d) { return Content(d, "f"); }),
            (std::set<std::string>{"....", "a...", "a.b."}));
}

TEST(SimDisk, AnUnsyncedLengthIsOldOrNewAndUnsyncedBytesReadAsZeros) {
  SimDisk disk;
  Put(disk, "f", "ab");
  ASSERT_TRUE(MustOpen(disk, "f")->blocking().Write(kSectorBytes, "x").ok());
  const auto seen = Outcomes(disk, [](SimDisk& d) { return Content(d, "f"); });
  const std::string grown = "ab" + std::string(kSectorBytes - 2, '\0');
  EXPECT_EQ(seen, (std::set<std::string>{"ab", grown + '\0', grown + 'x'}));
}

TEST(SimDisk, BytesBehindACutThatNeverHappenedAreTheOldOnes) {
  SimDisk disk;
  Put(disk, "f", std::string(4 * kSectorBytes, 'o'));
  std::unique_ptr<File> file = MustOpen(disk, "f");
  ASSERT_TRUE(file->blocking().Resize(kSectorBytes).ok());
  ASSERT_TRUE(file->blocking().Write(2 * kSectorBytes, "new").ok());
  const auto seen = Outcomes(disk, [](SimDisk& d) {
    std::string content = Content(d, "f");
    return std::to_string(content.size()) +
           content.substr(std::min(content.size(), size_t{1024}), 3);
  });
  EXPECT_EQ(seen,
            (std::set<std::string>{"2048ooo", "512", "1027new", std::string("1027\0\0\0", 7)}));
  ASSERT_TRUE(file->blocking().Sync().ok());
  disk.Restart(1);
  EXPECT_EQ(Content(disk, "f"), std::string(512, 'o') + std::string(512, '\0') + "new");
}

TEST(SimDisk, TearsOnlySectorsWithoutDurableBytes) {
  SimDisk disk;
  Put(disk, "f", std::string(10, 'o'));
  ASSERT_TRUE(MustOpen(disk, "f")->blocking().Write(0, std::string(2 * kSectorBytes, 'n')).ok());
  bool torn = false;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::unique_ptr<SimDisk> after = disk.Clone();
    after->Restart(seed);
    const std::string content = Content(*after, "f");
    if (content.size() < 2 * kSectorBytes) continue;
    const std::string first = content.substr(0, 10), second = content.substr(kSectorBytes);
    EXPECT_TRUE(first == std::string(10, 'o') || first == std::string(10, 'n')) << seed;
    EXPECT_EQ(content[0] == 'n', content[kSectorBytes - 1] == 'n') << seed;
    const size_t zero = second.find('\0');
    torn = torn || (zero != 0 && zero != std::string::npos);
  }
  EXPECT_TRUE(torn);
}

// Random writes, growth and syncs against every content that the file had since it was durable.
TEST(SimDisk, EverySectorShowsAContentThatItHad) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Prng random(seed);
    SimDisk disk;
    disk.set_tears_sectors(false);
    Put(disk, "f", "");
    std::unique_ptr<File> file = MustOpen(disk, "f");
    std::vector<std::string> since = {""};  // contents since the last sync
    for (int step = 0; step < 40; ++step) {
      const uint64_t die = random.Below(10);
      if (die == 0) {
        ASSERT_TRUE(file->blocking().Sync().ok());
        since.erase(since.begin(), since.end() - 1);
      } else if (die == 1) {
        const uint64_t more = file->blocking().Size().value() + random.Below(1500);
        ASSERT_TRUE(file->blocking().Resize(more).ok());
      } else {
        const std::string data(1 + random.Below(1200), static_cast<char>('a' + step));
        ASSERT_TRUE(file->blocking().Write(random.Below(5000), data).ok());
      }
      since.push_back(ReadAll(file->blocking()));
    }
    disk.Restart(seed);
    const std::string left = Content(disk, "f");
    EXPECT_TRUE(std::any_of(since.begin(), since.end(),
                            [&](const std::string& one) { return one.size() == left.size(); }))
        << "seed " << seed;
    for (size_t at = 0; at < left.size(); at += kSectorBytes) {
      const std::string sector = left.substr(at, kSectorBytes);
      EXPECT_TRUE(std::any_of(since.begin(), since.end(),
                              [&](std::string one) {
                                one.resize(std::max(one.size(), left.size()));
                                return one.substr(at, sector.size()) == sector;
                              }))
          << "seed " << seed << " at " << at;
    }
  }
}

// --- names

TEST(SimDisk, ANewNameNeedsItsDirectorysSync) {
  SimDisk disk;
  std::unique_ptr<File> file = MustOpen(disk, "f", OpenMode::kCreate);
  ASSERT_TRUE(file->blocking().Write(0, "x").ok());
  ASSERT_TRUE(file->blocking().Sync().ok());
  auto look = [](SimDisk& d) { return d.Exists("f") ? Content(d, "f") : "none"; };
  EXPECT_EQ(Outcomes(disk, look), (std::set<std::string>{"none", "x"}));
  ASSERT_TRUE(disk.SyncDirectory("").ok());
  EXPECT_EQ(Outcomes(disk, look), std::set<std::string>{"x"});
}

TEST(SimDisk, ADurableDirectoryIsThereWithAllItsParents) {
  SimDisk disk;
  ASSERT_TRUE(disk.MakeDirectory("/there").ok());
  ASSERT_TRUE(disk.SyncDirectory("/").ok());
  ASSERT_TRUE(disk.MakeDurableDirectory("/there/a/b/c").ok());
  EXPECT_EQ(Outcomes(disk, [](SimDisk& d) { return d.Exists("/there/a/b/c") ? "there" : "gone"; }),
            std::set<std::string>{"there"});
}

TEST(SimDisk, ADurableNameDoesNotMakeBytesDurable) {
  SimDisk disk;
  std::unique_ptr<File> file = MustOpen(disk, "f", OpenMode::kCreate);
  ASSERT_TRUE(disk.SyncDirectory("").ok());
  ASSERT_TRUE(file->blocking().Write(0, "x").ok());
  auto look = [](SimDisk& d) { return Content(d, "f"); };
  EXPECT_EQ(Outcomes(disk, look), (std::set<std::string>{"", "x", std::string(1, '\0')}));
}

TEST(SimDisk, ARenameHasHappenedOrNot) {
  SimDisk disk;
  ASSERT_TRUE(disk.MakeDirectory("d/e").ok());
  Put(disk, "d/e/a", "new");
  Put(disk, "d/e/b", "old");
  ASSERT_TRUE(disk.Rename("d/e/a", "d/e/b").ok());
  auto look = [](SimDisk& d) {
    return Content(d, "d/e/b") + (d.Exists("d/e/a") ? " two" : " one");
  };
  EXPECT_EQ(Outcomes(disk, look), (std::set<std::string>{"old two", "new one"}));
  ASSERT_TRUE(disk.SyncDirectory("d/e").ok());
  EXPECT_EQ(Outcomes(disk, look), std::set<std::string>{"new one"});
}

TEST(SimDisk, ChangesOfNamesSurviveInTheirOrder) {
  SimDisk disk;
  for (const char* name : {"a", "b", "c"}) MustOpen(disk, name, OpenMode::kCreate);
  ASSERT_TRUE(disk.Remove("a").ok());
  ASSERT_TRUE(disk.MakeDirectory("d").ok());
  auto look = [](SimDisk& d) {
    std::string out;
    const std::vector<std::string> names = d.List("").value();
    for (const std::string& name : names) out += name;
    return out;
  };
  EXPECT_EQ(Outcomes(disk, look), (std::set<std::string>{"", "a", "ab", "abc", "bc", "bcd"}));
  // What another directory's sync carries, carries what was before it.
  MustOpen(disk, "d/f", OpenMode::kCreate);
  ASSERT_TRUE(disk.SyncDirectory("d").ok());
  EXPECT_EQ(Outcomes(disk, look), std::set<std::string>{"bcd"});
}

TEST(SimDisk, AnOpenFileStaysItselfWhateverItsName) {
  SimDisk disk;
  Put(disk, "a", "one");
  std::unique_ptr<File> file = MustOpen(disk, "a");
  ASSERT_TRUE(disk.Rename("a", "b").ok());
  ASSERT_TRUE(file->blocking().Write(0, "two").ok());
  EXPECT_EQ(Content(disk, "b"), "two");
  ASSERT_TRUE(disk.Remove("b").ok());
  ASSERT_TRUE(file->blocking().Write(3, "!").ok());
  EXPECT_EQ(ReadAll(file->blocking()), "two!");
  EXPECT_FALSE(disk.Exists("b"));
}

// The same random calls on a real file system give the same answers.
TEST(SimDisk, AnswersAsARealFileSystem) {
  std::string root = (std::filesystem::temp_directory_path() / "quoin-sim-XXXXXX").string();
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  auto owner = NewPosixFileSystem();
  BlockingFileSystem& real = owner->blocking();
  SimDisk disk;
  ASSERT_TRUE(disk.MakeDirectory(root).ok());
  Prng random(3);
  const std::vector<std::string> names = {"a", "b", "a/c", "a/d", "b/c", "a/d/e"};
  auto draw = [&] { return root + "/" + names[random.Below(names.size())]; };
  for (int step = 0; step < 4000; ++step) {
    const std::string path = draw(), other = draw();
    Status expected, got;
    const uint64_t die = random.Below(8);
    auto both = [&](const std::function<Status(BlockingFileSystem&)>& call) {
      expected = call(real);
      got = call(disk);
    };
    const auto mode = static_cast<OpenMode>(random.Below(4));
    const std::string data(random.Below(50), static_cast<char>('a' + step % 26));
    if (die < 2) {
      both([&](BlockingFileSystem& files) -> Status {
        // A directory opens for reading on a real one, and can do nothing then.
        const StatusOr<FileInfo> info = files.Stat(path);
        if (info.ok() && info->is_directory) return OkStatus();
        StatusOr<std::unique_ptr<File>> file = files.Open(path, mode);
        RETURN_IF_ERROR(file.status());
        if (mode != OpenMode::kRead) RETURN_IF_ERROR((*file)->blocking().Write(3, data));
        std::string content(100, '?');
        content.resize((*file)->blocking().Read(0, content).value());
        return absl::UnknownError(content);
      });
    } else if (die == 2) {
      both([&](BlockingFileSystem& files) { return files.Rename(path, other); });
    } else if (die == 3) {
      both([&](BlockingFileSystem& files) { return files.Remove(path); });
    } else if (die == 4) {
      both([&](BlockingFileSystem& files) { return files.MakeDirectory(path); });
    } else if (die == 5) {
      both([&](BlockingFileSystem& files) { return files.SyncDirectory(path); });
      if (real.Exists(path) && !real.Stat(path)->is_directory) got = expected;
    } else if (die == 6 && random.Below(20) == 0) {
      both([&](BlockingFileSystem& files) { return files.RemoveAll(path); });
    } else {
      both([&](BlockingFileSystem& files) -> Status {
        ASSIGN_OR_RETURN(std::vector<std::string> found, files.List(path));
        std::string all;
        for (const std::string& name : found) all += name + " ";
        return absl::UnknownError(all);
      });
    }
    ASSERT_EQ(expected, got) << "step " << step << " kind " << die;
  }
  std::filesystem::remove_all(root);
}

TEST(SimDisk, LocksAsFlock) {
  SimDisk disk;
  Put(disk, "f", "");
  auto first = disk.Lock("f", false);
  auto second = disk.Lock("./f", false);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(disk.Lock("f", true).status()));
  first->reset();
  second->reset();
  auto alone = disk.Lock("f", true);
  ASSERT_TRUE(alone.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(disk.Lock("f", false).status()));
  disk.Restart(1);  // the machine that held it is gone
  auto after = disk.Lock("f", true);
  EXPECT_TRUE(after.ok());
  alone->reset();
  EXPECT_TRUE(absl::IsFailedPrecondition(disk.Lock("f", true).status()));
  EXPECT_TRUE(absl::IsNotFound(disk.Lock("none", true).status()));
}

// --- power failures and faults

// Replaces a file's content; without `careful`, forgets to sync before the rename.
Status Replace(SimDisk& disk, const std::string& content, bool careful) {
  ASSIGN_OR_RETURN(auto file, disk.Open("f.tmp", OpenMode::kCreateTrunc));
  RETURN_IF_ERROR(file->blocking().Write(0, content));
  if (careful) RETURN_IF_ERROR(file->blocking().Sync());
  RETURN_IF_ERROR(disk.Rename("f.tmp", "f"));
  return disk.SyncDirectory("");
}

// All contents of the file after power failures at every step, with many seeds.
std::set<std::string> AfterEveryStep(bool careful) {
  std::set<std::string> out;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    for (uint64_t step = 0;; ++step) {
      SimDisk disk;
      Put(disk, "f", "old");
      disk.set_power_fails_at(disk.operations() + step);
      const Status status = Replace(disk, "new", careful);
      EXPECT_TRUE(status.ok() || absl::IsAborted(status)) << status;
      EXPECT_EQ(disk.power_is_out(), !status.ok());
      disk.Restart(seed);
      out.insert(Content(disk, "f"));
      if (status.ok()) break;
    }
  }
  return out;
}

TEST(SimDisk, PowerFailuresAtEveryStepTellGoodOrderFromBad) {
  EXPECT_EQ(AfterEveryStep(/*careful=*/true), (std::set<std::string>{"old", "new"}));
  EXPECT_TRUE(AfterEveryStep(/*careful=*/false).contains(""));
}

TEST(SimDisk, WithoutPowerNothingWorks) {
  SimDisk disk;
  Put(disk, "f", "x");
  std::unique_ptr<File> file = MustOpen(disk, "f");
  disk.set_power_fails_at(disk.operations());
  EXPECT_TRUE(absl::IsAborted(file->blocking().Sync()));
  char byte;
  EXPECT_TRUE(absl::IsAborted(file->blocking().Read(0, {&byte, 1}).status()));
  EXPECT_TRUE(absl::IsAborted(file->blocking().Size().status()));
  EXPECT_TRUE(absl::IsAborted(file->blocking().Write(0, "y")));
  EXPECT_TRUE(absl::IsAborted(disk.Open("f", OpenMode::kRead).status()));
  EXPECT_TRUE(absl::IsAborted(disk.List("").status()));
  EXPECT_TRUE(absl::IsAborted(disk.Stat("f").status()));
  EXPECT_TRUE(absl::IsAborted(disk.Lock("f", true).status()));
  EXPECT_TRUE(absl::IsAborted(disk.RemoveAll("f")));
  EXPECT_TRUE(absl::IsAborted(disk.MakeDirectory("d")));
  disk.Restart(1);
  EXPECT_EQ(Content(disk, "f"), "x");
  EXPECT_TRUE(absl::IsAborted(file->blocking().Write(0, "y"))) << "opened before the crash";
}

TEST(SimDisk, AClonesFateIsItsOwnAndTheSameForTheSameSeed) {
  SimDisk disk;
  Put(disk, "f", std::string(5000, 'o'));
  ASSERT_TRUE(MustOpen(disk, "f")->blocking().Write(0, std::string(5000, 'n')).ok());
  std::unique_ptr<SimDisk> one = disk.Clone(), two = disk.Clone();
  one->Restart(5);
  two->Restart(5);
  EXPECT_EQ(Content(*one, "f"), Content(*two, "f"));
  EXPECT_EQ(Content(disk, "f"), std::string(5000, 'n'));
  ASSERT_TRUE(MustOpen(*one, "f")->blocking().Write(0, "zzz").ok());
  EXPECT_NE(Content(*one, "f"), Content(*two, "f"));
}

TEST(SimDisk, WhatAFailedSyncLostNoLaterSyncBrings) {
  bool lost = false, kept = false;
  for (int round = 0; round < 40; ++round) {
    SimDisk disk;
    Put(disk, "f", std::string(40 * kSectorBytes, 'o'));
    std::unique_ptr<File> file = MustOpen(disk, "f");
    ASSERT_TRUE(file->blocking().Write(0, std::string(40 * kSectorBytes, 'n')).ok());
    disk.FailSync(1, absl::DataLossError("input/output error"));
    const Status failed = file->blocking().Sync();
    EXPECT_EQ(failed, absl::DataLossError("fdatasync f: input/output error"));
    EXPECT_EQ(ReadAll(file->blocking()), std::string(40 * kSectorBytes, 'n'));
    ASSERT_TRUE(file->blocking().Sync().ok());
    disk.Restart(static_cast<uint64_t>(round));
    const std::string left = Content(disk, "f");
    lost = lost || left.find('o') != std::string::npos;
    kept = kept || left.find('n') != std::string::npos;
  }
  EXPECT_TRUE(lost);
  EXPECT_TRUE(kept);
}

TEST(SimDisk, TheNthWriteFailsOnceAndMayHaveWrittenItsFirstBytes) {
  SimDisk disk;
  Put(disk, "f", "");
  std::unique_ptr<File> file = MustOpen(disk, "f");
  disk.FailWrite(2, absl::ResourceExhaustedError("no space left on device"));
  EXPECT_TRUE(file->blocking().Write(0, "abc").ok());
  EXPECT_EQ(file->blocking().Write(3, "defgh").message(),
            "write f at offset 3: no space left on device");
  const std::string content = ReadAll(file->blocking());
  EXPECT_TRUE(std::string("abcdefg").starts_with(content) && content.size() >= 3) << content;
  EXPECT_TRUE(file->blocking().Write(3, "defgh").ok());
  disk.FailRead(1, absl::DataLossError("input/output error"));
  char byte;
  EXPECT_FALSE(file->blocking().Read(0, {&byte, 1}).ok());
  EXPECT_EQ(ReadAll(file->blocking()), "abcdefgh");
  disk.set_fails_at(disk.operations(), absl::DataLossError("any"));
  EXPECT_FALSE(disk.SyncDirectory("").ok());
  EXPECT_TRUE(disk.SyncDirectory("").ok());
}

TEST(SimDisk, AFullDiskSaysSoUntilThereIsSpace) {
  SimDisk disk;
  disk.set_space_bytes_max(100'000);
  Put(disk, "f", std::string(50'000, 'x'));
  std::unique_ptr<File> file = MustOpen(disk, "g", OpenMode::kCreate);
  EXPECT_TRUE(absl::IsResourceExhausted(file->blocking().Allocate(60'000)));
  EXPECT_TRUE(file->blocking().Allocate(40'000).ok());
  EXPECT_EQ(file->blocking().Size().value(), 40'000u);
  EXPECT_TRUE(file->blocking().Write(0, std::string(40'000, 'y')).ok()) << "reserved";
  EXPECT_TRUE(absl::IsResourceExhausted(file->blocking().Write(40'000, std::string(20'000, 'y'))));
  ASSERT_TRUE(disk.Remove("f").ok());
  EXPECT_TRUE(file->blocking().Write(40'000, std::string(20'000, 'y')).ok());
  EXPECT_LE(disk.space_bytes(), 100'000u);
}

TEST(SimDisk, DamageIsReadAndStays) {
  SimDisk disk;
  Put(disk, "f", std::string(1000, 'x'));
  ASSERT_TRUE(disk.DamageSector("f", 0, SimDisk::Damage::kZero).ok());
  ASSERT_TRUE(disk.DamageSector("f", 1, SimDisk::Damage::kFlipBit, 9).ok());
  EXPECT_FALSE(disk.DamageSector("f", 2, SimDisk::Damage::kZero).ok());
  for (int look = 0; look < 2; ++look) {
    const std::string content = Content(disk, "f");
    EXPECT_EQ(content.substr(0, 512), std::string(512, '\0'));
    EXPECT_EQ(std::count(content.begin() + 512, content.end(), 'x'), 1000 - 512 - 1);
    disk.Restart(1);
  }
}

// --- virtual time

TEST(SimDisk, ASyncIsDurableWhenItCompletesAndNotBefore) {
  bool lost_before = false;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SimWorld world(seed);
    SimDisk disk(&world);
    SimExecutor loop(world);
    Put(disk, "f", "old");
    std::unique_ptr<File> file = MustOpen(disk, "f");
    disk.set_sync_time(std::chrono::milliseconds(5), std::chrono::milliseconds(5));
    bool done = false;
    Duration took{0};
    loop.Post([&] {
      file->Write(0, {"n", "e", "w"}, loop, [&](Status) {
        const Duration start = world.Now();
        file->Sync(loop, [&, start](Status status) {
          EXPECT_TRUE(status.ok());
          EXPECT_TRUE(loop.IsCurrent());
          took = world.Now() - start;
          done = true;
        });
        // Written after the call: the sync does not carry it.
        EXPECT_TRUE(file->blocking().Write(kSectorBytes, "later").ok());
      });
    });
    world.RunFor(std::chrono::milliseconds(4));
    EXPECT_FALSE(done);
    std::unique_ptr<SimDisk> early = disk.Clone();
    early->Restart(seed);
    lost_before = lost_before || Content(*early, "f").starts_with("old");
    ASSERT_TRUE(world.RunUntil([&] { return done; }, 1000));
    EXPECT_GE(took, std::chrono::milliseconds(5));
    disk.Restart(seed);
    EXPECT_EQ(Content(disk, "f").substr(0, 3), "new") << "seed " << seed;
  }
  EXPECT_TRUE(lost_before);
}

TEST(SimDisk, StallsWhenAsked) {
  SimWorld world(1);
  SimDisk disk(&world);
  SimExecutor loop(world);
  SimDiskTimes times;
  times.stall_chance = 1;
  times.stall = {std::chrono::seconds(3), std::chrono::seconds(3)};
  disk.set_times(times);
  StatusOr<std::unique_ptr<File>> file = absl::UnknownError("");
  bool opened = false;
  disk.Open("f", OpenMode::kCreate, loop, [&](auto result) {
    file = std::move(result);
    opened = true;
  });
  world.RunFor(std::chrono::milliseconds(2900));
  EXPECT_FALSE(opened);
  world.RunFor(std::chrono::milliseconds(200));
  ASSERT_TRUE(opened && file.ok());
  std::string into(4, '\0');
  Status read;
  (*file)->Read(0, into, loop, [&](Status status) { read = status; });
  world.RunFor(std::chrono::seconds(4));
  EXPECT_EQ(read, absl::OutOfRangeError("read f at offset 0: the file ends before"));
}

}  // namespace
}  // namespace quoin::env

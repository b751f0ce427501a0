#include "cluster/hashes.h"

#include <gtest/gtest.h>

namespace quoin::cluster {
namespace {

constexpr uint64_t kSelf = 1;

KvHash Hash(uint32_t hash, int64_t compacted = 5, int64_t revision = 20) {
  return {hash, compacted, revision, revision};
}

std::vector<uint64_t> Ids(const std::vector<Suspect>& suspects) {
  std::vector<uint64_t> ids;
  for (const Suspect& suspect : suspects) ids.push_back(suspect.id);
  return ids;
}

uint64_t SuspectOf(const KvHash& before, const KvHash& after, const std::vector<PeerHash>& peers) {
  const std::optional<Suspect> suspect = CompareNow(kSelf, before, after, peers);
  return suspect ? suspect->id : UINT64_MAX;
}
constexpr uint64_t kNobody = UINT64_MAX;

TEST(HashesTest, AsEtcdWritesThem) {
  EXPECT_EQ(HashRequestJson(18), R"({"revision":18})");
  EXPECT_EQ(HashAnswerJson({1415664051, -1, 18, 18}),
            R"({"header":{"revision":18},"hash":1415664051,"compact_revision":-1,)"
            R"("hash_revision":18})");
  EXPECT_EQ(HashAnswerJson({}), R"({"header":{}})");
}

TEST(HashesTest, ReadsWhatMembersSend) {
  EXPECT_EQ(*ParseHashRequestJson(R"({"revision":18,"more":[]})"), 18);
  EXPECT_EQ(*ParseHashRequestJson("{}"), 0);
  EXPECT_EQ(*ParseHashRequestJson("null"), 0);
  for (const char* bad : {"", "x", "[]", "7", R"({"revision":"1"})", R"({"revision":1.5})",
                          R"({"revision":99999999999999999999})"}) {
    EXPECT_FALSE(ParseHashRequestJson(bad).ok()) << bad;
  }
  const KvHash hash{4294967295u, -1, 18, 19};
  EXPECT_EQ(*ParseHashAnswerJson(HashAnswerJson(hash)), hash);
  // A member of 3.5 does not say at which revision.
  EXPECT_EQ(*ParseHashAnswerJson(R"({"header":{"revision":7},"hash":9,"compact_revision":-1})"),
            (KvHash{9, -1, 0, 7}));
  for (const char* bad : {"", "[]", R"({"hash":-1})", R"({"hash":4294967296})", R"({"header":[]})",
                          R"({"compact_revision":"x"})"}) {
    EXPECT_FALSE(ParseHashAnswerJson(bad).ok()) << bad;
  }
}

TEST(HashesTest, BeforeServingOnlyEqualCompactionsCount) {
  EXPECT_EQ(CountDifferent(Hash(7), {{2, Hash(7), ""}, {3, Hash(7), ""}}), 0);
  EXPECT_EQ(CountDifferent(Hash(7), {{2, Hash(8), ""}, {3, Hash(7), ""}}), 1);
  EXPECT_EQ(CountDifferent(Hash(7), {{2, Hash(8, 6), ""}, {3, std::nullopt, "future"}}), 0);
}

TEST(HashesTest, APeerWithAnotherHashIsSuspect) {
  const KvHash own = Hash(7);
  EXPECT_EQ(SuspectOf(own, own, {{2, Hash(7), ""}, {3, Hash(7), ""}}), kNobody);
  EXPECT_EQ(SuspectOf(own, own, {{2, Hash(7), ""}, {3, Hash(8), ""}}), 3);
  EXPECT_EQ(SuspectOf(own, own, {{2, Hash(9), ""}, {3, Hash(8), ""}}), 2);
  EXPECT_EQ(SuspectOf(own, own, {{2, Hash(8, 4), ""}, {3, std::nullopt, "down"}}), kNobody);
}

TEST(HashesTest, NobodyIsAheadOfTheLeader) {
  const KvHash own = Hash(7);
  KvHash ahead = Hash(7);
  ahead.current_revision = 21;
  EXPECT_EQ(SuspectOf(own, own, {{2, ahead, ""}}), 2);
  EXPECT_EQ(SuspectOf(own, Hash(9, 5, 21), {{2, ahead, ""}}), kNobody);
  EXPECT_EQ(SuspectOf(own, own, {{2, Hash(7, 6), ""}}), 2);
  EXPECT_EQ(SuspectOf(own, Hash(9, 6, 20), {{2, Hash(7, 6), ""}}), kNobody);
}

TEST(HashesTest, TheLeaderSuspectsItselfWhenItsHashChanges) {
  EXPECT_EQ(SuspectOf(Hash(7), Hash(8), {{2, Hash(7), ""}}), kSelf);
  EXPECT_EQ(SuspectOf(Hash(7), Hash(8, 5, 21), {{2, Hash(7), ""}}), kNobody);
}

TEST(HashesTest, TheMinorityOfACompactionIsSuspect) {
  const KvHash own = Hash(7);
  CompactionVerdict verdict = CompareCompaction(kSelf, own, {{2, Hash(7), ""}, {3, Hash(7), ""}});
  EXPECT_TRUE(verdict.all_equal);
  EXPECT_TRUE(verdict.suspects.empty());

  verdict = CompareCompaction(kSelf, own, {{2, Hash(7), ""}, {3, std::nullopt, "down"}});
  EXPECT_FALSE(verdict.all_equal);
  EXPECT_TRUE(verdict.suspects.empty());

  verdict = CompareCompaction(kSelf, own, {{2, Hash(8), ""}, {3, Hash(7), ""}});
  EXPECT_EQ(Ids(verdict.suspects), (std::vector<uint64_t>{2}));
  verdict = CompareCompaction(kSelf, own, {{2, Hash(8), ""}, {3, Hash(8), ""}});
  EXPECT_EQ(Ids(verdict.suspects), (std::vector<uint64_t>{kSelf}));
  verdict = CompareCompaction(kSelf, own, {{2, Hash(8), ""}, {3, std::nullopt, "down"}});
  EXPECT_EQ(Ids(verdict.suspects), (std::vector<uint64_t>{0})) << "two differ, and nobody decides";
  verdict = CompareCompaction(kSelf, own, {{2, Hash(8), ""}, {3, Hash(9), ""}});
  EXPECT_EQ(Ids(verdict.suspects), (std::vector<uint64_t>{0}));
  // Of five, three agree.
  verdict = CompareCompaction(
      kSelf, own, {{2, Hash(8), ""}, {3, Hash(7), ""}, {4, Hash(7), ""}, {5, Hash(9), ""}});
  EXPECT_EQ(Ids(verdict.suspects), (std::vector<uint64_t>{2, 5}));
}

}  // namespace
}  // namespace quoin::cluster

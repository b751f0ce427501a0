// Who holds what it sorts, and when it loses it.

#include "api/sort_line.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "env/sim/sim_world.h"

namespace quoin::api {
namespace {

class SortLineTest : public testing::Test {
 protected:
  class One final : public SortLine::Keeper {
   public:
    One(SortLineTest& test, std::string name) : test_(test), name_(std::move(name)) {}
    void LetGo() override { test_.Note(name_ + " lets go"); }
    void OnStillInLine() override { test_.Note(name_ + " waits"); }
    const std::string& name() const { return name_; }

   private:
    SortLineTest& test_;
    const std::string name_;
  };

  std::shared_ptr<One> New(std::string name) {
    return std::make_shared<One>(*this, std::move(name));
  }
  void Take(const std::shared_ptr<One>& one) {
    line_.Take(one, [this, name = one->name()] { Note(name); });
  }
  void Note(std::string what) { seen_.push_back(std::move(what)); }
  std::vector<std::string> Seen() { return std::exchange(seen_, {}); }
  using Are = std::vector<std::string>;

  void Pass(int milliseconds) { world_.RunFor(std::chrono::milliseconds(milliseconds)); }

  env::SimWorld world_{1};
  env::SimExecutor loop_{world_, "", "io"};
  SortLine line_{loop_};
  std::vector<std::string> seen_;
};

TEST_F(SortLineTest, OneHasItsTurnUntilItLeaves) {
  const auto a = New("a"), b = New("b"), c = New("c");
  for (const auto& one : {a, b, c, a}) Take(one);
  EXPECT_EQ(Seen(), (Are{"a", "b waits", "c waits", "a"}));
  line_.Leave(*a);
  EXPECT_EQ(Seen(), Are{"b"});
  Take(a);
  line_.Leave(*c);  // it waited
  line_.Leave(*b);
  EXPECT_EQ(Seen(), (Are{"a waits", "a"}));
}

TEST_F(SortLineTest, OneThatRestsKeepsItsTurnWhileNobodyWants) {
  const auto a = New("a"), b = New("b");
  Take(a);
  line_.Rest(*a);
  Take(a);
  EXPECT_EQ(Seen(), (Are{"a", "a"}));
  line_.Rest(*a);
  Take(b);
  Pass(1000);
  EXPECT_EQ(Seen(), (Are{"b waits", "a lets go", "b"}));
  Take(a);
  line_.Rest(*b);
  Pass(1000);
  EXPECT_EQ(Seen(), (Are{"a waits", "b lets go", "a"}));
}

// As each does whose answer is larger than what its connection holds.
TEST_F(SortLineTest, AShortRestCostsNothing) {
  const auto a = New("a"), b = New("b");
  Take(a);
  Take(b);
  Seen();
  for (int i = 0; i < 90; ++i) {
    line_.Rest(*a);
    Pass(100);
    Take(a);
    EXPECT_EQ(Seen(), Are{"a"});
  }
  line_.Rest(*a);
  Pass(1000);
  EXPECT_EQ(Seen(), (Are{"a lets go", "b"}));
}

TEST_F(SortLineTest, WhoWaitsIsToldMoreOftenThanACompactionGivesUpReaders) {
  const auto a = New("a"), b = New("b");
  Take(a);
  Take(b);
  Seen();
  Pass(29'000);
  EXPECT_EQ(Seen(), (Are{"b waits", "b waits"}));
  line_.Leave(*b);
  Pass(60'000);
  EXPECT_EQ(Seen(), Are{});
}

TEST_F(SortLineTest, OneThatIsGoneIsInNobodysWay) {
  auto a = New("a");
  const auto b = New("b");
  Take(a);
  line_.Rest(*a);
  a.reset();
  Take(b);
  EXPECT_EQ(Seen(), (Are{"a", "b"}));
}

}  // namespace
}  // namespace quoin::api

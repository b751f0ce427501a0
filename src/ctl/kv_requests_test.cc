#include "ctl/kv_requests.h"

#include <gtest/gtest.h>

#include <sstream>

#include "ctl/kv_flags.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;
using Words = std::vector<std::string>;

const std::string kZero(1, '\0');

// The request that `quoinctl get <words>` makes.
StatusOr<pb::RangeRequest> Get(const Words& words) {
  Flags flags({kGetFlags});
  ASSIGN_OR_RETURN(const Words arguments, flags.Parse(words));
  return MakeRangeRequest(flags, arguments);
}

StatusOr<pb::PutRequest> Put(const Words& words, std::string_view input = "") {
  Flags flags({kPutFlags});
  ASSIGN_OR_RETURN(const Words arguments, flags.Parse(words));
  std::istringstream in{std::string(input)};
  return MakePutRequest(flags, arguments, &in);
}

StatusOr<pb::DeleteRangeRequest> Delete(const Words& words) {
  Flags flags({kDeleteFlags});
  ASSIGN_OR_RETURN(const Words arguments, flags.Parse(words));
  return MakeDeleteRequest(flags, arguments);
}

template <typename Request>
std::string ErrorOf(const StatusOr<Request>& request) {
  return std::string(Message(request.status()));
}

TEST(GetTest, FoldsRanges) {
  EXPECT_EQ(Get({"k"})->range_end(), "");
  EXPECT_EQ(Get({"a", "c"})->range_end(), "c");
  EXPECT_EQ(Get({"--prefix", "foo"})->range_end(), "fop");
  EXPECT_EQ(Get({"--from-key", "foo"})->range_end(), kZero);
  for (const char* flag : {"--prefix", "--from-key"}) {
    EXPECT_EQ(Get({flag, ""})->key(), kZero);
    EXPECT_EQ(Get({flag, ""})->range_end(), kZero);
  }
}

TEST(GetTest, FoldsSorting) {
  EXPECT_EQ(Get({"k", "--order", "ascend", "--sort-by", "key"})->sort_order(),
            pb::RangeRequest::NONE);
  EXPECT_EQ(Get({"k", "--order", "ASCEND"})->sort_order(), pb::RangeRequest::NONE);
  EXPECT_EQ(Get({"k", "--order", "Descend"})->sort_order(), pb::RangeRequest::DESCEND);
  const auto by_value = Get({"k", "--order", "ASCEND", "--sort-by", "value"});
  EXPECT_EQ(by_value->sort_order(), pb::RangeRequest::ASCEND);
  EXPECT_EQ(by_value->sort_target(), pb::RangeRequest::VALUE);
  EXPECT_EQ(Get({"k", "--sort-by", "MODIFY"})->sort_target(), pb::RangeRequest::MOD);
}

TEST(GetTest, TakesEveryOption) {
  const auto request =
      Get({"k", "--consistency=s", "--limit=5", "--rev=9", "--keys-only", "--min-create-rev=1",
           "--max-create-rev=2", "--min-mod-rev=3", "--max-mod-rev=4"});
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(
      request->ShortDebugString(),
      "key: \"k\" limit: 5 revision: 9 serializable: true keys_only: true min_mod_revision: 3 "
      "max_mod_revision: 4 min_create_revision: 1 max_create_revision: 2");
  EXPECT_EQ(Get({"k", "--min-mod-rev=-3", "--rev=-1"})->ShortDebugString(), "key: \"k\"");
}

TEST(GetTest, RefusesWhatDoesNotGoTogether) {
  const auto both = Get({"k", "--prefix", "--from-key"});
  EXPECT_EQ(ErrorOf(both),
            "`--prefix` and `--from-key` cannot be set at the same time, choose one");
  EXPECT_EQ(both.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf(Get({"a", "b", "--prefix"})),
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set");
  EXPECT_EQ(ErrorOf(Get({"k", "--keys-only", "--count-only"})),
            "`--keys-only` and `--count-only` cannot be set at the same time, choose one");
  EXPECT_EQ(ErrorOf(Get({})),
            "get command needs one argument as key and an optional argument as range_end");
}

TEST(GetTest, CallsUnknownValuesABadFeature) {
  for (const Words& words :
       {Words{"k", "--order=up"}, Words{"k", "--sort-by=size"}, Words{"k", "--consistency=x"},
        Words{"k", "--min-mod-rev=5", "--max-mod-rev=4"}}) {
    EXPECT_EQ(Get(words).status().code(), StatusCode::kUnimplemented) << words[1];
  }
  EXPECT_EQ(ErrorOf(Get({"k", "--order=up"})), "bad sort order up");
  EXPECT_EQ(ErrorOf(Get({"k", "--sort-by=size"})), "bad sort target size");
  EXPECT_EQ(ErrorOf(Get({"k", "--consistency=x"})), "unknown consistency flag \"x\"");
}

TEST(PutTest, TakesValuesFromArgumentOrInput) {
  EXPECT_EQ(Put({"k", "v"}, "unused")->value(), "v");
  EXPECT_EQ(Put({"k", ""}, "unused")->value(), "");
  EXPECT_EQ(Put({"k"}, "from\ninput\n")->value(), "from\ninput\n");
  EXPECT_EQ(Put({"--", "k", "-v"})->value(), "-v");
  EXPECT_EQ(ErrorOf(Put({"k"})),
            "put command needs 1 argument and input from stdin or 2 arguments");
  EXPECT_EQ(ErrorOf(Put({})), "put command needs 1 argument and input from stdin or 2 arguments");
}

TEST(PutTest, TakesEveryOption) {
  EXPECT_EQ(Put({"k", "v", "--lease", "ff", "--prev-kv", "--ignore-lease"})->ShortDebugString(),
            "key: \"k\" value: \"v\" lease: 255 prev_kv: true ignore_lease: true");
  EXPECT_EQ(Put({"k", "--ignore-value"}, "unused")->ShortDebugString(),
            "key: \"k\" ignore_value: true");
  EXPECT_EQ(ErrorOf(Put({"k", "v", "--ignore-value"})),
            "put command needs only 1 argument when 'ignore-value' is set");
  EXPECT_EQ(ErrorOf(Put({"k", "v", "--lease", "zz"})),
            "bad lease ID (strconv.ParseInt: parsing \"zz\": invalid syntax), expecting ID in Hex");
}

TEST(DeleteTest, FoldsRanges) {
  EXPECT_EQ(Delete({"k"})->range_end(), "");
  EXPECT_EQ(Delete({"k", "--prefix"})->range_end(), "l");
  EXPECT_EQ(Delete({"", "--from-key", "--prev-kv"})->key(), kZero);
  EXPECT_EQ(Delete({"a", "c"})->range_end(), "c");
  EXPECT_FALSE(Delete({"a", "b", "c"}).ok());
  EXPECT_FALSE(Delete({}).ok());
}

TEST(DeleteTest, WarnsOnlyOfUnannouncedRanges) {
  const auto warns = [](const Words& words) {
    Flags flags({kDeleteFlags});
    return NeedsDeleteWarning(flags, *flags.Parse(words));
  };
  EXPECT_TRUE(warns({"a", "c"}));
  EXPECT_FALSE(warns({"a", "c", "--range"}));
  EXPECT_FALSE(warns({"a"}));
  EXPECT_FALSE(warns({"a", "--prefix"}));
  EXPECT_EQ(DeleteWarning(Words{"a", "c"}).substr(0, 50),
            "Warning: Keys between \"a\" and \"c\" will be deleted.");
}

}  // namespace
}  // namespace quoin::ctl

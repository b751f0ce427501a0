#include "config/auto_compaction.h"

#include <optional>

#include "config/go_values.h"
#include "config/text.h"

namespace quoin::config {
namespace {

constexpr int64_t kHourNanoseconds = 3'600'000'000'000;

Status Refused(std::string_view why) {
  return Invalid(Cat("error parsing CompactionRetention: ", why));
}

}  // namespace

StatusOr<AutoCompaction> ParseAutoCompaction(std::string_view mode, std::string_view retention) {
  AutoCompaction out;
  out.mode = mode == "revision" ? CompactionMode::kRevision : CompactionMode::kPeriodic;
  int64_t count = 0;
  std::optional<int64_t> number = ParseDecimal(retention);
  if (number && *number >= 0) {
    count = *number;
    if (out.mode == CompactionMode::kPeriodic) {
      if (count > INT64_MAX / kHourNanoseconds) return Refused("value out of range");
      count *= kHourNanoseconds;
    }
  } else {
    StatusOr<Duration> duration = ParseDuration(retention);
    if (!duration.ok()) return Refused(Message(duration.status()));
    count = duration->count();
    if (count < 0) return Refused(Cat("negative duration ", Quote(retention)));
  }
  if (out.mode == CompactionMode::kPeriodic) {
    out.period = Duration(count);
  } else {
    out.revisions = count;
  }
  return out;
}

}  // namespace quoin::config

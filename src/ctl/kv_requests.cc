#include "ctl/kv_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <istream>

#include "client/requests.h"
#include "ctl/text.h"

namespace quoin::ctl {
namespace {

namespace pb = etcdserverpb;
using client::PrefixEnd;

Status BadArguments(std::string_view message) {
  return absl::InvalidArgumentError(std::string(message));
}
Status BadFeature(std::string_view message) {
  return absl::UnimplementedError(std::string(message));
}

constexpr std::string_view kPrefixOrFromKey =
    "`--prefix` and `--from-key` cannot be set at the same time, choose one";
constexpr std::string_view kTooMany =
    "too many arguments, only accept one argument when `--prefix` or `--from-key` is set";

// Keys [key, range_end) as etcd's requests name them.
struct KeyRange {
  std::string key;
  std::string end;
};

// Folds --prefix and --from-key; the empty key stands for the smallest one.
StatusOr<KeyRange> FoldKeyRange(const Flags& flags, std::span<const std::string> arguments) {
  KeyRange range{arguments[0], ""};
  const bool from_key = flags.Bool("from-key");
  const bool prefix = flags.Bool("prefix");
  if (arguments.size() > 1) {
    if (prefix || from_key) return BadArguments(kTooMany);
    range.end = arguments[1];
  }
  if (!prefix && !from_key) return range;
  range.end = prefix ? PrefixEnd(range.key) : std::string(1, '\0');
  if (range.key.empty()) range.key = std::string(1, '\0');
  return range;
}

struct Sorting {
  pb::RangeRequest::SortOrder order = pb::RangeRequest::NONE;
  pb::RangeRequest::SortTarget target = pb::RangeRequest::KEY;
};

StatusOr<Sorting> FoldSorting(const Flags& flags) {
  Sorting sorting;
  const std::string order = Upper(flags.String("order"));
  if (order == "ASCEND") {
    sorting.order = pb::RangeRequest::ASCEND;
  } else if (order == "DESCEND") {
    sorting.order = pb::RangeRequest::DESCEND;
  } else if (!order.empty()) {
    return BadFeature(fmt::format("bad sort order {}", flags.String("order")));
  }
  const std::string target = Upper(flags.String("sort-by"));
  if (target == "CREATE") {
    sorting.target = pb::RangeRequest::CREATE;
  } else if (target == "MODIFY") {
    sorting.target = pb::RangeRequest::MOD;
  } else if (target == "VALUE") {
    sorting.target = pb::RangeRequest::VALUE;
  } else if (target == "VERSION") {
    sorting.target = pb::RangeRequest::VERSION;
  } else if (!target.empty() && target != "KEY") {
    return BadFeature(fmt::format("bad sort target {}", flags.String("sort-by")));
  }
  // Ascending keys are what the server does anyway; asking for it would cost a sort and forbid
  // streaming.
  if (sorting.target == pb::RangeRequest::KEY && sorting.order == pb::RangeRequest::ASCEND) {
    sorting.order = pb::RangeRequest::NONE;
  }
  return sorting;
}

Status CheckFilter(std::string_view name, int64_t min, int64_t max) {
  if (min <= 0 || max <= 0 || min <= max) return OkStatus();
  return BadFeature(fmt::format("getMin{}Rev(={}) > getMax{}Rev(={})", name, min, name, max));
}

Status FoldRevisionFilters(const Flags& flags, pb::RangeRequest& request) {
  const auto positive = [&](std::string_view name) {
    return std::max<int64_t>(flags.Int(name), 0);
  };
  request.set_min_create_revision(positive("min-create-rev"));
  request.set_max_create_revision(positive("max-create-rev"));
  request.set_min_mod_revision(positive("min-mod-rev"));
  request.set_max_mod_revision(positive("max-mod-rev"));
  RETURN_IF_ERROR(
      CheckFilter("Create", request.min_create_revision(), request.max_create_revision()));
  return CheckFilter("Mod", request.min_mod_revision(), request.max_mod_revision());
}

}  // namespace

StatusOr<bool> IsSerializable(const Flags& flags) {
  const std::string& consistency = flags.String("consistency");
  if (consistency == "s") return true;
  if (consistency == "l") return false;
  return BadFeature(fmt::format("unknown consistency flag {}", Quote(consistency)));
}

StatusOr<pb::RangeRequest> MakeRangeRequest(const Flags& flags,
                                            std::span<const std::string> arguments) {
  if (arguments.empty()) {
    return BadArguments(
        "get command needs one argument as key and an optional argument as range_end");
  }
  if (flags.Bool("prefix") && flags.Bool("from-key")) return BadArguments(kPrefixOrFromKey);
  if (flags.Bool("keys-only") && flags.Bool("count-only")) {
    return BadArguments(
        "`--keys-only` and `--count-only` cannot be set at the same time, choose one");
  }
  pb::RangeRequest request;
  ASSIGN_OR_RETURN(const bool serializable, IsSerializable(flags));
  request.set_serializable(serializable);
  ASSIGN_OR_RETURN(KeyRange range, FoldKeyRange(flags, arguments));
  request.set_key(std::move(range.key));
  request.set_range_end(std::move(range.end));
  request.set_limit(flags.Int("limit"));
  request.set_revision(std::max<int64_t>(flags.Int("rev"), 0));
  ASSIGN_OR_RETURN(const Sorting sorting, FoldSorting(flags));
  request.set_sort_order(sorting.order);
  request.set_sort_target(sorting.target);
  request.set_keys_only(flags.Bool("keys-only"));
  request.set_count_only(flags.Bool("count-only"));
  RETURN_IF_ERROR(FoldRevisionFilters(flags, request));
  return request;
}

namespace {

// Up to the end, or to where it cannot be read: iterators over the buffer would throw there.
std::string ReadAll(std::istream& in) {
  std::string all;
  for (char piece[4096]; in.read(piece, sizeof piece) || in.gcount() > 0;)
    all.append(piece, static_cast<size_t>(in.gcount()));
  return in.bad() ? std::string() : all;
}

}  // namespace

StatusOr<pb::PutRequest> MakePutRequest(const Flags& flags, std::span<const std::string> arguments,
                                        std::istream* value_source) {
  constexpr std::string_view kUsage =
      "put command needs 1 argument and input from stdin or 2 arguments";
  if (arguments.empty()) return BadArguments(kUsage);
  pb::PutRequest request;
  request.set_key(arguments[0]);
  request.set_ignore_value(flags.Bool("ignore-value"));
  request.set_ignore_lease(flags.Bool("ignore-lease"));
  request.set_prev_kv(flags.Bool("prev-kv"));
  if (request.ignore_value() && arguments.size() > 1) {
    return BadArguments("put command needs only 1 argument when 'ignore-value' is set");
  }
  if (arguments.size() > 1) {
    request.set_value(arguments[1]);
  } else if (!request.ignore_value()) {
    if (value_source == nullptr) return BadArguments(kUsage);
    std::string value = ReadAll(*value_source);
    if (value.empty()) return BadArguments(kUsage);
    request.set_value(std::move(value));
  }
  const StatusOr<int64_t> lease = ParseInt(flags.String("lease"), 16);
  if (!lease.ok()) {
    return BadArguments(
        fmt::format("bad lease ID ({}), expecting ID in Hex", Message(lease.status())));
  }
  request.set_lease(*lease);
  return request;
}

StatusOr<pb::DeleteRangeRequest> MakeDeleteRequest(const Flags& flags,
                                                   std::span<const std::string> arguments) {
  if (arguments.empty() || arguments.size() > 2) {
    return BadArguments(
        "del command needs one argument as key and an optional argument as range_end");
  }
  if (flags.Bool("prefix") && flags.Bool("from-key")) return BadArguments(kPrefixOrFromKey);
  pb::DeleteRangeRequest request;
  ASSIGN_OR_RETURN(KeyRange range, FoldKeyRange(flags, arguments));
  request.set_key(std::move(range.key));
  request.set_range_end(std::move(range.end));
  request.set_prev_kv(flags.Bool("prev-kv"));
  return request;
}

bool NeedsDeleteWarning(const Flags& flags, std::span<const std::string> arguments) {
  return arguments.size() == 2 && !flags.Bool("range");
}

std::string DeleteWarning(std::span<const std::string> arguments) {
  return fmt::format(
      "Warning: Keys between {} and {} will be deleted. Please interrupt the command within next 2 "
      "seconds to cancel. "
      "You can provide `--range` flag to avoid the warning.\n",
      Quote(arguments[0]), Quote(arguments[1]));
}

}  // namespace quoin::ctl

// Requests about keys, folded from flags and arguments. `get`, `put` and `del` use this, and so do
// the lines of a transaction.
//
// An error's code tells the exit code: InvalidArgument → 128, Unimplemented → 4 (a flag's value
// that does not exist).
//
// Thread: any; pure functions.
#pragma once

#include <iosfwd>
#include <span>
#include <string>

#include "base/status.h"
#include "ctl/text.h"
#include "proto/rpc.pb.h"

namespace quoin::ctl {

StatusOr<etcdserverpb::RangeRequest> MakeRangeRequest(const Flags& flags,
                                                      std::span<const std::string> arguments);

// `value_source` gives the value when no argument does; nullptr where there is none.
StatusOr<etcdserverpb::PutRequest> MakePutRequest(const Flags& flags,
                                                  std::span<const std::string> arguments,
                                                  std::istream* value_source);

StatusOr<etcdserverpb::DeleteRangeRequest> MakeDeleteRequest(
    const Flags& flags, std::span<const std::string> arguments);
// `del key range_end` without --range: the user is warned and has two seconds to think.
bool NeedsDeleteWarning(const Flags& flags, std::span<const std::string> arguments);
std::string DeleteWarning(std::span<const std::string> arguments);

// --consistency: true for "s", false for "l".
StatusOr<bool> IsSerializable(const Flags& flags);

}  // namespace quoin::ctl

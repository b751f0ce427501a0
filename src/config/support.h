// What this release has not built, and what it does when it is asked for it. Private to config/.
#pragma once

#include <string_view>

#include "base/status.h"
#include "config/draft.h"

namespace quoin::config {

inline constexpr std::string_view kAdvertiseUrlsMissing =
    "--advertise-client-urls is required when --listen-client-urls is set explicitly";

// Refuses values whose neglect would weaken security or change what the server means; names the
// other unbuilt ones in one warning. The flag table says which are which; values of flags that are
// built in part are looked at here.
Status CheckSupport(Draft& draft);

}  // namespace quoin::config

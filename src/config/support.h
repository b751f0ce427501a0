// What this release has not built, and what it does when it is asked for it. Private to config/.
#pragma once

#include "base/status.h"
#include "config/draft.h"

namespace quoin::config {

// Refuses what would make the server less safe, or another one, if it were passed over. What else
// has no effect is named in one warning. The flag table says this of whole flags; single values
// (TLS URLs, tokens, gates, outputs) are looked at here. Adds etcd's warnings of deprecated flags
// and of TLS files beside http URLs.
Status CheckSupport(Draft& draft);

}  // namespace quoin::config

// The machine's own address, for members that listen on 0.0.0.0 and advertise nothing. Private to
// config/.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "env/blocking.h"

namespace quoin::config {

// The IPv4 address of the interface that the default route leaves by, read from /proc/net/route and
// /proc/net/fib_trie. NotFound when there is no default route.
StatusOr<std::string> DefaultHost(env::BlockingFileSystem& files);

// The same from the two files' texts.
StatusOr<std::string> DefaultHostOf(std::string_view route, std::string_view fib_trie);

}  // namespace quoin::config

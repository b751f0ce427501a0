// The flags of get, put and del, on the command line and in the lines of a transaction.
#pragma once

#include "ctl/text.h"

namespace quoin::ctl {

inline constexpr FlagSpec kGetFlags[] = {
    {"consistency", FlagType::kString, "l",
     "linearizable (l), or serializable (s) and perhaps stale"},
    {"order", FlagType::kString, "", "order of the results: ASCEND or DESCEND"},
    {"sort-by", FlagType::kString, "", "what to sort by: CREATE, KEY, MODIFY, VALUE or VERSION"},
    {"limit", FlagType::kInt, "0", "at most so many results; 0 = all"},
    {"prefix", FlagType::kBool, "", "all keys that start with <key>"},
    {"from-key", FlagType::kBool, "", "all keys at or after <key>, in byte order"},
    {"rev", FlagType::kInt, "0", "as of this revision; 0 = now"},
    {"keys-only", FlagType::kBool, "", "keys without values"},
    {"count-only", FlagType::kBool, "", "only the number of keys (needs --write-out=fields)"},
    {"print-value-only", FlagType::kBool, "", "values without keys (needs --write-out=simple)"},
    {"min-create-rev", FlagType::kInt, "0", "leave out keys created before this revision"},
    {"max-create-rev", FlagType::kInt, "0", "leave out keys created after this revision"},
    {"min-mod-rev", FlagType::kInt, "0", "leave out keys last changed before this revision"},
    {"max-mod-rev", FlagType::kInt, "0", "leave out keys last changed after this revision"},
    {"stream", FlagType::kBool, "",
     "let the server send the answer in parts (for very large ranges)"},
};

inline constexpr FlagSpec kPutFlags[] = {
    {"lease", FlagType::kString, "0", "attach the key to this lease (hexadecimal id)"},
    {"prev-kv", FlagType::kBool, "", "show the pair as it was before"},
    {"ignore-value", FlagType::kBool, "", "keep the key's value (it must exist)"},
    {"ignore-lease", FlagType::kBool, "", "keep the key's lease (the key must exist)"},
};

inline constexpr FlagSpec kDeleteFlags[] = {
    {"prefix", FlagType::kBool, "", "all keys that start with <key>"},
    {"prev-kv", FlagType::kBool, "", "show what is deleted"},
    {"from-key", FlagType::kBool, "", "all keys at or after <key>, in byte order"},
    {"range", FlagType::kBool, "", "delete [key, range_end) without asking for patience"},
};

}  // namespace quoin::ctl

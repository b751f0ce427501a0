// What this release is, and whose contract it keeps.
//
// Thread: any; constants.
#pragma once

namespace quoin {

inline constexpr char kQuoinVersion[] = "0.1.0";
inline constexpr char kEtcdVersion[] = "3.7.1";  // whose contract, commands and output these are
inline constexpr char kApiVersion[] = "3.7";

}  // namespace quoin

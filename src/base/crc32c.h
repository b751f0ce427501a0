// CRC-32C (Castagnoli), as the WAL, .snap files and the KV hash use it.
//
// Thread: any.
#pragma once

#include <cstdint>
#include <string_view>

namespace quoin {

// The CRC of what `crc` covered followed by `data`; start with 0. Crc32c(Crc32c(0, a), b) ==
// Crc32c(0, a + b).
uint32_t Crc32c(uint32_t crc, std::string_view data);

}  // namespace quoin

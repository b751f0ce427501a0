// Meta pages: pages 0 and 1, which name the root of a durable state.
//
//   meta := magic u32, version u32, page size u32, flags u32, root u64, sequence u64, freelist u64,
//   high water u64,
//           txid u64, checksum u64 (FNV-1a 64 of the 56 bytes before it)          at offset 16 of
//           its page
//
// Value type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "btree/page.h"

namespace quoin::btree {

inline constexpr size_t kMetaBytes = 64;

struct Meta {
  uint32_t page_size = 0;
  PageId root = 0;
  PageId high_water = 0;
  uint64_t txid = 0;
  PageId freelist = UINT64_MAX;  // all ones: not persisted

  // A whole page image for page `id`.
  std::string Encode(PageId id) const;
  // `page` points at the page's first byte, with at least kPageHeaderBytes + kMetaBytes readable.
  // nullopt when magic, version, checksum or page size are wrong.
  static std::optional<Meta> Decode(const char* page);
};

}  // namespace quoin::btree

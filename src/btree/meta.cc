#include "btree/meta.h"

namespace quoin::btree {
namespace {

constexpr uint32_t kMagic = 0xED0CDAED;
constexpr uint32_t kVersion = 2;
constexpr size_t kChecksumAt = 56;

uint64_t Fnv1a(const char* data, size_t size) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < size; ++i) {
    hash ^= static_cast<unsigned char>(data[i]);
    hash *= 1099511628211u;
  }
  return hash;
}

bool IsPageSize(uint32_t size) {
  return size >= kPageSizeMin && size <= kPageSizeMax && (size & (size - 1)) == 0;
}

}  // namespace

std::string Meta::Encode(PageId id) const {
  std::string page(page_size, '\0');
  Store<uint64_t>(page.data(), id);
  Store<uint16_t>(page.data() + 8, kMetaFlag);
  char* meta = page.data() + kPageHeaderBytes;
  Store<uint32_t>(meta, kMagic);
  Store<uint32_t>(meta + 4, kVersion);
  Store<uint32_t>(meta + 8, page_size);
  Store<uint64_t>(meta + 16, root);
  Store<uint64_t>(meta + 32, freelist);
  Store<uint64_t>(meta + 40, high_water);
  Store<uint64_t>(meta + 48, txid);
  Store<uint64_t>(meta + kChecksumAt, Fnv1a(meta, kChecksumAt));
  return page;
}

std::optional<Meta> Meta::Decode(const char* page) {
  const char* meta = page + kPageHeaderBytes;
  if (Load<uint32_t>(meta) != kMagic || Load<uint32_t>(meta + 4) != kVersion) return std::nullopt;
  if (Load<uint64_t>(meta + kChecksumAt) != Fnv1a(meta, kChecksumAt)) return std::nullopt;
  Meta out;
  out.page_size = Load<uint32_t>(meta + 8);
  out.root = Load<uint64_t>(meta + 16);
  out.freelist = Load<uint64_t>(meta + 32);
  out.high_water = Load<uint64_t>(meta + 40);
  out.txid = Load<uint64_t>(meta + 48);
  if (!IsPageSize(out.page_size)) return std::nullopt;
  return out;
}

}  // namespace quoin::btree

#include "base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace quoin {
namespace {

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c & 1) != 0 ? 0x82f63b78u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = MakeTable();

uint32_t Portable(uint32_t state, std::string_view data) {
  for (unsigned char byte : data) state = kTable[(state ^ byte) & 0xff] ^ (state >> 8);
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t Hardware(uint32_t state, std::string_view data) {
  const char* p = data.data();
  size_t n = data.size();
  uint64_t wide = state;
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  state = static_cast<uint32_t>(wide);
  for (; n != 0; --n, ++p) state = _mm_crc32_u8(state, static_cast<unsigned char>(*p));
  return state;
}
#endif

using Update = uint32_t (*)(uint32_t, std::string_view);
Update Choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return Hardware;
#endif
  return Portable;
}

}  // namespace

uint32_t Crc32c(uint32_t crc, std::string_view data) {
  static const Update update = Choose();
  return ~update(~crc, data);
}

}  // namespace quoin

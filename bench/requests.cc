#include "bench/requests.h"

#include "bench/wire.h"

namespace quoin::bench {
namespace {

constexpr size_t kNoiseBytes = 1 << 16;
constexpr std::string_view kKeyStart = "bench/";
constexpr size_t kKeyDigits = 12;

void AppendKey(std::string& out, uint64_t number) {
  out += static_cast<char>(1 << 3 | 2);  // field 1, bytes, in both requests
  out += static_cast<char>(kKeyStart.size() + kKeyDigits);
  out += kKeyStart;
  const size_t start = out.size();
  out.append(kKeyDigits, '0');
  for (size_t i = kKeyDigits; i > 0 && number > 0; --i, number /= 10)
    out[start + i - 1] = static_cast<char>('0' + number % 10);
}

}  // namespace

std::optional<Load::Mode> ParseMode(std::string_view text) {
  if (text == "put") return Load::Mode::kPut;
  if (text == "range") return Load::Mode::kRange;
  if (text == "mixed") return Load::Mode::kMixed;
  if (text == "fill") return Load::Mode::kFill;
  return std::nullopt;
}

RequestSource::RequestSource(const Load& load) : load_(load), random_state_(load.seed * 2 + 1) {
  noise_.resize(kNoiseBytes + load.value_bytes);
  for (char& c : noise_) c = static_cast<char>(Random() >> 56);
}

uint64_t RequestSource::Random() {  // splitmix64
  uint64_t z = random_state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

std::optional<Kind> RequestSource::Next(std::string& out) {
  const uint64_t random = Random();
  Kind kind = load_.mode == Load::Mode::kRange ? Kind::kRange : Kind::kPut;
  if (load_.mode == Load::Mode::kMixed) {
    kind = static_cast<double>(random >> 40) < load_.read_share * static_cast<double>(1 << 24)
               ? Kind::kRange
               : Kind::kPut;
  }
  uint64_t key = Random() % load_.keys;
  if (load_.mode == Load::Mode::kFill) {
    if (next_fill_ == load_.keys) return std::nullopt;
    key = next_fill_++;
  }
  const size_t start = out.size();
  out.append(5, '\0');
  AppendKey(out, key);
  if (kind == Kind::kPut) {
    out += static_cast<char>(2 << 3 | 2);
    AppendVarint(out, load_.value_bytes);
    out.append(noise_, random % kNoiseBytes, load_.value_bytes);
  } else if (load_.serializable) {
    out += static_cast<char>(7 << 3);
    out += '\1';
  }
  const size_t length = out.size() - start - 5;
  for (size_t i = 0; i < 4; ++i) out[start + 1 + i] = static_cast<char>(length >> (24 - 8 * i));
  return kind;
}

}  // namespace quoin::bench

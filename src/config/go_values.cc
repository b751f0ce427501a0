#include "config/go_values.h"

#include <array>
#include <charconv>
#include <utility>

#include "config/text.h"

namespace quoin::config {
namespace {

struct Unit {
  std::string_view name;
  uint64_t nanoseconds;
};
constexpr std::array<Unit, 8> kUnits = {{{"ns", 1},
                                         {"us", 1'000},
                                         {"µs", 1'000},
                                         {"μs", 1'000},
                                         {"ms", 1'000'000},
                                         {"s", 1'000'000'000},
                                         {"m", 60'000'000'000},
                                         {"h", 3'600'000'000'000}}};

const Unit* FindUnit(std::string_view name) {
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

constexpr uint64_t kMagnitudeMax = uint64_t{1} << 63;

// The digits at the head of `text` as a number; nullopt when it passes 2^63. Eats them.
std::optional<uint64_t> EatWhole(std::string_view& text) {
  uint64_t value = 0;
  while (!text.empty() && IsDigit(text.front())) {
    if (value > kMagnitudeMax / 10) return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(text.front() - '0');
    if (value > kMagnitudeMax) return std::nullopt;
    text.remove_prefix(1);
  }
  return value;
}

// The digits after a point: their value and the power of ten that divides it. Digits beyond the
// precision of 2^63 are eaten and dropped, as Go does.
std::pair<uint64_t, double> EatFraction(std::string_view& text) {
  uint64_t value = 0;
  double scale = 1;
  bool full = false;
  while (!text.empty() && IsDigit(text.front())) {
    if (!full && value <= (kMagnitudeMax - 1) / 10) {
      uint64_t next = value * 10 + static_cast<uint64_t>(text.front() - '0');
      if (next <= kMagnitudeMax) {
        value = next;
        scale *= 10;
      } else {
        full = true;
      }
    } else {
      full = true;
    }
    text.remove_prefix(1);
  }
  return {value, scale};
}

Status InvalidDuration(std::string_view text) {
  return Invalid(Cat("time: invalid duration ", Quote(text)));
}

// One "12.5ms" at the head of `rest`, in nanoseconds. `text` is the whole, for messages.
StatusOr<uint64_t> EatComponent(std::string_view& rest, std::string_view text) {
  if (rest.front() != '.' && !IsDigit(rest.front())) return InvalidDuration(text);
  size_t before = rest.size();
  std::optional<uint64_t> whole = EatWhole(rest);
  if (!whole) return InvalidDuration(text);
  bool digits = rest.size() != before;
  std::pair<uint64_t, double> fraction{0, 1};
  if (!rest.empty() && rest.front() == '.') {
    rest.remove_prefix(1);
    before = rest.size();
    fraction = EatFraction(rest);
    digits = digits || rest.size() != before;
  }
  if (!digits) return InvalidDuration(text);
  size_t length = 0;
  while (length < rest.size() && rest[length] != '.' && !IsDigit(rest[length])) ++length;
  if (length == 0) {
    return Invalid(Cat("time: missing unit in duration ", Quote(text)));
  }
  const Unit* unit = FindUnit(rest.substr(0, length));
  if (unit == nullptr) {
    return Invalid(
        Cat("time: unknown unit ", Quote(rest.substr(0, length)), " in duration ", Quote(text)));
  }
  rest.remove_prefix(length);
  if (*whole > kMagnitudeMax / unit->nanoseconds) return InvalidDuration(text);
  uint64_t value = *whole * unit->nanoseconds;
  value += static_cast<uint64_t>(static_cast<double>(fraction.first) *
                                 (static_cast<double>(unit->nanoseconds) / fraction.second));
  if (value > kMagnitudeMax) return InvalidDuration(text);
  return value;
}

// `value` in units of 10^digits nanoseconds, with the decimals that are not zero: "1.5".
std::string Decimal(uint64_t value, int digits) {
  uint64_t divisor = 1;
  for (int i = 0; i < digits; ++i) divisor *= 10;
  std::string out = Cat(value / divisor);
  uint64_t rest = value % divisor;
  if (rest == 0) return out;
  std::string decimals = Cat(rest);
  decimals.insert(0, static_cast<size_t>(digits) - decimals.size(), '0');
  while (decimals.back() == '0') decimals.pop_back();
  return Cat(out, ".", decimals);
}

// Whether underscores in `digits` stand only between digits (or right after a base prefix).
bool UnderscoresFit(std::string_view digits, bool after_prefix) {
  char previous = after_prefix ? '0' : '_';
  for (char c : digits) {
    if (c == '_' && previous == '_') return false;
    previous = c;
  }
  return previous != '_';
}

int DigitValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

struct Radix {
  unsigned base = 10;
  std::string_view digits;
  bool prefix = false;
};

Radix SplitRadix(std::string_view text) {
  if (text.size() < 2 || text[0] != '0') return {10, text, false};
  switch (text[1]) {
    case 'x':
    case 'X':
      return {16, text.substr(2), true};
    case 'o':
    case 'O':
      return {8, text.substr(2), true};
    case 'b':
    case 'B':
      return {2, text.substr(2), true};
    default:
      return {8, text.substr(1), true};
  }
}

Number<uint64_t> ParseMagnitude(std::string_view text, uint64_t limit) {
  Number<uint64_t> out;
  Radix radix = SplitRadix(text);
  if (radix.digits.empty() || !UnderscoresFit(radix.digits, radix.prefix)) {
    out.error = NumberError::kSyntax;
    return out;
  }
  bool overflow = false;
  for (char c : radix.digits) {
    if (c == '_') continue;
    auto digit = static_cast<unsigned>(DigitValue(c));
    if (digit >= radix.base) {
      out.error = NumberError::kSyntax;
      return out;
    }
    if (overflow || out.value > (limit - digit) / radix.base || digit > limit) {
      overflow = true;
    } else {
      out.value = out.value * radix.base + digit;
    }
  }
  if (overflow) out.error = NumberError::kRange;
  return out;
}

}  // namespace

StatusOr<env::Duration> ParseDuration(std::string_view text) {
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) {
    negative = rest.front() == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return env::Duration(0);
  if (rest.empty()) return InvalidDuration(text);
  uint64_t total = 0;
  while (!rest.empty()) {
    ASSIGN_OR_RETURN(uint64_t part, EatComponent(rest, text));
    total += part;
    if (total > kMagnitudeMax) return InvalidDuration(text);
  }
  if (negative) return env::Duration(static_cast<int64_t>(-total));
  if (total > kMagnitudeMax - 1) return InvalidDuration(text);
  return env::Duration(static_cast<int64_t>(total));
}

std::string FormatDuration(env::Duration duration) {
  int64_t count = duration.count();
  if (count == 0) return "0s";
  auto value = static_cast<uint64_t>(count);
  std::string sign;
  if (count < 0) {
    value = -value;
    sign = "-";
  }
  if (value < 1'000) return Cat(sign, value, "ns");
  if (value < 1'000'000) return Cat(sign, Decimal(value, 3), "µs");
  if (value < 1'000'000'000) return Cat(sign, Decimal(value, 6), "ms");
  uint64_t minutes = value / 60'000'000'000;
  std::string seconds = Cat(Decimal(value % 60'000'000'000, 9), "s");
  if (minutes == 0) return Cat(sign, seconds);
  if (minutes < 60) return Cat(sign, minutes, "m", seconds);
  return Cat(sign, minutes / 60, "h", minutes % 60, "m", seconds);
}

std::optional<bool> ParseBool(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

Number<int64_t> ParseInt(std::string_view text) {
  bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  Number<uint64_t> magnitude = ParseMagnitude(text, negative ? kMagnitudeMax : kMagnitudeMax - 1);
  return {static_cast<int64_t>(negative ? -magnitude.value : magnitude.value), magnitude.error};
}

Number<uint64_t> ParseUint(std::string_view text, int bits) {
  return ParseMagnitude(text, bits >= 64 ? UINT64_MAX : (uint64_t{1} << bits) - 1);
}

std::string Quote(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    size_t escape = std::string_view("\a\b\f\n\r\t\v\"\\").find(c);
    if (escape != std::string_view::npos && c != '\0') {
      out += '\\';
      out += "abfnrtv\"\\"[escape];
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (&part != &parts.front()) out += separator;
    out += part;
  }
  return out;
}

std::string_view TrimSpace(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::vector<std::string> Fields(std::string_view text) {
  std::vector<std::string> fields;
  for (text = TrimSpace(text); !text.empty(); text = TrimSpace(text)) {
    size_t end = text.find_first_of(" \t\n\v\f\r");
    fields.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? "" : text.substr(end);
  }
  return fields;
}

std::optional<int64_t> ParseDecimal(std::string_view text) {
  if (!text.empty() && text.front() == '+') {
    text.remove_prefix(1);
    if (!text.empty() && text.front() == '-') return std::nullopt;
  }
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string ToLower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string ToUpper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

}  // namespace quoin::config

#include "cli/go_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>

namespace quoin::cli {
namespace {

struct CharacterRange {
  char32_t first;
  char32_t last;
};

// Above ASCII: separators, controls, format characters, surrogates, private use and noncharacters,
// in order. Characters that Unicode has not assigned yet count as printable here; Go's tables lag
// behind it in the same way.
constexpr CharacterRange kUnprintable[] = {
    {0x80, 0xa0},       {0xad, 0xad},       {0x600, 0x605},     {0x61c, 0x61c},
    {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},
    {0x1680, 0x1680},   {0x180e, 0x180e},   {0x2000, 0x200f},   {0x2028, 0x202f},
    {0x205f, 0x206f},   {0x3000, 0x3000},   {0xd800, 0xf8ff},   {0xfdd0, 0xfdef},
    {0xfeff, 0xfeff},   {0xfff0, 0xfffb},   {0xfffe, 0xffff},   {0x110bd, 0x110bd},
    {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
    {0x1fffe, 0x1ffff}, {0x2fffe, 0x2ffff}, {0x3fffe, 0xe00ff}, {0xefffe, 0x10ffff},
};

bool IsPrintable(char32_t c) {
  if (c < 0x80) return c >= 0x20 && c < 0x7f;
  const auto* range =
      std::lower_bound(std::begin(kUnprintable), std::end(kUnprintable), c,
                       [](const CharacterRange& r, char32_t wanted) { return r.last < wanted; });
  return range == std::end(kUnprintable) || c < range->first;
}

// The letter of a one-letter escape, or 0.
char ShortEscape(char32_t c) {
  switch (c) {
    case '\a':
      return 'a';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\v':
      return 'v';
    case '"':
      return '"';
    case '\\':
      return '\\';
    default:
      return 0;
  }
}

void AppendUtf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

// `count` digits of `base` from the front of `input`; false when there are fewer.
bool TakeDigits(std::string_view& input, size_t count, int base, uint32_t& value) {
  if (input.size() < count) return false;
  value = 0;
  for (char c : input.substr(0, count)) {
    if (DigitValue(c) >= base) return false;
    value = value * static_cast<uint32_t>(base) + static_cast<uint32_t>(DigitValue(c));
  }
  input.remove_prefix(count);
  return true;
}

// The rest of an escape whose backslash has been read.
bool TakeEscape(std::string_view& input, std::string& out) {
  if (input.empty()) return false;
  const char letter = input.front();
  uint32_t value = 0;
  if (letter >= '0' && letter <= '7') {
    if (!TakeDigits(input, 3, 8, value) || value > 255) return false;
    out += static_cast<char>(value);
    return true;
  }
  input.remove_prefix(1);
  for (char32_t c : {'\a', '\b', '\f', '\n', '\r', '\t', '\v', '"', '\\'}) {
    if (ShortEscape(c) == letter) {
      out += static_cast<char>(c);
      return true;
    }
  }
  if (letter == 'x') {
    if (!TakeDigits(input, 2, 16, value)) return false;
    out += static_cast<char>(value);
    return true;
  }
  if (letter != 'u' && letter != 'U') return false;
  if (!TakeDigits(input, letter == 'u' ? 4 : 8, 16, value)) return false;
  if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return false;
  AppendUtf8(out, value);
  return true;
}

Status ParseError(std::string_view function, std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      fmt::format("strconv.{}: parsing {}: {}", function, Quote(text), why));
}

struct Magnitude {
  uint64_t value = 0;
  bool valid = false;
  bool overflow = false;
};

// An unsigned number without sign.
Magnitude ParseMagnitude(std::string_view digits, int base) {
  bool underscores = false;
  if (base == 0) {
    base = 10;
    underscores = true;
    if (digits.size() > 1 && digits[0] == '0') {
      const char letter = static_cast<char>(digits[1] | 0x20);
      base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
      digits.remove_prefix(letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1);
    }
  }
  Magnitude result;
  if (digits.empty()) return result;
  for (char c : digits) {
    if (underscores && c == '_') continue;
    if (DigitValue(c) >= base) return result;
    uint64_t next = 0;
    if (__builtin_mul_overflow(result.value, static_cast<uint64_t>(base), &next) ||
        __builtin_add_overflow(next, static_cast<uint64_t>(DigitValue(c)), &result.value)) {
      result.overflow = true;
      result.value = 0;
    }
  }
  result.valid = true;
  return result;
}

struct DurationUnit {
  std::string_view name;
  double nanoseconds;
};

constexpr DurationUnit kDurationUnits[] = {
    {"ns", 1},   {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"\xce\xbcs", 1e3},
    {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},        {"h", 3600e9},
};

// "12.5" from the front; false when there is no digit at all.
bool TakeDecimal(std::string_view& input, double& value) {
  value = 0;
  double scale = 0;
  bool digits = false;
  while (!input.empty() &&
         (DigitValue(input.front()) < 10 || (input.front() == '.' && scale == 0))) {
    if (input.front() == '.') {
      scale = 1;
    } else {
      digits = true;
      value = value * 10 + DigitValue(input.front());
      scale *= 10;
    }
    input.remove_prefix(1);
  }
  if (scale > 1) value /= scale;
  return digits;
}

// A decimal fraction of `unit`, without trailing zeros.
std::string Fraction(uint64_t nanoseconds, uint64_t unit) {
  std::string text = fmt::format("{}", nanoseconds / unit);
  std::string rest = fmt::format("{:0{}}", nanoseconds % unit, fmt::format("{}", unit).size() - 1);
  rest.erase(rest.find_last_not_of('0') + 1);
  if (!rest.empty()) text += "." + rest;
  return text;
}

std::string DateAndTime(std::chrono::seconds since_epoch) {
  const auto days = std::chrono::floor<std::chrono::days>(since_epoch);
  const std::chrono::year_month_day date{std::chrono::sys_days(days)};
  const std::chrono::hh_mm_ss time(since_epoch - days);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

}  // namespace

size_t DecodeUtf8(std::string_view text, char32_t& character) {
  if (text.empty()) return 0;
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) {
    character = byte(0);
    return 1;
  }
  const size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) return 0;
  character = byte(0) & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    character = (character << 6) | (byte(i) & 0x3f);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = character >= 0xd800 && character < 0xe000;
  return character < kSmallest[length] || character > 0x10ffff || surrogate ? 0 : length;
}

std::string Quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    char32_t c = 0;
    const size_t length = DecodeUtf8(text, c);
    if (length == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
      continue;
    }
    if (char letter = ShortEscape(c); letter != 0) {
      out += '\\';
      out += letter;
    } else if (IsPrintable(c)) {
      out += text.substr(0, length);
    } else if (c < 0x80) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
    text.remove_prefix(length);
  }
  return out + '"';
}

StatusOr<std::string> TakeQuoted(std::string_view& input) {
  if (input.empty() || (input.front() != '"' && input.front() != '`')) {
    return absl::InvalidArgumentError("expected quoted string");
  }
  if (input.front() == '`') {
    const size_t end = input.find('`', 1);
    if (end == std::string_view::npos) return absl::InvalidArgumentError("unexpected EOF");
    std::string raw(input.substr(1, end - 1));
    input.remove_prefix(end + 1);
    return raw;
  }
  std::string out;
  input.remove_prefix(1);
  while (!input.empty()) {
    const char c = input.front();
    input.remove_prefix(1);
    if (c == '"') return out;
    if (c != '\\') {
      out += c;
    } else if (!TakeEscape(input, out)) {
      return absl::InvalidArgumentError("invalid syntax");
    }
  }
  return absl::InvalidArgumentError("unexpected EOF");
}

std::string HexEscaped(std::string_view bytes) {
  std::string out;
  for (unsigned char c : bytes) out += fmt::format("\\x{:02x}", c);
  return out;
}

StatusOr<int64_t> ParseInt(std::string_view text, int base) {
  std::string_view digits = text;
  const bool negative = !digits.empty() && digits.front() == '-';
  if (!digits.empty() && (digits.front() == '-' || digits.front() == '+')) digits.remove_prefix(1);
  const Magnitude magnitude = ParseMagnitude(digits, base);
  if (!magnitude.valid) return ParseError("ParseInt", text, "invalid syntax");
  const uint64_t limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) + negative;
  if (magnitude.overflow || magnitude.value > limit) {
    return ParseError("ParseInt", text, "value out of range");
  }
  return static_cast<int64_t>(negative ? -magnitude.value : magnitude.value);
}

StatusOr<uint64_t> ParseUint(std::string_view text, int base) {
  const Magnitude magnitude = ParseMagnitude(text, base);
  if (!magnitude.valid) return ParseError("ParseUint", text, "invalid syntax");
  if (magnitude.overflow) return ParseError("ParseUint", text, "value out of range");
  return magnitude.value;
}

StatusOr<bool> ParseBool(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return ParseError("ParseBool", text, "invalid syntax");
}

StatusOr<env::Duration> ParseDuration(std::string_view text) {
  const auto error = [&](std::string_view what) {
    return absl::InvalidArgumentError(fmt::format("time: {} duration {}", what, Quote(text)));
  };
  std::string_view rest = text;
  const bool negative = !rest.empty() && rest.front() == '-';
  if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) rest.remove_prefix(1);
  if (rest == "0") return env::Duration(0);
  if (rest.empty()) return error("invalid");
  double total = 0;
  while (!rest.empty()) {
    double value = 0;
    if (!TakeDecimal(rest, value)) return error("invalid");
    const std::string_view name =
        rest.substr(0, std::min(rest.size(), rest.find_first_of(".0123456789")));
    if (name.empty()) return error("missing unit in");
    const auto* unit = std::find_if(std::begin(kDurationUnits), std::end(kDurationUnits),
                                    [&](const DurationUnit& u) { return u.name == name; });
    if (unit == std::end(kDurationUnits))
      return error(fmt::format("unknown unit {} in", Quote(name)));
    total += value * unit->nanoseconds;
    if (total > 9.2e18) return error("invalid");
    rest.remove_prefix(name.size());
  }
  return env::Duration(std::llround(negative ? -total : total));
}

std::string FormatDuration(env::Duration duration) {
  if (duration.count() == 0) return "0s";
  const std::string sign = duration.count() < 0 ? "-" : "";
  const uint64_t ns = duration.count() < 0 ? -static_cast<uint64_t>(duration.count())
                                           : static_cast<uint64_t>(duration.count());
  if (ns < 1000) return fmt::format("{}{}ns", sign, ns);
  if (ns < 1000000) return sign + Fraction(ns, 1000) + "\xc2\xb5s";
  if (ns < 1000000000) return sign + Fraction(ns, 1000000) + "ms";
  const uint64_t minutes = ns / 60000000000;
  std::string text = Fraction(ns % 60000000000, 1000000000) + "s";
  if (minutes > 0) text = fmt::format("{}m{}", minutes % 60, text);
  if (minutes >= 60) text = fmt::format("{}h{}", minutes / 60, text);
  return sign + text;
}

std::string Timestamp(std::chrono::seconds since_epoch) { return DateAndTime(since_epoch) + "Z"; }

std::string Timestamp(std::chrono::milliseconds since_epoch) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  return fmt::format("{}.{:03}Z", DateAndTime(seconds), (since_epoch - seconds).count());
}

std::string HumanBytes(uint64_t bytes) {
  constexpr std::array<std::string_view, 7> kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 10) return fmt::format("{} B", bytes);
  size_t unit = 0;
  double scale = 1;
  while (unit + 1 < kUnits.size() && static_cast<double>(bytes) >= scale * 1000) {
    scale *= 1000;
    ++unit;
  }
  const double value = std::floor(static_cast<double>(bytes) / scale * 10 + 0.5) / 10;
  return value < 10 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                    : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
    }
    for (size_t j = 0; j < 4; ++j) {
      out += i + j > bytes.size() ? '=' : kAlphabet[(group >> (18 - 6 * j)) & 63];
    }
  }
  return out;
}

}  // namespace quoin::cli

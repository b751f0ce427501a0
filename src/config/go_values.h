// Values as Go writes them: what flags, environment and messages of etcd share. Free functions, no
// state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "env/clock.h"

namespace quoin::config {

// time.ParseDuration: "1h30m", "100ms", "-1.5s", "0". Errors are Go's texts:
// `time: invalid duration "x"`, `time: missing unit in duration "5"`, `time: unknown unit "q" in
// duration "5q"`.
StatusOr<env::Duration> ParseDuration(std::string_view text);
// time.Duration.String: "1h30m0s", "100ms", "1.5µs", "0s".
std::string FormatDuration(env::Duration duration);

// strconv.ParseBool: 1 t T TRUE true True and their opposites.
std::optional<bool> ParseBool(std::string_view text);

enum class NumberError : uint8_t { kSyntax, kRange };
template <typename T>
struct Number {
  T value = 0;
  std::optional<NumberError> error;
};
// strconv.ParseInt and ParseUint with base 0: 0x, 0o, 0b, a leading 0 means octal, underscores
// between digits.
Number<int64_t> ParseInt(std::string_view text);
Number<uint64_t> ParseUint(std::string_view text, int bits = 64);

// %q: in double quotes, with Go's escapes.
std::string Quote(std::string_view text);

// strings.Split: always at least one element.
std::vector<std::string> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view TrimSpace(std::string_view text);
// strings.Fields: what stands between blanks.
std::vector<std::string> Fields(std::string_view text);
// strconv.Atoi: an optional sign and decimal digits, nothing else.
std::optional<int64_t> ParseDecimal(std::string_view text);
bool IsDigit(char c);
bool IsLetter(char c);
std::string ToLower(std::string_view text);
std::string ToUpper(std::string_view text);

}  // namespace quoin::config

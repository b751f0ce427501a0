// Go's text forms: what scripts around etcdctl parse was printed by Go, so numbers, durations,
// quoted strings and sizes are read and written its way.
//
// Thread: any; pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "env/clock.h"

namespace quoin::cli {

// `%q`: double quotes, escapes for what is not printable, \xNN for bytes that are no UTF-8.
std::string Quote(std::string_view text);

// Reads one quoted string ("…" with escapes, or `…` raw) from the front of `input` and removes it.
StatusOr<std::string> TakeQuoted(std::string_view& input);

// `\x6b\x65`: how --hex shows keys and values.
std::string HexEscaped(std::string_view bytes);

// strconv.ParseInt(text, base, 64). Base 0 takes 0x, 0o, 0b prefixes and underscores. The error
// reads as Go's: strconv.ParseInt: parsing "x": invalid syntax.
StatusOr<int64_t> ParseInt(std::string_view text, int base);
// strconv.ParseUint(text, base, 64).
StatusOr<uint64_t> ParseUint(std::string_view text, int base);
StatusOr<bool> ParseBool(std::string_view text);

// "1m30s", "300ms", "1.5h"; errors as time.ParseDuration's.
StatusOr<env::Duration> ParseDuration(std::string_view text);
// 1.234567ms, 2s, 1m30s.
std::string FormatDuration(env::Duration duration);

// 2026-01-02T03:04:05Z and 2026-01-02T03:04:05.678Z.
std::string Timestamp(std::chrono::seconds since_epoch);
std::string Timestamp(std::chrono::milliseconds since_epoch);

// SI sizes with two significant digits below ten: "25 kB", "2.1 GB".
std::string HumanBytes(uint64_t bytes);

std::string Base64(std::string_view bytes);

// Decodes one UTF-8 character at the front of `text`. Returns its length, or 0 when the bytes are
// no UTF-8.
size_t DecodeUtf8(std::string_view text, char32_t& character);

}  // namespace quoin::cli

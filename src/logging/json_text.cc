#include "logging/json_text.h"

#include <charconv>
#include <cmath>
#include <cstdint>

namespace quoin::logging {
namespace {

// Length of the valid UTF-8 sequence at the head of `text`; 0 when there is none.
size_t SequenceLength(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(0);
  size_t length = lead < 0x80   ? 1
                  : lead < 0xc2 ? 0
                  : lead < 0xe0 ? 2
                  : lead < 0xf0 ? 3
                  : lead < 0xf5 ? 4
                                : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
  if (lead == 0xed && byte(1) > 0x9f) return 0;  // surrogates
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

void AppendEscaped(std::string& out, char c) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"':
    case '\\':
      out += '\\';
      out += c;
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
  }
}

bool IsPlain(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\' && c != 0x7f &&
         (c & 0x80) == 0;
}

template <typename Number>
void AppendNumber(std::string& out, Number number) {
  char buffer[32];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), number);
  out.append(buffer, end);
}

struct ValueWriter {
  std::string& out;
  void operator()(const std::string& text) const { AppendJsonString(out, text); }
  void operator()(int64_t number) const { AppendNumber(out, number); }
  void operator()(uint64_t number) const { AppendNumber(out, number); }
  void operator()(bool value) const { out += value ? "true" : "false"; }
  void operator()(double number) const {
    if (std::isnan(number))
      out += "\"NaN\"";
    else if (std::isinf(number))
      out += number > 0 ? "\"+Inf\"" : "\"-Inf\"";
    else
      AppendNumber(out, number);
  }
  void operator()(const std::vector<std::string>& texts) const {
    out += '[';
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i != 0) out += ',';
      AppendJsonString(out, texts[i]);
    }
    out += ']';
  }
};

}  // namespace

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    size_t plain = 0;
    while (plain < text.size() && IsPlain(text[plain])) ++plain;
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    if ((text.front() & 0x80) == 0) {
      AppendEscaped(out, text.front());
      text.remove_prefix(1);
      continue;
    }
    size_t length = SequenceLength(text);
    if (length == 0) {
      out += "\\ufffd";
      length = 1;
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  out += '"';
}

void AppendJsonField(std::string& out, const LogField& field, bool first) {
  if (!first) out += ',';
  AppendJsonString(out, field.name);
  out += ':';
  std::visit(ValueWriter{out}, field.value);
}

}  // namespace quoin::logging

#include "utl/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "absl/strings/escaping.h"

namespace quoin::utl {
namespace {

constexpr size_t kShownBytesMax = 64;

std::string Repeat(std::string_view piece, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out.append(piece);
  return out;
}

std::string Rule(const std::vector<size_t>& widths, std::string_view left, std::string_view middle,
                 std::string_view right) {
  std::string out(left);
  for (size_t i = 0; i < widths.size(); ++i) {
    if (i > 0) out.append(middle);
    out += Repeat("─", widths[i] + 2);
  }
  return out.append(right) + "\n";
}

}  // namespace

std::string Quoted(std::string_view bytes) {
  const std::string_view shown = bytes.substr(0, kShownBytesMax);
  std::string out = "\"" + absl::CHexEscape(absl::string_view(shown.data(), shown.size())) + "\"";
  if (shown.size() < bytes.size()) out += fmt::format("… ({} bytes)", bytes.size());
  return out;
}

std::string Table(const std::vector<std::string>& header, const std::vector<std::string>& row) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < header.size(); ++i)
    widths.push_back(std::max(header[i].size(), row[i].size()));
  std::string titles = "│", cells = "│";
  for (size_t i = 0; i < widths.size(); ++i) {
    std::string title = header[i];
    for (char& c : title) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    titles += fmt::format(" {:^{}} │", title, widths[i]);
    cells += fmt::format(" {:>{}} │", row[i], widths[i]);
  }
  return Rule(widths, "┌", "┬", "┐") + titles + "\n" + Rule(widths, "├", "┼", "┤") + cells + "\n" +
         Rule(widths, "└", "┴", "┘");
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  while (value >= 1000 && unit + 1 < std::size(kUnits)) value /= 1000, ++unit;
  return value < 10 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                    : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

}  // namespace quoin::utl

#include "config/default_host.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <vector>

#include "config/config_file.h"
#include "config/go_values.h"

namespace quoin::config {
namespace {

struct Network {
  uint32_t address = 0;
  uint32_t mask = 0;
};

// /proc/net/route writes addresses as the hexadecimal of a little-endian word.
std::optional<uint32_t> ParseRouteWord(std::string_view text) {
  uint32_t word = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), word, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return __builtin_bswap32(word);
}

std::optional<uint32_t> ParseDotted(std::string_view text) {
  std::vector<std::string> parts = Split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  uint32_t address = 0;
  for (const std::string& part : parts) {
    std::optional<int64_t> byte = ParseDecimal(part);
    if (!byte || *byte < 0 || *byte > 255) return std::nullopt;
    address = address << 8 | static_cast<uint32_t>(*byte);
  }
  return address;
}

// Networks that the interface of the default route reaches directly.
std::vector<Network> NetworksOfDefaultRoute(std::string_view route) {
  std::string interface;
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : Split(route, '\n')) {
    std::vector<std::string> cells = Fields(line);
    if (cells.size() < 8 || cells[0] == "Iface") continue;
    if (interface.empty() && cells[1] == "00000000" && cells[7] == "00000000") interface = cells[0];
    rows.push_back(std::move(cells));
  }
  std::vector<Network> networks;
  for (const auto& cells : rows) {
    std::optional<uint32_t> address = ParseRouteWord(cells[1]);
    std::optional<uint32_t> mask = ParseRouteWord(cells[7]);
    if (cells[0] == interface && address && mask && *mask != 0)
      networks.push_back({*address, *mask});
  }
  return networks;
}

}  // namespace

StatusOr<std::string> DefaultHostOf(std::string_view route, std::string_view fib_trie) {
  std::vector<Network> networks = NetworksOfDefaultRoute(route);
  std::string last;  // the address above a "host LOCAL" line is the machine's own
  for (const std::string& line : Split(fib_trie, '\n')) {
    std::vector<std::string> cells = Fields(line);
    if (cells.size() >= 2 && cells[0] == "|--") last = cells[1];
    if (cells.size() < 3 || cells[0] != "/32" || cells[1] != "host" || cells[2] != "LOCAL")
      continue;
    std::optional<uint32_t> address = ParseDotted(last);
    for (const Network& network : networks) {
      if (address && (*address & network.mask) == network.address) return last;
    }
  }
  return absl::NotFoundError("could not find default route");
}

StatusOr<std::string> DefaultHost(env::BlockingFileSystem& files) {
  ASSIGN_OR_RETURN(std::string route, ReadConfigFile(files, "/proc/net/route"));
  ASSIGN_OR_RETURN(std::string fib_trie, ReadConfigFile(files, "/proc/net/fib_trie"));
  return DefaultHostOf(route, fib_trie);
}

}  // namespace quoin::config

// What the generators need of the system: time, CPU, numbers of the command line, sockets.
//
// One thread. Whatever goes wrong ends the program with a line that says so.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace quoin::bench {

[[noreturn]] void Die(const std::string& why);

uint64_t Now();       // nanoseconds of the monotonic clock
double CpuSeconds();  // user and system time of this process
// The same of another process, in steps of the kernel's tick. 0 when `pid` is 0.
double CpuSecondsOf(uint64_t pid);

template <typename Number>
Number ParseNumber(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    Die("bad number: " + std::string(text));
  return value;
}

// A connected, non-blocking socket.
int Dial(const std::string& host, const std::string& port);

}  // namespace quoin::bench

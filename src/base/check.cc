#include "base/check.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/last_words.h"

namespace quoin {
namespace {

LastWords& Hears() {
  static LastWords hears;
  return hears;
}
std::atomic<bool> told = false;

void Tell(std::string_view what, std::string_view why) {
  if (!told.exchange(true) && Hears()) Hears()(what, why);
}

}  // namespace

void SetLastWords(LastWords hears) { Hears() = std::move(hears); }

void CheckFailed(const char* file, int line, const std::string& message) {
  Tell("a check failed", std::string(file) + ":" + std::to_string(line) + ": " + message);
  std::fprintf(stderr, "%s:%d: %s\n", file, line, message.c_str());
  std::fflush(stderr);
  std::abort();
}

void DieOnDiskError(const std::string& message) {
  Tell("disk error", message);
  std::fprintf(stderr, "quoin: disk error: %s\n", message.c_str());
  std::fflush(stderr);
  _exit(1);
}

}  // namespace quoin

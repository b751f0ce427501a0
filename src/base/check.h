// Checks that stay on in every build: a failed one is a bug of ours, and the process ends.
//
// Thread: any.
#pragma once

#include <sstream>
#include <string>

namespace quoin {

// Writes one line to stderr (`file:line: message`) and aborts. Never returns.
[[noreturn]] void CheckFailed(const char* file, int line, const std::string& message);

// Ends the process because a disk did not do what it was asked (conventions, rule 9): says what
// happened, exits 1 without running any further code of the server.
[[noreturn]] void DieOnDiskError(const std::string& message);

namespace check_internal {

// Collects what is streamed into a failed CHECK; its destructor ends the process.
class Failure {
 public:
  Failure(const char* file, int line, const char* condition) : file_(file), line_(line) {
    stream_ << "CHECK failed: " << condition;
  }
  [[noreturn]] ~Failure() { CheckFailed(file_, line_, stream_.str()); }
  template <typename T>
  Failure& operator<<(const T& value) {
    if (first_) stream_ << ": ";
    first_ = false;
    stream_ << value;
    return *this;
  }

 private:
  const char* file_;
  int line_;
  bool first_ = true;
  std::ostringstream stream_;
};

struct Voidify {
  void operator&(const Failure&) {}
};

}  // namespace check_internal
}  // namespace quoin

#define CHECK(condition)                     \
  __builtin_expect(!!(condition), 1)         \
      ? (void)0                              \
      : ::quoin::check_internal::Voidify() & \
            ::quoin::check_internal::Failure(__FILE__, __LINE__, #condition)
#define QUOIN_CHECK_OP(a, op, b) CHECK((a)op(b)) << (a) << " vs " << (b)
#define CHECK_EQ(a, b) QUOIN_CHECK_OP(a, ==, b)
#define CHECK_NE(a, b) QUOIN_CHECK_OP(a, !=, b)
#define CHECK_LT(a, b) QUOIN_CHECK_OP(a, <, b)
#define CHECK_LE(a, b) QUOIN_CHECK_OP(a, <=, b)
#define CHECK_GT(a, b) QUOIN_CHECK_OP(a, >, b)
#define CHECK_GE(a, b) QUOIN_CHECK_OP(a, >=, b)

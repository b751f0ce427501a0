#include "ctl/terminal.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

namespace quoin::ctl {
namespace {

constexpr size_t kSecretBytesMax = 4096;

// The controlling terminal with echo off, for as long as it lives.
class SilentTerminal {
 public:
  SilentTerminal() : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC)) {
    if (fd_ < 0 || ::tcgetattr(fd_, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(fd_, TCSAFLUSH, &silent) == 0;
  }
  ~SilentTerminal() {
    if (changed_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
    if (fd_ >= 0) ::close(fd_);
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

  bool ready() const { return changed_; }
  void Write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(fd_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      text.remove_prefix(static_cast<size_t>(written));
    }
  }
  // Up to the end of the line, without it.
  StatusOr<std::string> ReadLine() {
    std::string line;
    for (char c = 0; line.size() < kSecretBytesMax;) {
      const ssize_t got = ::read(fd_, &c, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return absl::UnavailableError("the terminal was closed");
      if (c == '\n') return line;
      line += c;
    }
    return absl::InvalidArgumentError("the line is too long");
  }

 private:
  int fd_;
  termios before_{};
  bool changed_ = false;
};

}  // namespace

bool ErrorOutputIsTerminal() { return ::isatty(STDERR_FILENO) == 1; }

StatusOr<std::string> AskSecret(std::string_view prompt) {
  SilentTerminal terminal;
  if (!terminal.ready())
    return absl::UnavailableError("no terminal to ask for the password on; use --password");
  terminal.Write(prompt);
  StatusOr<std::string> secret = terminal.ReadLine();
  terminal.Write("\n");
  return secret;
}

}  // namespace quoin::ctl

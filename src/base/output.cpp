#include "base/output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/interrupt.h"

namespace claude_init {

bool write_to_reader(int fd, std::string_view text, Milliseconds patience) {
  // What poll(2) promises to take at once from a pipe that is writable (pipe(7)); a terminal takes less and
  // says so.
  constexpr std::size_t kChunk = 4096;
  constexpr Milliseconds kBetweenLooks{50};  // for a stop signal, which may be blocked
  const SteadyTime end = std::chrono::steady_clock::now() + patience;
  while (!text.empty()) {
    const auto left = std::chrono::duration_cast<Milliseconds>(end - std::chrono::steady_clock::now());
    const bool waits = left.count() > 0 && !interrupt::is_pending();
    pollfd ready{fd, POLLOUT, 0};
    const int n = ::poll(&ready, 1, waits ? static_cast<int>(std::min(left, kBetweenLooks).count()) : 0);
    if (waits && (n == 0 || (n < 0 && errno == EINTR))) continue;
    if (n <= 0) return false;
    const ssize_t written = ::write(fd, text.data(), std::min(text.size(), kChunk));
    if (written < 0 && (errno == EINTR || (errno == EAGAIN && waits))) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR && interrupt::number() != 0) return EINTR;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {  // another process has made the terminal or pipe non-blocking
      pollfd ready{fd, POLLOUT, 0};
      if (::poll(&ready, 1, -1) < 0 && interrupt::number() != 0) return EINTR;
      continue;
    }
    if (n <= 0) return n < 0 ? errno : EIO;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

}  // namespace claude_init

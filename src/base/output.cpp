#include "base/output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace claude_init {

bool write_to_reader(int fd, std::string_view text, Milliseconds patience) {
  // What poll(2) promises to take at once from a pipe that is writable (pipe(7)); a terminal takes less and
  // says so.
  constexpr std::size_t kChunk = 4096;
  const SteadyTime end = std::chrono::steady_clock::now() + patience;
  while (!text.empty()) {
    const auto left = std::chrono::duration_cast<Milliseconds>(end - std::chrono::steady_clock::now());
    pollfd ready{fd, POLLOUT, 0};
    const int n = ::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    const ssize_t written = ::write(fd, text.data(), std::min(text.size(), kChunk));
    if (written < 0 && (errno == EINTR || (errno == EAGAIN && left.count() > 0))) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {  // another process has made the terminal or pipe non-blocking
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
      continue;
    }
    if (n <= 0) return n < 0 ? errno : EIO;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

}  // namespace claude_init

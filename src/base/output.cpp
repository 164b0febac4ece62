#include "base/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/interrupt.h"

namespace claude_init {
namespace {

// The stream that open_for_us_alone() was told, and our own open file description of it.
int g_stream = -1;
int g_own = -1;

/// One write that fails with EAGAIN where it would wait.
ssize_t write_now(int fd, std::string_view text) {
  if (fd == g_stream) return ::write(g_own, text.data(), text.size());
  struct stat st {};
  if (::fstat(fd, &st) != 0) return -1;
  if (S_ISSOCK(st.st_mode)) return ::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (S_ISFIFO(st.st_mode)) {
    const iovec part{const_cast<char*>(text.data()), text.size()};  // NOLINT: it is only read
    const ssize_t written = ::pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
    const bool cannot = written < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL);
    if (!cannot) return written;
  }
  // A file, which never waits; else poll(2) has promised room, unless another process has taken it since.
  return ::write(fd, text.data(), text.size());
}

}  // namespace

void open_for_us_alone(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0 || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))) return;
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  g_own = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (g_own >= 0) g_stream = fd;
}

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
    const ssize_t written = write_now(fd, text.substr(0, kChunk));
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

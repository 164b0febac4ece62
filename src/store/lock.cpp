#include "store/lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <thread>

#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

constexpr std::string_view kLocks = "locks";
constexpr std::size_t kMaxHolder = 4096;

/// Four lines: host, pid, purpose, since.
std::string write_holder(std::string_view purpose) {
  std::array<char, HOST_NAME_MAX + 1> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return fmt::format("{}\n{}\n{}\n{}\n", host.data(), ::getpid(), purpose, unix_now());
}

std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

/// Somebody holds the lock: what they wrote is for people only, and may be unfinished.
Holder read_holder(int fd) {
  Holder holder;
  const auto text = fs::read_all(fd, kMaxHolder, "lock");
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  holder.host = next_line(rest);
  const std::string_view pid = next_line(rest);
  holder.purpose = next_line(rest);
  const std::string_view since = next_line(rest);
  std::from_chars(pid.data(), pid.data() + pid.size(), holder.pid);
  std::from_chars(since.data(), since.data() + since.size(), holder.since);
  if (holder.host.empty()) holder.host = "unknown";
  if (holder.purpose.empty()) holder.purpose = "somebody";
  return holder;
}

Result<UniqueFd> open_lock(const Store& store, std::string_view name) {
  const Modes modes = store.modes();
  const auto own = fs::make_directory(store.fd(), std::string(kPrivateDir), modes.directory);
  if (!own) return own.error();
  const auto locks = fs::make_directory(own->get(), std::string(kLocks), modes.directory);
  if (!locks) return locks.error();
  return fs::open_beneath(locks->get(), name, O_RDWR | O_CREAT | O_NOFOLLOW, fs::Links::refuse, modes.file);
}

}  // namespace

std::string Holder::describe(UnixMs now) const {
  return fmt::format("{} on host {} (pid {}, for {})", printable(purpose), printable(host), pid,
                     format_duration(now - since));
}

Result<Lock> Lock::acquire(const Store& store, std::string_view name, std::string_view purpose,
                           Milliseconds wait) {
  constexpr Milliseconds kLongestPause{100};
  // holder() takes the lock for an instant to see whether it is free: one try could meet it.
  constexpr Milliseconds kShortestWait{50};
  const auto start = std::chrono::steady_clock::now();
  const fs::ActAs as(store.owner());
  auto fd = open_lock(store, name);
  if (!fd) return fd.error_with("lock " + printable(store.path()));
  for (Milliseconds pause{1}; ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0;
       pause = std::min(2 * pause, kLongestPause)) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return system_error(errno, "lock " + printable(store.path()));
    if (std::chrono::steady_clock::now() - start >= std::max(wait, kShortestWait)) {
      return make_error(
          ErrorKind::busy,
          printable(store.path()) + " is in use: " + read_holder(fd->get()).describe(unix_now()),
          "end that one first, or wait for it");
    }
    std::this_thread::sleep_for(pause);
  }
  // Only told to others: a full disk is no reason to fail here.
  const std::string text = write_holder(purpose);
  if (::ftruncate(fd->get(), 0) != 0 || ::pwrite(fd->get(), text.data(), text.size(), 0) < 0) {
    log::debug("cannot note who holds the lock", {{"path", store.path()}});
  }
  log::debug("locked", {{"lock", name}, {"path", store.path()}, {"took", took_since(start)}});
  Lock lock;
  lock.fd_ = std::move(*fd);
  return lock;
}

Holder Lock::holder(const Store& store, std::string_view name) {
  const fs::ActAs as(store.owner());
  const std::string path = fs::join(fs::join(kPrivateDir, kLocks), name);
  const auto file = fs::open_regular(store.fd(), path, fs::Links::refuse);
  if (!file || ::flock(file->fd.get(), LOCK_SH | LOCK_NB) == 0) return {};
  return errno == EWOULDBLOCK ? read_holder(file->fd.get()) : Holder{};
}

}  // namespace claude_init::store

#include "store/presence.h"

#include <fcntl.h>
#include <sys/random.h>

#include <cerrno>
#include <limits>
#include <utility>
#include <vector>

#include "fs/file.h"
#include "fs/open.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

constexpr const char* kPresent = "present";
constexpr off_t kBytes = std::numeric_limits<off_t>::max() - 1;
constexpr std::uint64_t kMost = 100'000;

Result<UniqueFd> open_file(const Store& store) {
  const fs::ActAs as(store.owner());
  return fs::open_beneath(store.fd(), fs::join(kPrivateDir, kPresent), O_RDONLY, fs::Links::refuse);
}

struct flock range(short type, off_t start, off_t length) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

}  // namespace

Result<void> make_presence_file(const Store& store) {
  if (open_file(store)) return Done{};
  const fs::ActAs as(store.owner());
  const auto own = fs::make_directory(store.fd(), std::string(kPrivateDir), store.modes().directory);
  if (!own) return own.error();
  return fs::replace_file(own->get(), kPresent, "", store.modes().file, fs::Sync::no);
}

Result<UniqueFd> announce_presence(const Store& store) {
  auto file = open_file(store);
  if (!file) return file.error();
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != sizeof bits) return system_error(errno, "get random bytes");
  struct flock lock = range(F_RDLCK, static_cast<off_t>(bits % static_cast<std::uint64_t>(kBytes)), 1);
  if (::fcntl(file->get(), F_OFD_SETLK, &lock) != 0)
    return system_error(errno, "lock " + std::string(kPresent));
  return file;
}

/// The kernel tells one lock of those in a range, in no order that could be relied on: what lies before and
/// behind it is asked for next.
std::uint64_t count_present(const Store& store) {
  const auto file = open_file(store);
  if (!file) return 0;
  std::uint64_t found = 0;
  std::vector<std::pair<off_t, off_t>> left{{0, kBytes}};  // from, up to but not including
  while (!left.empty() && found < kMost) {
    const auto [from, to] = left.back();
    left.pop_back();
    if (from >= to) continue;
    struct flock lock = range(F_WRLCK, from, to - from);
    if (::fcntl(file->get(), F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) continue;
    found += 1;
    left.emplace_back(from, lock.l_start);
    left.emplace_back(lock.l_start + 1, to);
  }
  return found;
}

}  // namespace claude_init::store

#include "lock/cli_locks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/interrupt.h"
#include "base/text.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "log/log.h"

namespace claude_init::lock {
namespace {

constexpr mode_t kOurs = 01700;
constexpr std::int64_t kStale = 60;  // seconds: the CLI's
constexpr Milliseconds kPause{20};

/// Whether this lock has no holder any more: it is one of ours, whose maker must be dead, or older than the
/// CLI itself waits. A time in the future was set by hand: it would never come of age.
bool is_abandoned(const struct stat& st) {
  if ((st.st_mode & S_ISVTX) != 0) return true;
  const std::int64_t made = st.st_mtim.tv_sec;
  const std::int64_t now = unix_now() / 1000;
  return made < now - kStale || made > now + kStale;
}

}  // namespace

// The order is the CLI's, so that each waits for the other before it has anything that the other needs.
Result<CliLocks> CliLocks::take(const store::Tree& tree, What what, SteadyTime until) {
  const fs::ActAs as(tree.who);
  CliLocks locks(tree.who);
  auto root = fs::open_beneath(tree.root, "", O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!root) return root.error_with(printable(tree.path));
  locks.root_ = std::move(*root);
  const int inside = locks.root_.get();
  if (what == What::settings) {
    if (auto taken = locks.take_one(inside, ".claude.json.lock", tree, until); !taken) return taken.error();
    return locks;
  }
  if (auto taken = locks.take_one(inside, ".oauth_refresh.lock", tree, until); !taken) return taken.error();
  const std::string above = fs::parent_of(tree.path);
  if (auto beside = fs::open_root(above.empty() ? "/" : above, tree.who); beside) {
    locks.beside_ = std::move(*beside);
    const auto taken = locks.take_one(locks.beside_.get(), fs::name_of(tree.path) + ".lock", tree, until);
    // Mostly it lies in another user's directory. Only a CLI that holds it matters.
    if (!taken && taken.error().kind == ErrorKind::busy) return taken.error();
  }
  if (auto taken = locks.take_one(inside, ".storage-write.lock", tree, until); !taken) return taken.error();
  return locks;
}

Result<void> CliLocks::take_one(int directory, const std::string& name, const store::Tree& tree,
                                SteadyTime until) {
  while (::mkdirat(directory, name.c_str(), kOurs) != 0) {
    if (errno != EEXIST) return system_error(errno, "take the CLI's lock " + printable(name));
    struct stat st {};
    if (::fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return system_error(errno, "look at the CLI's lock " + printable(name));
    }
    if (is_abandoned(st)) {
      if (::unlinkat(directory, name.c_str(), S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) == 0) {
        log::info("took over a lock of the CLI's that was left behind",
                  {{"lock", name}, {"path", tree.path}});
      } else if (errno != ENOENT) {
        // It has no holder, so waiting does not help; the file system may have turned read-only.
        return system_error(errno, "take over the CLI's lock " + printable(name));
      }
      continue;
    }
    if (std::chrono::steady_clock::now() >= until) {
      return make_error(ErrorKind::busy,
                        "a claude that works in " + printable(tree.path) + " holds " + printable(name),
                        "end it, or try again when it is done");
    }
    if (auto go_on = interrupt::check(); !go_on) return go_on;
    std::this_thread::sleep_for(kPause);
  }
  struct stat st {};
  if (::fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0)
    held_.push_back({directory, name, st.st_ino});
  return Done{};
}

CliLocks::~CliLocks() {
  const fs::ActAs as(who_);
  for (auto lock = held_.rbegin(); lock != held_.rend(); ++lock) {
    // Not one that a CLI has taken over since.
    struct stat st {};
    if (::fstatat(lock->directory, lock->name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_ino == lock->inode)
      ::unlinkat(lock->directory, lock->name.c_str(), AT_REMOVEDIR);
  }
}

}  // namespace claude_init::lock

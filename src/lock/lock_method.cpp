#include "lock/lock_method.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/random.h"
#include "base/text.h"
#include "fs/file.h"
#include "fs/filesystem_kind.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "lock/lock_holder.h"
#include "log/log.h"
#include "store/layout.h"
#include "store/store.h"

namespace claude_init::lock {
namespace {

constexpr const char* kLocks = "locks";
constexpr const char* kMethod = "method";
constexpr std::size_t kMaxMethod = 64;
// Not the store's: what can be opened can be locked (lock/lock.h).
constexpr store::Modes kOwnersOnly{};

Result<UniqueFd> open_directory(int parent, std::string_view name) {
  return fs::open_beneath(parent, name, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
}

store::Locking method_for(const store::Store& store) {
  if (store.options().locking != store::Locking::automatic) return store.options().locking;
  return fs::kind_of(store.fd()) == fs::FilesystemKind::network ? store::Locking::lease
                                                                : store::Locking::flock;
}

std::string line_of(store::Locking method) {
  return std::string(store::name_of(method)) + '\n';
}

Result<store::Locking> read_method(int locks, const store::Store& store) {
  const auto file = fs::open_regular(locks, kMethod, fs::Links::refuse);
  if (!file) return explain_lease(file.error(), locks, kMethod);
  const auto text = fs::read_all(*file, kMaxMethod, kMethod);
  if (!text) return text.error();
  for (const store::Locking method : {store::Locking::flock, store::Locking::lease}) {
    if (*text == line_of(method)) return method;
  }
  const std::string path = fs::join(fs::join(fs::join(store.path(), store::kPrivateDir), kLocks), kMethod);
  return make_error(ErrorKind::invalid, printable(path) + " says neither flock nor lease",
                    "remove it while no process uses the store");
}

/// Makes `locks` with the record in it, under another name, and moves it into place: a second process
/// finds a directory that is not empty, on any file system.
Result<void> decide(int own, const store::Store& store) {
  const std::string name = fmt::format("{}.{}", kLocks, random_name());
  const auto made = fs::make_directory(own, name, kOwnersOnly.directory);
  if (!made) return made.error();
  const store::Locking method = method_for(store);
  auto done = fs::write_file(made->get(), kMethod, line_of(method), kOwnersOnly.file, fs::Sync::yes);
  if (done && ::renameat(own, name.c_str(), own, kLocks) == 0) {
    log::debug("locking decided", {{"path", store.path()}, {"method", store::name_of(method)}});
    return Done{};
  }
  const int error = done ? errno : 0;
  static_cast<void>(fs::remove_tree(own, name));
  if (!done) return done;
  if (error == EEXIST || error == ENOTEMPTY) return Done{};
  return system_error(error, "make the locks directory");
}

/// Into a directory that is there already.
Result<void> write_method(int own, const store::Store& store) {
  const auto locks = open_directory(own, kLocks);
  if (!locks) return locks.error();
  return fs::replace_file(locks->get(), kMethod, line_of(method_for(store)), kOwnersOnly.file, fs::Sync::yes);
}

Result<Locks> read_locks(int own, const store::Store& store) {
  auto directory = open_directory(own, kLocks);
  if (!directory) return directory.error();
  const auto method = read_method(directory->get(), store);
  if (!method) return method.error();
  return Locks{std::move(*directory), *method};
}

bool is_missing(const Error& error) {
  return error.number == ENOENT;
}

}  // namespace

Result<Locks> open_locks(const store::Store& store) {
  const auto own = fs::make_directory(store.fd(), std::string(store::kPrivateDir), store.modes().directory);
  if (!own) return own.error();
  auto locks = read_locks(own->get(), store);
  if (!locks && is_missing(locks.error())) {
    if (const auto decided = decide(own->get(), store); !decided) return decided.error();
    locks = read_locks(own->get(), store);
  }
  // The record was removed, as a damaged one's remedy says.
  if (!locks && is_missing(locks.error())) {
    if (const auto written = write_method(own->get(), store); !written) return written.error();
    locks = read_locks(own->get(), store);
  }
  if (!locks) return locks.error();
  // As an earlier version, or --store-mode, has left it. Refused where it is not ours.
  struct stat st {};
  if (::fstat(locks->directory.get(), &st) == 0 && (st.st_mode & 07077) != 0)
    static_cast<void>(::fchmod(locks->directory.get(), kOwnersOnly.directory));
  const store::Locking wanted = store.options().locking;
  if (wanted != store::Locking::automatic && wanted != locks->method && !store.options().adopt) {
    return make_error(
        ErrorKind::usage,
        fmt::format("{} is locked by {}, and --locking={} would not be seen by others",
                    printable(store.path()), store::name_of(locks->method), store::name_of(wanted)),
        fmt::format("leave --locking out, or change it while no process uses the store: "
                    "claude-init setup --adopt --locking={}",
                    store::name_of(wanted)));
  }
  return locks;
}

Result<Locks> find_locks(const store::Store& store) {
  const auto own = open_directory(store.fd(), store::kPrivateDir);
  if (!own) return own.error();
  return read_locks(own->get(), store);
}

Result<void> decide_locking_again(const store::Store& store) {
  const auto own = fs::make_directory(store.fd(), std::string(store::kPrivateDir), store.modes().directory);
  if (!own) return own.error();
  if (const auto decided = decide(own->get(), store); !decided) return decided;
  return write_method(own->get(), store);
}

}  // namespace claude_init::lock
